// SPDX-License-Identifier: GPL-2.0
/*
 * Count an event in the kernel: one copy of this object for each event, so that
 * a program need not find out which one it runs for. One of its programs is
 * loaded, by the type of the event and by who tells the target's events apart:
 * the kernel (count_*), or the program itself (count_in_*).
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/*
 * Per CPU and without atomics: a program stays on its CPU until it ends, and one
 * that would be run there before that is not run, but counted as missed.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counter SEC(".maps");

/* Thread group IDs, used if there is more than one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} targets SEC(".maps");

/* The only target, or 0. */
const volatile __u32 target;

static __always_inline int count(void)
{
	__u32 key = 0;
	__u64 *n = bpf_map_lookup_elem(&counter, &key);

	if (n)
		(*n)++;
	return 0;
}

static __always_inline int count_in(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (target ? tgid != target : !bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	return count();
}

/* For the kernel to tell the target's events apart, and to do it in the program. */
#define COUNT_PROGRAMS(section, event)  \
	SEC(section)                    \
	int count_##event(void *ctx)    \
	{                               \
		return count();         \
	}                               \
	SEC(section)                    \
	int count_in_##event(void *ctx) \
	{                               \
		return count_in();      \
	}

COUNT_PROGRAMS("raw_tp", raw)
COUNT_PROGRAMS("tracepoint", tp)
COUNT_PROGRAMS("kprobe", kprobe) /* kretprobes, too */
COUNT_PROGRAMS("kprobe.multi", multi)
/* For a function that is chosen before they are loaded. */
COUNT_PROGRAMS("fentry", fentry)
COUNT_PROGRAMS("fexit", fexit)
/* 0 lets the function run. */
COUNT_PROGRAMS("fmod_ret", fmod_ret)
