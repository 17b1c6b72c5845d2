/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The programs of a link, which differ in name from those of all others. To be
 * included, again and again, with N, the number of the link, or HOOK or FUNCTION,
 * a tracepoint or a function that has programs of its own.
 */
#ifdef N

SEC("raw_tracepoint")
int NAME(raw_view_, N)(void *ctx)
{
	event(ctx, VIEW, RAW_WORD(ctx));
	return 0;
}

SEC("tracepoint")
int NAME(classic_view_, N)(void *ctx)
{
	event(ctx, VIEW, FIELD_WORD(ctx));
	return 0;
}

SEC("kprobe")
int NAME(kprobe_view_, N)(void *ctx)
{
	event(ctx, VIEW, REGS_WORD(ctx));
	return 0;
}

SEC("kprobe.multi")
int NAME(multi_view_, N)(void *ctx)
{
	event(ctx, VIEW, REGS_WORD(ctx));
	return 0;
}

#ifndef NO_ORACLE
SEC("kprobe")
int NAME(kprobe_oracle_, N)(void *ctx)
{
	event(ctx, ORACLE, REGS_WORD(ctx));
	return 0;
}

SEC("kprobe.multi")
int NAME(multi_oracle_, N)(void *ctx)
{
	event(ctx, ORACLE, REGS_WORD(ctx));
	return 0;
}

SEC("raw_tracepoint")
int NAME(raw_oracle_, N)(void *ctx)
{
	event(ctx, ORACLE, RAW_WORD(ctx));
	return 0;
}

SEC("tracepoint")
int NAME(classic_oracle_, N)(void *ctx)
{
	event(ctx, ORACLE, FIELD_WORD(ctx));
	return 0;
}
#endif

#undef N
#elif defined(FUNCTION)

#define SECTION(kind, function) SECTION_OF(kind, function)
#define SECTION_OF(kind, function) (kind "/" #function)

SEC(SECTION("fentry", FUNCTION))
int NAME(fentry_view_, FUNCTION)(void *ctx)
{
	event(ctx, VIEW, 0);
	return 0;
}

SEC(SECTION("fentry", FUNCTION))
int NAME(fentry_oracle_, FUNCTION)(void *ctx)
{
	event(ctx, ORACLE, 0);
	return 0;
}

SEC(SECTION("fexit", FUNCTION))
int NAME(fexit_view_, FUNCTION)(void *ctx)
{
	event(ctx, VIEW, 0);
	return 0;
}

SEC(SECTION("fexit", FUNCTION))
int NAME(fexit_oracle_, FUNCTION)(void *ctx)
{
	event(ctx, ORACLE, 0);
	return 0;
}

#undef SECTION
#undef SECTION_OF
#undef FUNCTION
#else

#define SECTION(hook) SECTION_OF(hook)
#define SECTION_OF(hook) ("tp_btf/" #hook)

SEC(SECTION(HOOK))
int NAME(btf_view_, HOOK)(void *ctx)
{
	event(ctx, VIEW, 0);
	return 0;
}

SEC(SECTION(HOOK))
int NAME(btf_oracle_, HOOK)(void *ctx)
{
	event(ctx, ORACLE, 0);
	return 0;
}

#undef SECTION
#undef SECTION_OF
#undef HOOK
#endif
