// SPDX-License-Identifier: GPL-2.0
/*
 * A module for the tests of kernel views: it comes and goes while there are
 * views, has sites of static keys, static calls and tracepoints, its own and the
 * kernel's, functions that programs are attached to, one of which has its call
 * across two pages, and lets a kernel thread work on the memory of whoever asks
 * for it.
 *
 * In debugfs, kview_testmod/: written to one of the files, a number says how
 * often to do it. To "leak" memory is for those who test that leaks are found.
 */
#include <linux/debugfs.h>
#include <linux/error-injection.h>
#include <linux/jump_label.h>
#include <linux/kstrtox.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kview_testmod.h"

#define CREATE_TRACE_POINTS
#include "kview_testmod_trace.h"

static DEFINE_STATIC_KEY_FALSE(on);
static struct dentry *dir;
static int steps;

/* Events that a view may have: kmalloc, kfree, mmap_lock_*. */
static noinline void step(struct mm_struct *mm)
{
	void *object;

	if (static_branch_unlikely(&on))
		steps++;
	trace_kview_testmod_step(steps);
	object = kmalloc(100, GFP_KERNEL);
	mmap_read_lock(mm);
	mmap_read_unlock(mm);
	kfree(object);
}

struct work {
	struct mm_struct *mm;
	int n;
	const void __user *from;
	int ret;
	struct completion done;
};

static int work_func(void *arg)
{
	struct work *work = arg;
	char byte;
	int i;

	kthread_use_mm(work->mm);
	for (i = 0; i < work->n; i++) {
		step(work->mm);
		if (copy_from_user(&byte, work->from, 1))
			work->ret = -EFAULT;
		/* Away from the view, perhaps, and back. */
		if (i % 8 == 0)
			schedule_timeout_interruptible(1);
	}
	kthread_unuse_mm(work->mm);
	complete(&work->done);
	return 0;
}

/* What programs are attached to; 0, unless one of them says otherwise. */
noinline int kview_testmod_call(int n, long more)
{
	steps += n & more;
	return 0;
}
ALLOW_ERROR_INJECTION(kview_testmod_call, ERRNO);

/*
 * A function whose call at the entry has two bytes in one page and three in the
 * next: the compiler would align it. It returns its argument.
 */
#ifdef CONFIG_X86_KERNEL_IBT
#define SKIP "4096 - 6"
#define ENTRY "endbr64"
#else
#define SKIP "4096 - 2"
#define ENTRY ""
#endif

/* clang-format off */
#define CROSSING						\
	".pushsection .text, \"ax\"\n"				\
	".balign 4096\n"					\
	".skip " SKIP ", 0xcc\n"				\
	".globl kview_testmod_crossing\n"			\
	".type kview_testmod_crossing, @function\n"		\
	"kview_testmod_crossing:\n"				\
	ENTRY "\n"						\
	"1: call __fentry__\n"					\
	".pushsection __mcount_loc, \"a\", @progbits\n"	\
	".quad 1b\n"						\
	".popsection\n"						\
	"movl %edi, %eax\n"					\
	ASM_RET							\
	".size kview_testmod_crossing, . - kview_testmod_crossing\n" \
	".popsection\n"

asm(CROSSING);
/* clang-format on */

static ssize_t use_mm_write(struct file *file, const char __user *from,
			    size_t len, loff_t *pos)
{
	struct work work = { .mm = current->mm, .from = from };
	struct task_struct *task;
	int ret;

	ret = kstrtoint_from_user(from, len, 10, &work.n);
	if (ret)
		return ret;
	init_completion(&work.done);
	task = kthread_run(work_func, &work, "kview_testmod");
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* current is here, so its mm is; the thread is the module's. */
	wait_for_completion(&work.done);
	return work.ret ?: len;
}

static ssize_t step_write(struct file *file, const char __user *from,
			  size_t len, loff_t *pos)
{
	int n, ret;

	ret = kstrtoint_from_user(from, len, 10, &n);
	if (ret)
		return ret;
	while (n-- > 0)
		step(current->mm);
	return len;
}

static ssize_t call_write(struct file *file, const char __user *from,
			  size_t len, loff_t *pos)
{
	int i, n, ret;

	ret = kstrtoint_from_user(from, len, 10, &n);
	for (i = 0; i < n && !ret; i++) {
		ret = kview_testmod_call(i, n);
		if (kview_testmod_crossing(i) != i)
			ret = -EILSEQ;
	}
	return ret ?: len;
}

static ssize_t leak_write(struct file *file, const char __user *from,
			  size_t len, loff_t *pos)
{
	int i, n, ret;

	ret = kstrtoint_from_user(from, len, 10, &n);
	for (i = 0; i < n && !ret; i++) {
		if (!kmalloc(100, GFP_KERNEL))
			ret = -ENOMEM;
	}
	return ret ?: len;
}

static const struct file_operations use_mm_fops = {
	.owner = THIS_MODULE,
	.write = use_mm_write,
};

static const struct file_operations step_fops = {
	.owner = THIS_MODULE,
	.write = step_write,
};

static const struct file_operations call_fops = {
	.owner = THIS_MODULE,
	.write = call_write,
};

static const struct file_operations leak_fops = {
	.owner = THIS_MODULE,
	.write = leak_write,
};

static int __init kview_testmod_init(void)
{
	dir = debugfs_create_dir("kview_testmod", NULL);
	debugfs_create_file("use_mm", 0200, dir, NULL, &use_mm_fops);
	debugfs_create_file("call", 0200, dir, NULL, &call_fops);
	debugfs_create_file("step", 0200, dir, NULL, &step_fops);
	debugfs_create_file("leak", 0200, dir, NULL, &leak_fops);
	static_branch_enable(&on);
	return 0;
}

static void __exit kview_testmod_exit(void)
{
	debugfs_remove(dir);
	static_branch_disable(&on);
}

module_init(kview_testmod_init);
module_exit(kview_testmod_exit);
MODULE_DESCRIPTION("Tests of kernel views");
MODULE_LICENSE("GPL");
