// SPDX-License-Identifier: GPL-2.0
/*
 * What the benchmark attaches: a program that prints one line for an event, as
 * the work of a tracing program, and one that counts, whose cost is the same
 * every time. Each also with a comparison of the PID before.
 *
 * They run on any tracepoint: the loader chooses it.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The process that *_in are for. */
const volatile __u32 target;

__u64 count;

static bool not_for_us(void)
{
	return bpf_get_current_pid_tgid() >> 32 != target;
}

SEC("tracepoint")
int printk(void *ctx)
{
	bpf_printk("event");
	return 0;
}

SEC("tracepoint")
int printk_in(void *ctx)
{
	if (not_for_us())
		return 0;
	bpf_printk("event");
	return 0;
}

SEC("tracepoint")
int count_event(void *ctx)
{
	count++;
	return 0;
}

SEC("tracepoint")
int count_event_in(void *ctx)
{
	if (not_for_us())
		return 0;
	count++;
	return 0;
}

SEC("raw_tracepoint")
int count_raw(void *ctx)
{
	count++;
	return 0;
}

SEC("raw_tracepoint")
int count_raw_in(void *ctx)
{
	if (not_for_us())
		return 0;
	count++;
	return 0;
}

/* On sys_enter: of read() only. */
SEC("raw_tracepoint")
int count_read(__u64 *ctx)
{
	if (!ctx[1])
		count++;
	return 0;
}

SEC("kprobe")
int count_kprobe(void *ctx)
{
	count++;
	return 0;
}

char _license[] SEC("license") = "GPL";
