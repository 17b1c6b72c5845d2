// SPDX-License-Identifier: GPL-2.0
/*
 * Attaching and detaching a thousand times, while the target and others run,
 * ends with the memory that it began with.
 */
#include "kview_test.h"
#include "kview_memory.h"

#define TIMES 1000

FIXTURE(memory)
{
	struct kview_bpf *skel;
	struct target target;
	struct target neighbours[2];
};

FIXTURE_SETUP(memory)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	for (int i = 0; i < 2; i++)
		ASSERT_TRUE(start_target(&self->neighbours[i]));
}

FIXTURE_TEARDOWN(memory)
{
	kill_target(&self->target);
	for (int i = 0; i < 2; i++)
		kill_target(&self->neighbours[i]);
	kview_bpf__destroy(self->skel);
}

static bool all_run(FIXTURE_DATA(memory) * self)
{
	return tell(&self->target, OP_MIX, 2) &&
	       tell(&self->neighbours[0], OP_MIX, 2) &&
	       tell(&self->neighbours[1], OP_READ, 2000);
}

static bool all_done(FIXTURE_DATA(memory) * self)
{
	return answer(&self->target) && answer(&self->neighbours[0]) &&
	       answer(&self->neighbours[1]);
}

static const struct hook hooks[] = {
	{ RAW, "sys_enter" },	       { CLASSIC, "syscalls:sys_enter_read" },
	{ BTF, "sys_enter" },	       { CLASSIC, "sched:sched_switch" },
	{ RAW, "mmap_lock_released" },
};

static void attach_times(struct __test_metadata *_metadata,
			 FIXTURE_DATA(memory) * self, int times)
{
	for (int i = 0; i < times; i++) {
		const struct hook *hook = &hooks[i % ARRAY_SIZE(hooks)];
		int fd;

		if (i % 50 == 0)
			ASSERT_TRUE(all_run(self));
		set_slot(self->skel, 0, self->target.pid, false);
		fd = view(self->skel, hook, 0, self->target.pid);
		ASSERT_LE(0, fd);
		/* Now and then the page tables are those of the next view. */
		if (i % 7 == 0) {
			int other = view(self->skel,
					 &hooks[(i + 1) % ARRAY_SIZE(hooks)], 0,
					 self->target.pid);

			ASSERT_LE(0, other);
			close(fd);
			fd = other;
		}
		close(fd);
		EXPECT_EQ(0, self->skel->bss->slots[0].foreign);
		if (i % 50 == 49)
			ASSERT_TRUE(all_done(self));
	}
}

TEST_F_TIMEOUT(memory, attach_and_detach_a_thousand_times, TIMEOUT)
{
	struct memory before, after;
	long links;

	/* What is allocated once, is allocated. */
	attach_times(_metadata, self, 50);
	links = nr_links();
	before = settled_memory();
	attach_times(_metadata, self, TIMES);
	after = settled_memory();
	compare(_metadata, &before, &after);
	EXPECT_EQ(links, nr_links());

	/* Neither the target nor the others carry anything of it. */
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 100));
	EXPECT_EQ(0, self->skel->bss->slots[0].foreign);
}

/* The target ends instead: the same, for page tables that go with the process. */
TEST_F_TIMEOUT(memory, targets_that_exit, TIMEOUT)
{
	struct memory before, after;

	for (int round = 0; round < 2; round++) {
		if (round)
			before = settled_memory();
		for (int i = 0; i < (round ? TIMES / 2 : 20); i++) {
			pid_t pid = fork();
			int fd;

			ASSERT_LE(0, pid);
			if (!pid) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				pause();
			}
			set_slot(self->skel, 0, pid, false);
			fd = view(self->skel, &hooks[i % ARRAY_SIZE(hooks)], 0,
				  pid);
			ASSERT_LE(0, fd);
			kill(pid, SIGKILL);
			ASSERT_EQ(pid, waitpid(pid, NULL, 0));
			close(fd);
		}
	}
	after = settled_memory();
	compare(_metadata, &before, &after);
}

/* Links that stay open do not keep the memory of targets that are gone. */
TEST_F_TIMEOUT(memory, links_without_targets, TIMEOUT)
{
	static int fds[200];
	struct memory before, after;

	for (int round = 0; round < 2; round++) {
		if (round)
			before = settled_memory();
		for (int i = 0; i < (round ? (int)ARRAY_SIZE(fds) : 5); i++) {
			pid_t pid = fork();

			ASSERT_LE(0, pid);
			if (!pid) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				pause();
			}
			fds[i] = view(self->skel, &hooks[i % ARRAY_SIZE(hooks)],
				      0, pid);
			ASSERT_LE(0, fds[i]);
			kill(pid, SIGKILL);
			ASSERT_EQ(pid, waitpid(pid, NULL, 0));
			if (!round)
				close(fds[i]);
		}
	}
	after = settled_memory();
	/* With the page tables of the processes it would be 200 times 60 KiB. */
	compare(_metadata, &before, &after);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* The canonical text keeps its large pages, for all others, and after all. */
TEST_F_TIMEOUT(memory, no_large_page_is_split, TIMEOUT)
{
	struct memory before, during, after;
	int fds[ARRAY_SIZE(hooks)];
	size_t split = NR_CLASSES - 1;

	attach_times(_metadata, self, 50);
	before = read_memory();
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		fds[i] = view(self->skel, &hooks[i], 0, self->target.pid);
		ASSERT_LE(0, fds[i]);
	}
	during = read_memory();
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		close(fds[i]);
	after = settled_memory();
	EXPECT_EQ(before.kb[split], during.kb[split]);
	EXPECT_EQ(before.kb[split], after.kb[split]);
}
