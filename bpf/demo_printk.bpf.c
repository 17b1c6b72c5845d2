// SPDX-License-Identifier: GPL-2.0
/*
 * What the benchmark attaches: a program that prints one line for an event, as
 * the work of a tracing program, and one that counts, whose cost is the same
 * every time. Each also with a comparison of the PID before.
 *
 * They run on any tracepoint or function: the loader chooses it.
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

/* NAME, and NAME_in, which compares the PID before. */
/* clang-format off */
#define PROGRAM(section, name, work)	\
	SEC(section)			\
	int name(void *ctx)		\
	{				\
		work;			\
		return 0;		\
	}				\
					\
	SEC(section)			\
	int name##_in(void *ctx)	\
	{				\
		if (!not_for_us())	\
			work;		\
		return 0;		\
	}
/* clang-format on */

PROGRAM("tracepoint", printk, bpf_printk("event"))
PROGRAM("tracepoint", count_event, count++)
PROGRAM("raw_tracepoint", count_raw, count++)
PROGRAM("tp_btf/sys_enter", count_btf, count++)
PROGRAM("kprobe", count_kprobe, count++)
PROGRAM("kprobe.multi", count_multi, count++)
/* The loader chooses the function. */
PROGRAM("fentry/vfs_read", count_fentry, count++)
PROGRAM("fexit/vfs_read", count_fexit, count++)
PROGRAM("fmod_ret/vfs_read", count_fmod_ret, count++)

/* On sys_enter: of read() only. */
SEC("raw_tracepoint")
int count_read(__u64 *ctx)
{
	if (!ctx[1])
		count++;
	return 0;
}

char _license[] SEC("license") = "GPL";
