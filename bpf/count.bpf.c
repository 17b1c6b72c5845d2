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
 * Per CPU and without atomics: hooks run their programs with preemption off,
 * and a program that interrupts itself is not run, but counted as missed.
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

SEC("raw_tp")
int count_raw(void *ctx)
{
	return count();
}

SEC("tracepoint")
int count_tp(void *ctx)
{
	return count();
}

SEC("raw_tp")
int count_in_raw(void *ctx)
{
	return count_in();
}

SEC("tracepoint")
int count_in_tp(void *ctx)
{
	return count_in();
}
