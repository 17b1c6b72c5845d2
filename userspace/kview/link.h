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
	__u32 nr_shared; /* of these, those that other targets have, too */
	__u32 view_flags; /* BPF_F_VIEW_FOLLOW_FORK, BPF_F_VIEW_TASK_CONTEXT */
	bool defunct; /* no target is left */
	__u32 *pids; /* the targets, 0: one that is not seen from here */
	size_t nr_pids;
	__u32 nr_functions; /* that the link is for, 0: a tracepoint */
	__u64 missed; /* events that the hook could not hand to the program */
	/* What kview stat -e has after the kind; "" if for several functions. */
	char name[640];
	/* The same, or "N functions": for people. */
	char event[640];
};

/* Is the hook of a link in several functions? */
bool link_is_multi(const struct link *link);

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
