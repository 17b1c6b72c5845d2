// SPDX-License-Identifier: GPL-2.0
/*
 * A module that comes and goes while others have hooks in theirs. It has sites of
 * built-in tracepoints, also in what is freed when it has started.
 *
 * In debugfs, kview_testmod_other/call: a number says how often to do it.
 */
#include <linux/debugfs.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>

#define STARTS 10

static struct dentry *dir;

/* Events of mmap_lock_*: their sites are where the lock is taken. */
static noinline void call(struct mm_struct *mm)
{
	mmap_read_lock(mm);
	mmap_read_unlock(mm);
}

static ssize_t call_write(struct file *file, const char __user *from,
			  size_t len, loff_t *pos)
{
	int n, ret;

	ret = kstrtoint_from_user(from, len, 10, &n);
	if (ret)
		return ret;
	while (n-- > 0)
		call(current->mm);
	return len;
}

static const struct file_operations call_fops = {
	.owner = THIS_MODULE,
	.write = call_write,
};

static int __init kview_testmod_other_init(void)
{
	int i;

	for (i = 0; i < STARTS; i++) {
		mmap_read_lock(current->mm);
		mmap_read_unlock(current->mm);
	}
	dir = debugfs_create_dir("kview_testmod_other", NULL);
	debugfs_create_file("call", 0200, dir, NULL, &call_fops);
	return 0;
}

static void __exit kview_testmod_other_exit(void)
{
	debugfs_remove(dir);
}

module_init(kview_testmod_other_init);
module_exit(kview_testmod_other_exit);
MODULE_DESCRIPTION("Tests of kernel views: another module");
MODULE_LICENSE("GPL");
