// SPDX-License-Identifier: GPL-2.0
/*
 * No memory: each allocation that an attach makes is let fail in its turn, and
 * the attach then fails with ENOMEM and has changed nothing. Needs a kernel
 * with fault injection.
 */
#include "kview_test.h"

#define DEBUGFS "/sys/kernel/debug/"
#define PAGE_ALLOC DEBUGFS "fail_page_alloc/"

#define MOST_ALLOCATIONS 2000

FIXTURE(fault)
{
	struct kview_bpf *skel;
	struct target target;
};

FIXTURE_VARIANT(fault)
{
	struct hook hook;
	enum op op;
	/* events of one order, if one can say */
	__u64 expected;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(fault, raw_sys_enter) {
	.hook = { RAW, "sys_enter" },
	.op = OP_READ,
	.expected = 12,
};

FIXTURE_VARIANT_ADD(fault, btf_sys_enter) {
	.hook = { BTF, "sys_enter" },
	.op = OP_READ,
	.expected = 12,
};

FIXTURE_VARIANT_ADD(fault, classic_sys_enter_read) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
	.op = OP_READ,
	.expected = 10,
};

FIXTURE_VARIANT_ADD(fault, classic_sched_switch) {
	.hook = { CLASSIC, "sched:sched_switch" },
	.op = OP_SLEEP,
};

FIXTURE_VARIANT_ADD(fault, raw_mmap_lock_released) {
	.hook = { RAW, "mmap_lock_released" },
	.op = OP_MMAP,
};

/* clang-format on */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 &&
		  write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

FIXTURE_SETUP(fault)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	if (access("/proc/thread-self/fail-nth", W_OK) ||
	    access(DEBUGFS "failslab", X_OK) ||
	    access(DEBUGFS "fail_page_alloc", X_OK))
		SKIP(return, "the kernel has no fault injection");
	/* Those that may wait, too, and single pages. */
	ASSERT_TRUE(write_file(DEBUGFS "failslab/ignore-gfp-wait", "N"));
	ASSERT_TRUE(write_file(PAGE_ALLOC "ignore-gfp-wait", "N"));
	ASSERT_TRUE(write_file(PAGE_ALLOC "ignore-gfp-highmem", "N"));
	ASSERT_TRUE(write_file(PAGE_ALLOC "min-order", "0"));
	ASSERT_TRUE(write_file(DEBUGFS "failslab/verbose", "0"));
	ASSERT_TRUE(write_file(PAGE_ALLOC "verbose", "0"));
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(tell_and_wait(&self->target, variant->op, 10));
}

FIXTURE_TEARDOWN(fault)
{
	kill_target(&self->target);
	kview_bpf__destroy(self->skel);
}

/* Let this thread's @nth allocation from now on fail; 0: none. */
static void fail_nth(int fd, int nth)
{
	char text[12];

	snprintf(text, sizeof(text), "%d", nth);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		perror("fail-nth");
}

/* Is the failure that was asked for still to come? */
static bool not_failed_yet(int fd)
{
	char text[12] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) > 0;
}

/* Let each allocation fail, until one try needs fewer. Returns their number. */
static int fail_each(struct __test_metadata *_metadata,
		     FIXTURE_DATA(fault) * self, const struct hook *hook,
		     enum op op, const __u64 *slots_stay)
{
	char path[64];
	int nth, control, fd = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", gettid());
	control = open(path, O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;
	for (nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		long links = nr_links();
		bool done;

		fail_nth(control, nth);
		fd = view(self->skel, hook, 0, self->target.pid);
		done = not_failed_yet(control);
		fail_nth(control, 0);
		if (fd >= 0) {
			/* An allocation that one can do without, such as a cache. */
			close(fd);
			if (done)
				break;
			continue;
		}
		EXPECT_EQ(-ENOMEM, fd)
		{
			TH_LOG("allocation %d", nth);
		}
		EXPECT_EQ(links, nr_links());
		/* Nothing is attached, and what was attached still is. */
		if (nth % 8 == 1) {
			__u64 before = slots_stay ? *slots_stay : 0;

			ASSERT_TRUE(tell_and_wait(&self->target, op, 10));
			if (slots_stay)
				EXPECT_LT(before, *slots_stay);
		}
		EXPECT_EQ(0, self->skel->bss->slots[0].count);
	}
	close(control);
	EXPECT_GT(MOST_ALLOCATIONS, nth);
	return nth;
}

static void works_now(struct __test_metadata *_metadata,
		      FIXTURE_DATA(fault) * self,
		      const FIXTURE_VARIANT(fault) * variant)
{
	int fd = view(self->skel, &variant->hook, 0, self->target.pid);
	__u64 expected;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell_and_wait(&self->target, variant->op, 10));
	EXPECT_LT(0, self->skel->bss->slots[0].count);
	expected = variant->expected ?: self->skel->bss->slots[0].count;
	EXPECT_EQ(expected, self->skel->bss->slots[0].count);
	EXPECT_EQ(0, self->skel->bss->slots[0].foreign);
	close(fd);
}

TEST_F_TIMEOUT(fault, first_attach, TIMEOUT)
{
	int n;

	set_slot(self->skel, 0, self->target.pid, false);
	n = fail_each(_metadata, self, &variant->hook, variant->op, NULL);
	TH_LOG("%d allocations", n);
	EXPECT_LT(5, n);
	works_now(_metadata, self, variant);
}

/* With a view that exists, which must stay as it is. */
TEST_F_TIMEOUT(fault, further_attach, TIMEOUT)
{
	const struct hook other = { RAW, "sys_exit" };
	int fd, n;

	set_slot(self->skel, 0, self->target.pid, false);
	set_slot(self->skel, 1, self->target.pid, false);
	fd = view(self->skel, &other, 1, self->target.pid);
	ASSERT_LE(0, fd);
	n = fail_each(_metadata, self, &variant->hook, variant->op,
		      &self->skel->bss->slots[1].count);
	TH_LOG("%d allocations", n);
	EXPECT_LT(1, n);
	works_now(_metadata, self, variant);
	close(fd);
}
