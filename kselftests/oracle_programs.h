/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The programs of a link, which differ in name from those of all others. To be
 * included, again and again, with N, the number of the link, or HOOK, a hook that
 * has programs of its own.
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

#ifndef NO_ORACLE
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
