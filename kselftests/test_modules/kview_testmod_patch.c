// SPDX-License-Identifier: GPL-2.0
/*
 * A live patch for the tests of kernel views: for as long as it is enabled, reads of
 * /dev/zero and a function of the other test module return something else.
 */
#include <linux/fs.h>
#include <linux/livepatch.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "kview_testmod.h"

static ssize_t patched_read(struct file *file, char __user *to, size_t len,
			    loff_t *pos)
{
	len = min_t(size_t, len, KVIEW_TESTMOD_PATCHED_READ);
	return clear_user(to, len) ? -EFAULT : len;
}

static int patched_call(int n, long more)
{
	return KVIEW_TESTMOD_PATCHED_CALL;
}

static struct klp_func kernel_funcs[] = {
	{ .old_name = "read_zero", .new_func = patched_read },
	{},
};

static struct klp_func module_funcs[] = {
	{ .old_name = "kview_testmod_call", .new_func = patched_call },
	{},
};

static struct klp_object objects[] = {
	{ .funcs = kernel_funcs },
	{ .name = "kview_testmod", .funcs = module_funcs },
	{},
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objects,
};

static int __init kview_testmod_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit kview_testmod_patch_exit(void)
{
}

module_init(kview_testmod_patch_init);
module_exit(kview_testmod_patch_exit);
MODULE_DESCRIPTION("Tests of kernel views: a live patch");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
