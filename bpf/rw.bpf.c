// SPDX-License-Identifier: GPL-2.0
/*
 * Send an event for each call of vfs_read() and vfs_write(), at its return. What is
 * known at its beginning only waits in a map until then.
 */
#include "tool.bpf.h"

#define MINORBITS 20

struct qstr {
	const unsigned char *name;
} KERNEL_TYPE;

struct dentry {
	struct qstr d_name;
} KERNEL_TYPE;

struct path {
	struct dentry *dentry;
} KERNEL_TYPE;

struct super_block {
	__u32 s_dev;
} KERNEL_TYPE;

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
} KERNEL_TYPE;

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_flags;
} KERNEL_TYPE;

/* A call that is going on. */
struct call {
	__u64 start;
	struct file *file;
	const char *buf;
	__u64 size;
	__s64 offset;
};

/* A thread may write while it reads: a file system that keeps its own in files. */
struct call_key {
	__u32 tid;
	__u32 type;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct call_key);
	__type(value, struct call);
} calls SEC(".maps");

/* Send what was read or written, too. */
const volatile bool with_data;

/* A call with no room in the map is found out, and counted, at its end. */
static __always_inline void begin(__u32 type, struct file *file,
				  const char *buf, __u64 size,
				  const __s64 *offset)
{
	struct call_key key = { .tid = current_tid(), .type = type };
	struct call call = { .file = file, .buf = buf, .size = size };

	call.offset = -1;
	if (offset)
		bpf_probe_read_kernel(&call.offset, sizeof(call.offset),
				      offset);
	call.start = bpf_ktime_get_ns();
	bpf_map_update_elem(&calls, &key, &call, BPF_ANY);
}

static __always_inline void fill(struct rw_event *event, __u32 type,
				 const struct call *call, __s64 result)
{
	struct file *file = call->file;
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	event->start = call->start;
	event->duration = bpf_ktime_get_ns() - call->start;
	event->inode = BPF_CORE_READ(inode, i_ino);
	event->offset = call->offset;
	event->size = call->size;
	event->result = result;
	event->tgid = current_tgid();
	event->tid = current_tid();
	event->device = BPF_CORE_READ(inode, i_sb, s_dev);
	event->type = type;
	event->mode = BPF_CORE_READ(inode, i_mode);
	event->flags = BPF_CORE_READ(file, f_flags);
	event->data_size = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_kernel_str(event->name, sizeof(event->name),
				      BPF_CORE_READ(file, f_path.dentry,
						    d_name.name)) < 0)
		event->name[0] = '\0';
}

/*
 * The data is taken at the end of a write as well: by then the kernel has read it,
 * so that its pages are there.
 */
static __always_inline void send(__u32 type, const struct call *call,
				 __s64 result, const __u32 room)
{
	struct rw_event *event = reserve(sizeof(*event) + room);
	__u32 size = result;

	if (!event)
		return;
	fill(event, type, call, result);
	if (room && result > 0) {
		if (result > room)
			size = room;
		/* For the verifier, which has lost sight of it. */
		barrier_var(size);
		if (size <= room &&
		    !bpf_probe_read_user((void *)(event + 1), size, call->buf))
			event->data_size = size;
	}
	bpf_ringbuf_submit(event, 0);
}

/*
 * The size of a reservation has to be a constant. A few of them, so that calls with
 * little data do not fill the ring with room for much.
 */
static __always_inline void end(__u32 type, __s64 result)
{
	struct call_key key = { .tid = current_tid(), .type = type };
	struct call *call = bpf_map_lookup_elem(&calls, &key);

	if (!call) {
		count_lost(LOST_CALL);
		return;
	}
	if (!with_data || result <= 0)
		send(type, call, result, 0);
	else if (result <= 64)
		send(type, call, result, 64);
	else if (result <= 512)
		send(type, call, result, 512);
	else
		send(type, call, result, RW_DATA_MAX);
	bpf_map_delete_elem(&calls, &key);
}

/* Both ways to get at a function, for reads and for writes. */
/* clang-format off */
#define RW_PROGRAMS(function, type)					\
	SEC("fentry/" #function)					\
	int BPF_PROG(function##_fentry, struct file *file,		\
		     const char *buf, unsigned long size, __s64 *pos)	\
	{								\
		if (!not_for_us())					\
			begin(type, file, buf, size, pos);		\
		return 0;						\
	}								\
									\
	SEC("fexit/" #function)						\
	int BPF_PROG(function##_fexit, struct file *file,		\
		     const char *buf, unsigned long size, __s64 *pos,	\
		     long result)					\
	{								\
		if (!not_for_us())					\
			end(type, result);				\
		return 0;						\
	}								\
									\
	SEC("kprobe")							\
	int BPF_KPROBE(function##_kprobe, struct file *file,		\
		       const char *buf, unsigned long size, __s64 *pos)	\
	{								\
		if (!not_for_us())					\
			begin(type, file, buf, size, pos);		\
		return 0;						\
	}								\
									\
	SEC("kretprobe")						\
	int BPF_KRETPROBE(function##_kretprobe, long result)		\
	{								\
		if (!not_for_us())					\
			end(type, result);				\
		return 0;						\
	}
/* clang-format on */

RW_PROGRAMS(vfs_read, RW_READ)
RW_PROGRAMS(vfs_write, RW_WRITE)
