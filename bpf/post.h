/* SPDX-License-Identifier: GPL-2.0 OR LGPL-2.1 OR BSD-2-Clause */
#ifndef POST_H
#define POST_H

#include <linux/types.h>

/* What post.bpf.c sends to user space for each event of each process. */
struct post_record {
	__u32 tgid; /* in the initial PID namespace */
	__u32 event; /* index of the event */
};

#endif
