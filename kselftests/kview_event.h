/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What BPF programs of the tests share. Each link's cookie is the number of a
 * slot, in which its events are counted: a program can be attached many times,
 * and each link is seen apart.
 */
#ifndef KVIEW_EVENT_H
#define KVIEW_EVENT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "kview_slots.h"

struct slot slots[NR_SLOTS];

/* Events whose cookie is no slot's. */
__u64 strays;

static __always_inline struct slot *event(void *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct slot *slot;

	if (cookie >= NR_SLOTS) {
		__sync_fetch_and_add(&strays, 1);
		return NULL;
	}
	slot = &slots[cookie];
	if (slot->tgid && tgid != slot->tgid) {
		if (!slot->filter)
			__sync_fetch_and_add(&slot->foreign, 1);
		return NULL;
	}
	__sync_fetch_and_add(&slot->count, 1);
	return slot;
}

#endif
