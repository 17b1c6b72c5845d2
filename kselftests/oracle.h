/* SPDX-License-Identifier: GPL-2.0 */
/* What the oracle and its BPF programs share. */
#ifndef KVIEW_ORACLE_H
#define KVIEW_ORACLE_H

#include <linux/types.h>

/* Links whose events are compared, and after these such as come and go while
 * their targets run, of which only is checked that no others are seen.
 */
#define STRICT_LINKS 8
#define LOOSE_LINKS 4
#define LINKS (STRICT_LINKS + LOOSE_LINKS)

/* Processes of a run are counted apart, by PID less that of the first. All others
 * are counted together, in one more place.
 */
#define WINDOW 2048
#define OUTSIDE WINDOW

enum side { VIEW, ORACLE };

struct count {
	__u64 n;
	/* Of what the events say, in any order. */
	__u64 sum;
};

/* An event as a program saw it, kept on demand. */
struct record {
	__u64 time;
	__u64 word;
	__u32 side;
	__u32 link;
	__u32 place;
	__u32 tid;
	__u32 cpu;
	__u32 flags;
	__u64 mm;
	__u64 active_mm;
};

#define RECORDS 65536

/* Where the oracle of a quiet link counts, see there. */
enum quiet {
	LOUD,
	QUIET_ENTER,
	QUIET_EXIT,
	QUIET_NEWTASK,
	QUIET_FORK,
	QUIET_EXEC,
	QUIET_DEATH,
};

#define ANY_SYSCALL -1

/* What the view's program of the first event does wrong, so that the oracle can
 * be seen to find it.
 */
enum broken {
	SOUND,
	DROP,
	DUPLICATE,
	FOREIGN,
	OTHER,
};

#endif
