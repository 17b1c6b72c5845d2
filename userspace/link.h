/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef LINK_H
#define LINK_H

#include <bpf/bpf.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A BPF link to kernel views, as the kernel describes it.
 */
struct link {
	__u32 type; /* BPF_LINK_TYPE_KVIEW, or all below are not set but id */
	__u32 id;
	__u32 prog_id;
	__u32 hook; /* enum bpf_kview_hook */
	__u64 cookie;
	__u32 nr_pages; /* private pages of all targets */
	__u32 view_flags; /* BPF_F_VIEW_FOLLOW_FORK, BPF_F_VIEW_TASK_CONTEXT */
	bool defunct; /* no target is left */
	__u32 *pids; /* the targets, 0: one that is not seen from here */
	size_t nr_pids;
	char name[512]; /* of the hook; KSYM_NAME_LEN of the kernel */
};

/*
 * Open a link by its ID or by the file that it is pinned to. Returns a file
 * descriptor, or a negative error after one line on standard error.
 */
int link_open(const char *text);

/* Returns 0, or a negative error. After 0, link_free() it. */
int link_read(struct link *link, int fd);
void link_free(struct link *link);

bool link_has_target(const struct link *link, __u32 pid);

#endif
