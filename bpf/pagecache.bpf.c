// SPDX-License-Identifier: GPL-2.0
/*
 * Count the pages that a process asks the page cache for, and those that are added
 * to it on that process's behalf.
 */
#include "tool.bpf.h"

#define PAGE_SHIFT 12

/* Of include/linux/pagemap.h: the page is to be written to. */
#define FGP_WRITE 0x08

/* FGF_GET_ORDER(): of how many pages the folio may be. */
#define FGF_ORDER_SHIFT 26

enum pageflags {
	PG_head = 1, /* the number is replaced by the running kernel's */
};

struct folio {
	unsigned long flags;
	unsigned int _folio_nr_pages;
} KERNEL_TYPE;

struct kiocb {
	__s64 ki_pos;
} KERNEL_TYPE;

enum vm_fault_reason {
	VM_FAULT_LOCKED = 1, /* as above */
};

struct vm_fault;
struct file;
struct pipe_inode_info;
struct iov_iter;
struct address_space;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_PAGES_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/* By the clock, as a reader that is woken has page faults of its own. */
static __always_inline void send(__u32 what, __u64 pages)
{
	struct pages_event *event = reserve(sizeof(*event));

	if (!event)
		return;
	event->tgid = current_tgid();
	event->what = what;
	event->pages = pages;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline void count(__u32 what, __u64 pages)
{
	__u64 *n;

	if (!pages || not_for_us())
		return;
	if (config.send) {
		send(what, pages);
		return;
	}
	n = bpf_map_lookup_elem(&counts, &what);
	if (n)
		__sync_fetch_and_add(n, pages);
}

/* The pages that so many bytes before a position are in, as it is after a read. */
static __always_inline void count_read(__s64 end, long size)
{
	if (size > 0)
		count(PAGES_READ, ((end - 1) >> PAGE_SHIFT) -
					  ((end - size) >> PAGE_SHIFT) + 1);
}

SEC("fexit/filemap_read")
int BPF_PROG(pages_read, struct kiocb *iocb, struct iov_iter *iter,
	     long already_read, long result)
{
	count_read(iocb->ki_pos, result - already_read);
	return 0;
}

/* Of splice() and sendfile(). */
SEC("fexit/filemap_splice_read")
int BPF_PROG(pages_spliced, struct file *in, __s64 *pos,
	     struct pipe_inode_info *pipe, unsigned long len,
	     unsigned int flags, long result)
{
	__s64 end;

	if (!bpf_probe_read_kernel(&end, sizeof(end), pos))
		count_read(end, result);
	return 0;
}

/* folio_nr_pages() */
static __always_inline __u64 nr_pages(struct folio *folio)
{
	unsigned long head = 1UL
			     << bpf_core_enum_value(enum pageflags, PG_head);

	if (!(BPF_CORE_READ(folio, flags) & head))
		return 1;
	return BPF_CORE_READ(folio, _folio_nr_pages);
}

/*
 * One folio for a write: of its pages those that were asked for, as far as the size
 * is told (a power of two).
 */
SEC("fexit/__filemap_get_folio")
int BPF_PROG(pages_written, struct address_space *mapping, unsigned long index,
	     unsigned int fgp_flags, unsigned int gfp, struct folio *folio)
{
	__u64 asked = 1ULL << (fgp_flags >> FGF_ORDER_SHIFT), pages;

	/* !IS_ERR() */
	if (!(fgp_flags & FGP_WRITE) || (unsigned long)folio >= -4095UL)
		return 0;
	pages = nr_pages(folio);
	count(PAGES_WRITTEN, asked < pages ? asked : pages);
	return 0;
}

/*
 * It ends with a page, or is repeated as a whole when it has waited for one, or has
 * failed.
 */
SEC("fexit/filemap_fault")
int BPF_PROG(pages_faulted, struct vm_fault *vmf, unsigned int result)
{
	if (result & bpf_core_enum_value(enum vm_fault_reason, VM_FAULT_LOCKED))
		count(PAGES_FAULTED, 1);
	return 0;
}

SEC("raw_tp")
int pages_added(struct bpf_raw_tracepoint_args *ctx)
{
	count(PAGES_ADDED, nr_pages((struct folio *)ctx->args[0]));
	return 0;
}
