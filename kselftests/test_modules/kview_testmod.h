/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVIEW_TESTMOD_H
#define KVIEW_TESTMOD_H

/* Functions that programs are attached to. */
int kview_testmod_call(int n, long more);
int kview_testmod_crossing(int n);

/* What kview_testmod_call() and read() of /dev/zero return when they are patched. */
#define KVIEW_TESTMOD_PATCHED_CALL (-ESTALE)
#define KVIEW_TESTMOD_PATCHED_READ 3

#endif
