// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to a view when its process makes threads and children, executes
 * a program, and ends: while it is attached, being attached and being detached.
 */
#include "kview_test.h"

#define READS 100

enum { VIEW, ORACLE };

FIXTURE(life)
{
	struct kview_bpf *skel;
	struct target target;
};

FIXTURE_VARIANT(life)
{
	struct hook hook;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(life, raw) {
	.hook = { RAW, "sys_enter" },
};

FIXTURE_VARIANT_ADD(life, btf) {
	.hook = { BTF, "sys_enter" },
};

FIXTURE_VARIANT_ADD(life, classic) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
};

/* clang-format on */

FIXTURE_SETUP(life)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	set_slot(self->skel, VIEW, self->target.pid, false);
	set_slot(self->skel, ORACLE, self->target.pid, true);
}

FIXTURE_TEARDOWN(life)
{
	kill_target(&self->target);
	kview_bpf__destroy(self->skel);
}

/* Give the order; the view must see what a program with a filter sees, which
 * is @reads of the target's plus, on sys_enter, its other system calls.
 */
static void compare(struct __test_metadata *_metadata,
		    FIXTURE_DATA(life) * self, const struct hook *hook,
		    enum op op, unsigned int n, __u64 reads)
{
	struct slot *slots = self->skel->bss->slots;
	bool classic = hook->kind == CLASSIC;
	struct bpf_link *oracle;

	slots[VIEW].count = 0;
	slots[ORACLE].count = 0;
	oracle = stock(self->skel, hook, ORACLE);
	ASSERT_NE(NULL, oracle);
	ASSERT_TRUE(tell_and_wait(&self->target, op, n));
	bpf_link__destroy(oracle);
	EXPECT_EQ(slots[ORACLE].count, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	EXPECT_EQ(classic ? reads : slots[VIEW].count, slots[VIEW].count);
	EXPECT_LE(classic ? reads : reads + 1, slots[VIEW].count);

	/* And alone, without the flag that a system-wide attachment sets. */
	slots[VIEW].count = 0;
	ASSERT_TRUE(tell_and_wait(&self->target, op, n));
	EXPECT_EQ(0, slots[VIEW].foreign);
	EXPECT_EQ(classic ? reads : slots[VIEW].count, slots[VIEW].count);
	EXPECT_LE(classic ? reads : reads + 1, slots[VIEW].count);
}

TEST_F_TIMEOUT(life, new_threads, TIMEOUT)
{
	int fd = view(self->skel, &variant->hook, VIEW, self->target.pid);

	ASSERT_LE(0, fd);
	compare(_metadata, self, &variant->hook, OP_THREAD, READS, READS);
	close(fd);
}

TEST_F_TIMEOUT(life, existing_threads, TIMEOUT)
{
	__u64 before;
	int fd;

	ASSERT_TRUE(tell_and_wait(&self->target, OP_PARK, 1));
	fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	compare(_metadata, self, &variant->hook, OP_PARKED, READS, READS);
	close(fd);

	/* All threads are out of it. */
	before = self->skel->bss->slots[VIEW].count;
	ASSERT_TRUE(tell_and_wait(&self->target, OP_PARKED, READS));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, READS));
	EXPECT_EQ(before, self->skel->bss->slots[VIEW].count);
}

/* A child is not traced. */
TEST_F_TIMEOUT(life, children, TIMEOUT)
{
	int fd = view(self->skel, &variant->hook, VIEW, self->target.pid);

	ASSERT_LE(0, fd);
	compare(_metadata, self, &variant->hook, OP_FORK, READS, 0);
	/* The parent still is. */
	compare(_metadata, self, &variant->hook, OP_READ, READS, READS);
	close(fd);
}

/* Nor is a process that shares the memory. */
TEST_F_TIMEOUT(life, children_that_share_memory, TIMEOUT)
{
	static const enum op ops[] = { OP_VFORK, OP_CLONE_VM };
	int fd = view(self->skel, &variant->hook, VIEW, self->target.pid);

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		compare(_metadata, self, &variant->hook, ops[i], READS, 0);
		/* The parent still is. */
		compare(_metadata, self, &variant->hook, OP_READ, READS, READS);
	}
	close(fd);
}

/* A child can be traced by itself, and is not affected by its parent's end. */
TEST_F_TIMEOUT(life, child_with_a_view_of_its_own, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct target child = {};
	int pair[2], parent_fd, fd;
	pid_t pid;

	parent_fd = view(self->skel, &variant->hook, VIEW, getpid());
	ASSERT_LE(0, parent_fd);
	set_slot(self->skel, VIEW, getpid(), false);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		target_loop(pair[1], false);
	}
	close(pair[1]);
	child = (struct target){ .pid = pid, .sock = pair[0], .reap = true };
	ASSERT_TRUE(tell_and_wait(&child, OP_READ, READS));
	EXPECT_EQ(0, slots[VIEW].foreign);
	set_slot(self->skel, ORACLE, pid, false);
	fd = view(self->skel, &variant->hook, ORACLE, pid);
	ASSERT_LE(0, fd);
	close(parent_fd);
	ASSERT_TRUE(tell_and_wait(&child, OP_READ, READS));
	EXPECT_EQ(READS + (variant->hook.kind == CLASSIC ? 0 : 2),
		  slots[ORACLE].count);
	EXPECT_EQ(0, slots[ORACLE].foreign);
	close(fd);
	kill_target(&child);
}

TEST_F_TIMEOUT(life, exec_keeps_the_view, TIMEOUT)
{
	int fd = view(self->skel, &variant->hook, VIEW, self->target.pid);

	ASSERT_LE(0, fd);
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(tell_and_wait(&self->target, OP_EXEC, 0));
		compare(_metadata, self, &variant->hook, OP_READ, READS, READS);
	}
	/* A thread that executes a program becomes the process. */
	ASSERT_TRUE(tell_and_wait(&self->target, OP_THREAD_EXEC, 0));
	compare(_metadata, self, &variant->hook, OP_READ, READS, READS);
	compare(_metadata, self, &variant->hook, OP_FORK, READS, 0);
	close(fd);
}

/* Detached, then executed: the new memory has nothing of it. */
TEST_F_TIMEOUT(life, exec_after_detach, TIMEOUT)
{
	int fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	__u64 before;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, READS));
	close(fd);
	before = self->skel->bss->slots[VIEW].count;
	EXPECT_LE(READS, before);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_EXEC, 0));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, READS));
	EXPECT_EQ(before, self->skel->bss->slots[VIEW].count);
	/* And can be traced again. */
	fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	compare(_metadata, self, &variant->hook, OP_READ, READS, READS);
	close(fd);
}

TEST_F_TIMEOUT(life, exit_while_attached, TIMEOUT)
{
	const struct hook more[] = { { RAW, "sched_switch" },
				     { RAW, "mmap_lock_released" } };

	for (int i = 0; i < 30; i++) {
		struct target target;
		int fds[3];

		ASSERT_TRUE(start_target(&target));
		set_slot(self->skel, VIEW, target.pid, false);
		for (int j = 0; j < 3; j++) {
			fds[j] = view(self->skel,
				      j ? &more[j - 1] : &variant->hook, VIEW,
				      target.pid);
			ASSERT_LE(0, fds[j]);
		}
		if (i % 3 == 1)
			ASSERT_TRUE(tell_and_wait(&target, OP_PARK, 1));
		if (i % 2) {
			ASSERT_TRUE(tell(&target, OP_EXIT, 0));
		} else {
			/* In the middle of it. */
			ASSERT_TRUE(tell(&target, OP_READ, 1000000));
			usleep(i * 300);
		}
		kill_target(&target);
		EXPECT_EQ(0, self->skel->bss->slots[VIEW].foreign);
		for (int j = 0; j < 3; j++)
			EXPECT_EQ(0, close(fds[j]));
	}
}

/* What the dying process does is its own, too. */
TEST_F_TIMEOUT(life, events_of_the_exit, TIMEOUT)
{
	static const char *const names[] = { "sched_process_exit",
					     "signal_generate", "sched_switch",
					     "mmap_lock_released", "kfree" };
	struct slot *slots = self->skel->bss->slots;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct hook hook = { RAW, names[i] };
		struct bpf_link *oracle;
		struct target target;
		__u64 missed[2];
		int fd;

		missed[VIEW] = misses(self->skel->progs.raw);
		missed[ORACLE] = misses(self->skel->progs.raw_oracle);
		ASSERT_TRUE(start_target(&target));
		set_slot(self->skel, VIEW, target.pid, false);
		set_slot(self->skel, ORACLE, target.pid, true);
		oracle = stock(self->skel, &hook, ORACLE);
		ASSERT_NE(NULL, oracle);
		fd = view(self->skel, &hook, VIEW, target.pid);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(tell(&target, OP_EXIT, 0));
		waitpid(target.pid, NULL, 0);
		/* It reports its end before it is switched out for the last time. */
		usleep(20000);
		bpf_link__destroy(oracle);
		close(fd);
		close(target.sock);
		EXPECT_LT(0, slots[ORACLE].count);
		EXPECT_TRUE(agree(slots[VIEW].count,
				  misses(self->skel->progs.raw) - missed[VIEW],
				  slots[ORACLE].count,
				  misses(self->skel->progs.raw_oracle) -
					  missed[ORACLE]))
		{
			TH_LOG("%s: view %llu, oracle %llu", names[i],
			       slots[VIEW].count, slots[ORACLE].count);
		}
		EXPECT_EQ(0, slots[VIEW].foreign);
	}
}

/* --- races: neither outcome is wrong, but there are only these --- */

#define ROUNDS 100

/* A child that ends or executes after a while that varies with @round. */
static pid_t short_lived(int round, bool exec)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	zero_fd = open("/dev/zero", O_RDONLY);
	/* From nothing to what several attaches take. */
	reads(round % 10 * (round % 7) * 250);
	if (exec)
		execl("/proc/self/exe", "short", "--target", "-1",
		      (char *)NULL);
	_exit(0);
}

TEST_F_TIMEOUT(life, exit_while_attaching, TIMEOUT)
{
	int attached = 0;

	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid = short_lived(round, round % 3 == 0);
		int fd;

		ASSERT_LT(0, pid);
		set_slot(self->skel, VIEW, pid, false);
		for (int i = 0; i < 100; i++) {
			fd = view(self->skel, &variant->hook, VIEW, pid);
			if (fd < 0)
				break;
			attached++;
			close(fd);
		}
		/* Attached until it was not there any more. */
		EXPECT_EQ(-ESRCH, fd < 0 ? fd : -ESRCH);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		EXPECT_EQ(-ESRCH, view(self->skel, &variant->hook, VIEW, pid));
		EXPECT_EQ(0, self->skel->bss->slots[VIEW].foreign);
	}
	EXPECT_LT(0, attached);
}

TEST_F_TIMEOUT(life, exit_while_detaching, TIMEOUT)
{
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid = short_lived(round, round % 3 == 0);
		int fd;

		ASSERT_LT(0, pid);
		set_slot(self->skel, VIEW, pid, false);
		fd = view(self->skel, &variant->hook, VIEW, pid);
		if (fd >= 0) {
			if (round % 5 == 0)
				usleep(round * 10);
			if (round % 2)
				bpf_link_detach(fd);
			EXPECT_EQ(0, close(fd));
		} else {
			EXPECT_EQ(-ESRCH, fd);
		}
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		EXPECT_EQ(0, self->skel->bss->slots[VIEW].foreign);
	}
}

/* Killed with its threads, in the middle of whatever. */
TEST_F_TIMEOUT(life, kill_while_attaching, TIMEOUT)
{
	for (int round = 0; round < ROUNDS / 3; round++) {
		struct target target;
		pid_t killer;
		int fd;

		ASSERT_TRUE(start_target(&target));
		ASSERT_TRUE(tell_and_wait(&target, OP_PARK, 1));
		ASSERT_TRUE(tell(&target, OP_READ, 1000000));
		set_slot(self->skel, VIEW, target.pid, false);
		killer = fork();
		ASSERT_LE(0, killer);
		if (!killer) {
			usleep(round * 20);
			kill(target.pid, SIGKILL);
			_exit(0);
		}
		do {
			fd = view(self->skel, &variant->hook, VIEW, target.pid);
			close(fd);
		} while (fd >= 0);
		EXPECT_EQ(-ESRCH, fd);
		waitpid(killer, NULL, 0);
		kill_target(&target);
		EXPECT_EQ(0, self->skel->bss->slots[VIEW].foreign);
	}
}

/* Forks, threads and execs race with attach and detach. */
TEST_F_TIMEOUT(life, changes_while_attaching, TIMEOUT)
{
	static const enum op ops[] = { OP_FORK, OP_VFORK,	OP_THREAD,
				       OP_EXEC, OP_THREAD_EXEC, OP_CLONE_VM };
	int more = variant->hook.kind == CLASSIC ? 0 : 2;
	struct target *target = &self->target;

	for (int round = 0; round < ROUNDS; round++) {
		enum op op = ops[round % ARRAY_SIZE(ops)];
		int fd, other;

		ASSERT_TRUE(tell(&self->target, op, 20));
		if (round % 4 == 0)
			usleep(round * 10);
		fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
		ASSERT_LE(0, fd);
		other = view(self->skel, &(struct hook){ RAW, "sched_switch" },
			     VIEW, self->target.pid);
		ASSERT_LE(0, other);
		if (round % 2)
			close(fd);
		ASSERT_TRUE(answer(&self->target));
		EXPECT_EQ(0, self->skel->bss->slots[VIEW].foreign);
		if (!(round % 2)) {
			/* Whatever came in between, it is traced now. */
			close(other);
			self->skel->bss->slots[VIEW].count = 0;
			ASSERT_TRUE(tell_and_wait(target, OP_READ, READS));
			EXPECT_EQ(READS + more,
				  self->skel->bss->slots[VIEW].count);
			close(fd);
		} else {
			close(other);
		}
	}
	/* And at the end, with nothing attached, nothing is seen. */
	self->skel->bss->slots[VIEW].count = 0;
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, READS));
	EXPECT_EQ(0, self->skel->bss->slots[VIEW].count);
}

/* Several who attach and detach at the same time, to one target and to two. */
TEST_F_TIMEOUT(life, many_attach, TIMEOUT)
{
	struct target second;
	pid_t pids[4];

	ASSERT_TRUE(start_target(&second));
	ASSERT_TRUE(tell(&self->target, OP_READ, 50000));
	ASSERT_TRUE(tell(&second, OP_MIX, 20));
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (pids[i])
			continue;
		for (int round = 0; round < 60; round++) {
			struct hook hook = { RAW, round % 3 ? "sys_enter" :
							      "sched_switch" };
			pid_t pid = (round + i) % 2 ? second.pid :
						      self->target.pid;
			int fd;

			if (round % 5 == 4)
				hook = variant->hook;
			fd = view(self->skel, &hook, 10 + i, pid);
			/* Another one's classic program may be the same. */
			if (fd < 0 && !(fd == -EEXIST && hook.kind == CLASSIC))
				_exit(1);
			if (fd >= 0)
				close(fd);
		}
		_exit(0);
	}
	for (int i = 0; i < 4; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	ASSERT_TRUE(answer(&self->target));
	ASSERT_TRUE(answer(&second));
	kill_target(&second);
}
