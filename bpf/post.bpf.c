// SPDX-License-Identifier: GPL-2.0
/*
 * Send every event of every process to user space, which picks those of its
 * targets. One copy of this object for each event; all share one ring.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "post.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* Events for which the ring had no room. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

const volatile __u32 event;

/*
 * The reader looks at the ring by the clock. To be woken by events would make
 * it cause events, for which it would be woken.
 */
static __always_inline int post(void)
{
	struct post_record *record;
	__u32 key = 0;
	__u64 *n;

	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		n = bpf_map_lookup_elem(&lost, &key);
		if (n)
			(*n)++;
		return 0;
	}
	record->tgid = bpf_get_current_pid_tgid() >> 32;
	record->event = event;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

#define POST_PROGRAM(section, event) \
	SEC(section)                 \
	int post_##event(void *ctx)  \
	{                            \
		return post();       \
	}

POST_PROGRAM("raw_tp", raw)
POST_PROGRAM("tracepoint", tp)
POST_PROGRAM("kprobe", kprobe) /* kretprobes, too */
POST_PROGRAM("kprobe.multi", multi)
/* For a function that is chosen before they are loaded. */
POST_PROGRAM("fentry", fentry)
POST_PROGRAM("fexit", fexit)
/* 0 lets the function run. */
POST_PROGRAM("fmod_ret", fmod_ret)
