/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs on functions and their tests share. */
#ifndef KVIEW_FUNC_H
#define KVIEW_FUNC_H

#include <linux/types.h>

/* Fields of a context: registers, in the order of struct pt_regs, or arguments;
 * and what helpers say of it.
 */
#define NR_REGS 21
#define NR_ARGS 9

enum {
	FIELD_FLAGS = 18,
	FIELD_IP = 16,
	FIELD_SP = 19,
	FIELD_FUNC_IP = NR_REGS,
	FIELD_NR_ARGS,
	FIELD_ARGS,
	FIELD_RETURN = FIELD_ARGS + NR_ARGS,
	FIELD_IS_RETURN,
	FIELD_SESSION,
	NR_FIELDS,
};

/* Slots whose contexts are kept. */
#define NR_CONTEXTS 64

/* Sums over the events of a slot: contexts may be seen in any order. */
struct context {
	__u64 sums[NR_FIELDS];
	/* Of a session: entries and returns. */
	__u64 entries;
	__u64 returns;
};

/* Which events of a slot count: an oracle that is to see those in task context has
 * to ask. In the handler of an int3 everything looks like in that of an NMI.
 */
enum { ALL_EVENTS, TASK_ONLY, TASK_ONLY_INT3 };

/* Of everybody's text, as much as the tests look at. */
#define TEXT_SIZE 4096

/* Functions that are counted apart: the cookie is the number of the function. */
#define NR_FUNCS 4096

enum side { SIDE_VIEW, SIDE_ORACLE, SIDES };

struct func {
	/* As bpf_get_func_ip() must say. */
	__u64 ip;
	/* Events of the target. */
	__u64 count[SIDES];
	/* Events of others, in the view. */
	__u64 foreign;
	/* Another function than the cookie says. */
	__u64 wrong;
};

#endif
