// SPDX-License-Identifier: GPL-2.0
/*
 * Send an event for each file that is opened by its path. All system calls that do
 * so (open, openat, openat2, creat, execve, those of 32-bit programs, io_uring) come
 * through one function of the kernel.
 */
#include "tool.bpf.h"

struct filename {
	const char *name;
} KERNEL_TYPE;

struct open_flags {
	int open_flag;
	int lookup_flags;
} KERNEL_TYPE;

/* Of include/linux/namei.h: do not wait for what is not in the cache. */
#define LOOKUP_CACHED 0x200000

#define EAGAIN 11

struct file;

SEC("fexit/do_filp_open")
int BPF_PROG(open_end, int dfd, struct filename *pathname,
	     const struct open_flags *op, struct file *file)
{
	struct open_event *event;
	long len;

	if (not_for_us())
		return 0;
	/* io_uring's first attempt, which another one follows: no program sees it. */
	if (op->lookup_flags & LOOKUP_CACHED && (long)file == -EAGAIN)
		return 0;
	event = reserve(sizeof(*event));
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->tgid = current_tgid();
	event->tid = current_tid();
	/* IS_ERR() */
	event->result = (unsigned long)file >= -4095UL ? (long)file : 0;
	event->flags = op->open_flag;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	len = bpf_probe_read_kernel_str(event->path, sizeof(event->path),
					pathname->name);
	if (len < 0) {
		event->path[0] = '\0';
		len = 0;
	}
	event->path_len = len;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
