/* SPDX-License-Identifier: GPL-2.0 */
/* What the oracle's programs want to know of the kernel. */
#ifndef ORACLE_KERNEL_H
#define ORACLE_KERNEL_H

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	struct mm_struct *mm;
	struct mm_struct *active_mm;
} __attribute__((preserve_access_index));

struct pcpu_hot {
	int preempt_count;
} __attribute__((preserve_access_index));

extern const struct pcpu_hot pcpu_hot __ksym;

__ksym bool bpf_session_is_return(void);
__ksym __u64 *bpf_session_cookie(void);

#endif
