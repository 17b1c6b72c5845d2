// SPDX-License-Identifier: GPL-2.0
/*
 * Which processes a link is for: targets that are added and taken away, those
 * that follow a fork, and what the flags of a link leave out.
 */
#include "kview_test.h"

#define READS 50
#define NR_TARGETS 4

FIXTURE(targets)
{
	struct kview_bpf *skel;
	struct target targets[NR_TARGETS];
	__u32 pids[NR_TARGETS];
	int fd;
};

FIXTURE_VARIANT(targets)
{
	struct hook hook;
	/* Events of an order to read, but for the reads. */
	int more;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(targets, raw) {
	.hook = { RAW, "sys_enter" },
	.more = 2,
};

FIXTURE_VARIANT_ADD(targets, btf) {
	.hook = { BTF, "sys_enter" },
	.more = 2,
};

FIXTURE_VARIANT_ADD(targets, classic) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
};

/* clang-format on */

/* The link begins with the first target. */
FIXTURE_SETUP(targets)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	for (int i = 0; i < NR_TARGETS; i++) {
		ASSERT_TRUE(start_target(&self->targets[i]));
		self->pids[i] = self->targets[i].pid;
	}
	self->fd = view(self->skel, &variant->hook, 0, self->pids[0]);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(targets)
{
	close(self->fd);
	for (int i = 0; i < NR_TARGETS; i++)
		kill_target(&self->targets[i]);
	kview_bpf__destroy(self->skel);
}

/* Exactly the targets in @set are seen. */
static void expect_set(struct __test_metadata *_metadata,
		       FIXTURE_DATA(targets) * self, int more, unsigned int set)
{
	struct slot *slot = &self->skel->bss->slots[0];

	for (int i = 0; i < NR_TARGETS; i++) {
		__u64 expected = set & 1U << i ? READS + more : 0;

		slot->count = 0;
		ASSERT_TRUE(tell_and_wait(&self->targets[i], OP_READ, READS));
		EXPECT_EQ(expected, slot->count)
		{
			TH_LOG("target %d of set %x", i, set);
		}
	}
}

/* And the link says so. */
static void expect_info(struct __test_metadata *_metadata,
			FIXTURE_DATA(targets) * self, unsigned int set)
{
	struct bpf_link_info info = {};
	__u32 pids[NR_TARGETS + 1] = {};
	unsigned int seen = 0, nr = 0;

	info.kview.pids = (uintptr_t)pids;
	info.kview.count = ARRAY_SIZE(pids);
	ASSERT_EQ(0, link_info(self->fd, &info));
	for (int i = 0; i < NR_TARGETS; i++) {
		nr += !!(set & 1U << i);
		for (__u32 j = 0; j < info.kview.count; j++)
			if (pids[j] == self->pids[i])
				seen |= 1U << i;
	}
	EXPECT_EQ(nr, info.kview.count);
	EXPECT_EQ(set, seen);
	EXPECT_EQ(set ? 0 : BPF_F_KVIEW_DEFUNCT, info.kview.flags);
	EXPECT_EQ(!!set, !!info.kview.nr_pages);
}

#define ADD(n, of) link_targets(self->fd, BPF_LINK_TARGETS_ADD, of, n, 0)
#define DEL(n, of) link_targets(self->fd, BPF_LINK_TARGETS_DEL, of, n, 0)

TEST_F_TIMEOUT(targets, add_and_del, TIMEOUT)
{
	struct hook hook = variant->hook;

	expect_set(_metadata, self, variant->more, 0x1);
	EXPECT_EQ(0, ADD(1, &self->pids[1]));
	expect_set(_metadata, self, variant->more, 0x3);
	EXPECT_EQ(0, ADD(2, &self->pids[2]));
	expect_set(_metadata, self, variant->more, 0xf);
	expect_info(_metadata, self, 0xf);
	EXPECT_EQ(0, DEL(2, &self->pids[0]));
	expect_set(_metadata, self, variant->more, 0xc);
	expect_info(_metadata, self, 0xc);
	EXPECT_EQ(0, ADD(1, &self->pids[0]));
	expect_set(_metadata, self, variant->more, 0xd);
	EXPECT_EQ(0, DEL(2, &self->pids[2]));
	EXPECT_EQ(0, DEL(1, &self->pids[0]));
	/* A link without targets is still a link. */
	expect_set(_metadata, self, variant->more, 0);
	expect_info(_metadata, self, 0);
	EXPECT_EQ(0, ADD(4, self->pids));
	expect_set(_metadata, self, variant->more, 0xf);
	expect_info(_metadata, self, 0xf);

	/* Another link knows nothing of that. */
	if (hook.kind != CLASSIC) {
		int other = view(self->skel, &hook, 1, self->pids[1]);

		ASSERT_LE(0, other);
		EXPECT_EQ(0, DEL(1, &self->pids[1]));
		self->skel->bss->slots[1].count = 0;
		expect_set(_metadata, self, variant->more, 0xd);
		EXPECT_EQ(READS + variant->more,
			  self->skel->bss->slots[1].count);
		close(other);
	}
}

TEST_F_TIMEOUT(targets, eexist, TIMEOUT)
{
	__u32 twice[] = { self->pids[1], self->pids[2], self->pids[1] };
	__u32 mixed[] = { self->pids[1], self->pids[0], self->pids[2] };

	EXPECT_EQ(-EEXIST, ADD(1, self->pids));
	EXPECT_EQ(-EEXIST, ADD(3, twice));
	EXPECT_EQ(-EEXIST, ADD(3, mixed));
	expect_set(_metadata, self, variant->more, 0x1);
	expect_info(_metadata, self, 0x1);
}

TEST_F_TIMEOUT(targets, enoent, TIMEOUT)
{
	__u32 mixed[] = { self->pids[0], self->pids[1] };
	__u32 twice[] = { self->pids[0], self->pids[0] };
	__u32 nobody = 1 << 30;

	EXPECT_EQ(-ENOENT, DEL(1, &self->pids[1]));
	EXPECT_EQ(-ENOENT, DEL(2, mixed));
	EXPECT_EQ(-ENOENT, DEL(2, twice));
	EXPECT_EQ(-ENOENT, DEL(1, &nobody));
	expect_set(_metadata, self, variant->more, 0x1);
	expect_info(_metadata, self, 0x1);
}

/* All or nothing: what else is wrong with one of the processes. */
TEST_F_TIMEOUT(targets, bad_ones, TIMEOUT)
{
	__u32 nobody[] = { self->pids[1], 1 << 30 };
	__u32 kthread[] = { self->pids[1], 2 };
	__u32 not_pidfds[] = { self->fd };

	EXPECT_EQ(-ESRCH, ADD(2, nobody));
	EXPECT_EQ(-EINVAL, ADD(2, kthread));
	EXPECT_EQ(-EBADF, link_targets(self->fd, BPF_LINK_TARGETS_ADD,
				       not_pidfds, 1, BPF_F_VIEW_PIDFD));
	EXPECT_EQ(-EBADF, link_targets(self->fd, BPF_LINK_TARGETS_DEL,
				       not_pidfds, 1, BPF_F_VIEW_PIDFD));
	expect_set(_metadata, self, variant->more, 0x1);
	expect_info(_metadata, self, 0x1);
}

TEST_F_TIMEOUT(targets, bad_arguments, TIMEOUT)
{
	struct bpf_link *system_wide = stock(self->skel, &variant->hook, 1);
	__u32 *pids = &self->pids[1];
	union bpf_attr attr = {};

	ASSERT_NE(NULL, system_wide);
	EXPECT_EQ(-EINVAL, link_targets(self->fd, 0, pids, 1, 0));
	EXPECT_EQ(-EINVAL, link_targets(self->fd, 3, pids, 1, 0));
	EXPECT_EQ(-EINVAL, ADD(0, pids));
	for (int bit = 1; bit < 32; bit++)
		EXPECT_EQ(-EINVAL, link_targets(self->fd, BPF_LINK_TARGETS_ADD,
						pids, 1, 1U << bit));
	EXPECT_EQ(-E2BIG, ADD(BPF_LINK_TARGETS_MAX + 1, pids));
	EXPECT_EQ(-EFAULT, ADD(1, NULL));
	EXPECT_EQ(-EBADF, link_targets(-1, BPF_LINK_TARGETS_ADD, pids, 1, 0));
	EXPECT_EQ(-EINVAL, link_targets(bpf_link__fd(system_wide),
					BPF_LINK_TARGETS_ADD, pids, 1, 0));
	/* What comes after the last field must be zero. */
	attr.link_update_targets.link_fd = self->fd;
	attr.link_update_targets.op = BPF_LINK_TARGETS_ADD;
	attr.link_update_targets.pids = (uintptr_t)pids;
	attr.link_update_targets.count = 1;
	((char *)&attr)[sizeof(attr.link_update_targets)] = 1;
	EXPECT_EQ(-1, sys_bpf(BPF_LINK_UPDATE_TARGETS, &attr));
	EXPECT_EQ(EINVAL, errno);
	bpf_link__destroy(system_wide);
	expect_set(_metadata, self, variant->more, 0x1);
}

TEST_F_TIMEOUT(targets, eperm, TIMEOUT)
{
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid) {
		if (setuid(65534))
			_exit(1);
		if (ADD(1, &self->pids[1]) != -EPERM)
			_exit(2);
		_exit(DEL(1, &self->pids[0]) == -EPERM ? 0 : 3);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	expect_set(_metadata, self, variant->more, 0x1);
}

TEST_F_TIMEOUT(targets, by_pidfd, TIMEOUT)
{
	__u32 pidfds[NR_TARGETS];

	for (int i = 0; i < NR_TARGETS; i++) {
		int pidfd = syscall(SYS_pidfd_open, self->pids[i], 0);

		ASSERT_LE(0, pidfd);
		pidfds[i] = pidfd;
	}
	EXPECT_EQ(0, link_targets(self->fd, BPF_LINK_TARGETS_ADD, &pidfds[1], 3,
				  BPF_F_VIEW_PIDFD));
	expect_set(_metadata, self, variant->more, 0xf);
	EXPECT_EQ(0, link_targets(self->fd, BPF_LINK_TARGETS_DEL, pidfds, 2,
				  BPF_F_VIEW_PIDFD));
	expect_set(_metadata, self, variant->more, 0xc);

	/* A process that is gone is not in the set. */
	kill_target(&self->targets[3]);
	EXPECT_EQ(-ENOENT, link_targets(self->fd, BPF_LINK_TARGETS_DEL,
					&pidfds[3], 1, BPF_F_VIEW_PIDFD));
	EXPECT_EQ(-ESRCH, link_targets(self->fd, BPF_LINK_TARGETS_ADD,
				       &pidfds[3], 1, BPF_F_VIEW_PIDFD));
	for (int i = 0; i < NR_TARGETS; i++)
		close(pidfds[i]);
}

/* Targets end one by one, and others take their place. */
TEST_F_TIMEOUT(targets, targets_that_exit, TIMEOUT)
{
	EXPECT_EQ(0, ADD(3, &self->pids[1]));
	kill_target(&self->targets[0]);
	expect_info(_metadata, self, 0xe);
	ASSERT_TRUE(start_target(&self->targets[0]));
	self->pids[0] = self->targets[0].pid;
	expect_set(_metadata, self, variant->more, 0xe);
	EXPECT_EQ(0, ADD(1, &self->pids[0]));
	expect_set(_metadata, self, variant->more, 0xf);
	for (int i = 0; i < NR_TARGETS; i++)
		kill_target(&self->targets[i]);
	expect_info(_metadata, self, 0);
}

TEST_F_TIMEOUT(targets, detached, TIMEOUT)
{
	ASSERT_EQ(0, bpf_link_detach(self->fd));
	EXPECT_EQ(-ENOLINK, ADD(1, &self->pids[1]));
	EXPECT_EQ(-ENOENT, DEL(1, &self->pids[0]));
	expect_set(_metadata, self, variant->more, 0);
}

/* The buffer for PIDs is used as far as it goes. */
TEST_F_TIMEOUT(targets, info_pids, TIMEOUT)
{
	struct bpf_link_info info = {};
	__u32 pids[3] = { 0, 0, 99 };

	EXPECT_EQ(0, ADD(3, &self->pids[1]));
	ASSERT_EQ(0, link_info(self->fd, &info));
	EXPECT_EQ(4, info.kview.count);
	memset(&info, 0, sizeof(info));
	info.kview.pids = (uintptr_t)pids;
	info.kview.count = 2;
	EXPECT_EQ(-ENOSPC, link_info(self->fd, &info));
	EXPECT_EQ(self->pids[0], pids[0]);
	EXPECT_EQ(self->pids[1], pids[1]);
	EXPECT_EQ(99, pids[2]);
	memset(&info, 0, sizeof(info));
	info.kview.count = 2;
	EXPECT_EQ(-EINVAL, link_info(self->fd, &info));
	memset(&info, 0, sizeof(info));
	info.kview.pids = (uintptr_t)pids;
	EXPECT_EQ(-EINVAL, link_info(self->fd, &info));
}

/* --- follow fork --- */

FIXTURE(follow)
{
	struct kview_bpf *skel;
	struct target target;
};

FIXTURE_VARIANT(follow)
{
	enum op op;
	/* The program that is executed reads its libraries, too. */
	bool executes;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(follow, fork) {
	.op = OP_FORK,
};

FIXTURE_VARIANT_ADD(follow, vfork) {
	.op = OP_VFORK,
};

FIXTURE_VARIANT_ADD(follow, clone_vm) {
	.op = OP_CLONE_VM,
};

FIXTURE_VARIANT_ADD(follow, grandchild) {
	.op = OP_GRANDCHILD,
};

FIXTURE_VARIANT_ADD(follow, fork_exec) {
	.op = OP_FORK_EXEC,
	.executes = true,
};

FIXTURE_VARIANT_ADD(follow, vfork_exec) {
	.op = OP_VFORK_EXEC,
	.executes = true,
};

/* clang-format on */

FIXTURE_SETUP(follow)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
}

FIXTURE_TEARDOWN(follow)
{
	kill_target(&self->target);
	kview_bpf__destroy(self->skel);
}

/* A link that follows sees the descendants, one that does not does not. */
TEST_F_TIMEOUT(follow, descendants, TIMEOUT)
{
	const struct hook hook = { CLASSIC, "syscalls:sys_enter_read" };
	const struct hook raw_hook = { RAW, "sys_enter" };
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link_info info = {};
	int fds[3];

	fds[0] = view_program_flags(self->skel->progs.classic, &hook, 0,
				    self->target.pid, BPF_F_VIEW_FOLLOW_FORK);
	fds[1] = view_program_flags(self->skel->progs.classic_oracle, &hook, 1,
				    self->target.pid, 0);
	fds[2] = view_program_flags(self->skel->progs.raw, &raw_hook, 2,
				    self->target.pid, BPF_F_VIEW_FOLLOW_FORK);
	for (int i = 0; i < 3; i++)
		ASSERT_LE(0, fds[i]);
	ASSERT_EQ(0, link_info(fds[0], &info));
	EXPECT_EQ(BPF_F_VIEW_FOLLOW_FORK, info.kview.view_flags);
	set_slot(self->skel, 1, self->target.pid, false);

	for (int i = 1; i < 4; i++) {
		__u64 expected = i * READS, before = slots[0].count;

		ASSERT_TRUE(tell(&self->target, variant->op, i * READS));
		ASSERT_TRUE(answer(&self->target));
		EXPECT_LE(expected, slots[0].count - before);
		EXPECT_GE(expected + (variant->executes ? 20 : 0),
			  slots[0].count - before);
		EXPECT_EQ(0, slots[1].count);
		EXPECT_EQ(0, slots[1].foreign);
		EXPECT_LT(slots[0].count, slots[2].count);
	}
	/* The children are gone from the set. */
	memset(&info, 0, sizeof(info));
	ASSERT_EQ(0, link_info(fds[0], &info));
	EXPECT_EQ(1, info.kview.count);

	/* The target is still seen by both. */
	slots[0].count = 0;
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, READS));
	EXPECT_EQ(READS, slots[0].count);
	EXPECT_EQ(READS, slots[1].count);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	slots[0].count = 0;
	slots[2].count = 0;
	ASSERT_TRUE(tell_and_wait(&self->target, variant->op, READS));
	EXPECT_EQ(0, slots[0].count);
	EXPECT_EQ(0, slots[2].count);
}

/* A descendant outlives the target, is in the set, and can be taken from it. */
TEST_F_TIMEOUT(follow, survivor, TIMEOUT)
{
	const struct hook hook = { RAW, "sys_enter" };
	struct slot *slot = &self->skel->bss->slots[0];
	struct bpf_link_info info = {};
	struct target middle, child;
	__u32 pid, seen = 0;
	int fd, pair[2], ids[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	ASSERT_EQ(0, pipe(ids));
	middle.pid = fork();
	ASSERT_LE(0, middle.pid);
	if (!middle.pid) {
		char go;

		if (read(ids[0], &go, 1) != 1)
			_exit(1);
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, 0);
			close(pair[0]);
			target_loop(pair[1], false);
		}
		_exit(write(ids[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	close(pair[1]);
	usleep(10000);
	fd = view_program_flags(self->skel->progs.raw, &hook, 0, middle.pid,
				BPF_F_VIEW_FOLLOW_FORK);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(ids[1], "", 1));
	ASSERT_EQ(middle.pid, waitpid(middle.pid, NULL, 0));
	ASSERT_EQ(sizeof(pid), read(ids[0], &pid, sizeof(pid)));
	child = (struct target){ .pid = pid, .sock = pair[0] };
	settle(&child);

	info.kview.count = 1;
	info.kview.pids = (uintptr_t)&seen;
	ASSERT_EQ(0, link_info(fd, &info));
	EXPECT_EQ(1, info.kview.count);
	EXPECT_EQ(pid, seen);
	EXPECT_EQ(pid, info.kview.pid);
	slot->count = 0;
	ASSERT_TRUE(tell_and_wait(&child, OP_READ, READS));
	EXPECT_EQ(READS + 2, slot->count);
	EXPECT_EQ(0, link_targets(fd, BPF_LINK_TARGETS_DEL, &pid, 1, 0));
	ASSERT_TRUE(tell_and_wait(&child, OP_READ, READS));
	EXPECT_EQ(READS + 2, slot->count);
	close(fd);
	kill(pid, SIGKILL);
	close(pair[0]);
}

/* --- interrupts --- */

FIXTURE(context)
{
	struct kview_bpf *skel;
	struct target target;
};

FIXTURE_SETUP(context)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
}

FIXTURE_TEARDOWN(context)
{
	kill_target(&self->target);
	kview_bpf__destroy(self->skel);
}

/* Timer interrupts come while the target runs: they are seen unless left out. */
TEST_F_TIMEOUT(context, interrupts_left_out, TIMEOUT)
{
	const struct hook hooks[] = { { RAW, "hrtimer_expire_entry" },
				      { CLASSIC, "timer:hrtimer_expire_entry" },
				      { RAW, "softirq_raise" } };
	struct slot *slots = self->skel->bss->slots;
	struct target *target = &self->target;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		struct bpf_program *first, *second;
		int all, some;

		first = counter_of(self->skel, hooks[i].kind);
		second = oracle_of(self->skel, hooks[i].kind);
		memset(slots, 0, 2 * sizeof(*slots));
		all = view_program_flags(first, &hooks[i], 0, self->target.pid,
					 0);
		some = view_program_flags(second, &hooks[i], 1,
					  self->target.pid,
					  BPF_F_VIEW_TASK_CONTEXT);
		ASSERT_LE(0, all);
		ASSERT_LE(0, some);
		for (int j = 0; j < 50 && slots[0].count < 5; j++)
			ASSERT_TRUE(tell_and_wait(target, OP_READ, 50000));
		EXPECT_LE(5, slots[0].count);
		EXPECT_EQ(0, slots[1].count);
		close(all);
		close(some);
	}
}

/* What happens in the context of the task is not. */
TEST_F_TIMEOUT(context, tasks_left_in, TIMEOUT)
{
	const struct hook hooks[] = { { RAW, "sys_enter" },
				      { BTF, "sys_enter" },
				      { CLASSIC, "raw_syscalls:sys_enter" },
				      { RAW, "mmap_lock_released" },
				      { CLASSIC, "syscalls:sys_enter_read" } };
	struct slot *slots = self->skel->bss->slots;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		struct bpf_program *program;
		struct bpf_link *oracle;
		int fd;

		program = counter_of(self->skel, hooks[i].kind);
		set_slot(self->skel, 0, self->target.pid, false);
		set_slot(self->skel, 1, self->target.pid, true);
		oracle = stock(self->skel, &hooks[i], 1);
		ASSERT_NE(NULL, oracle);
		fd = view_program_flags(program, &hooks[i], 0, self->target.pid,
					BPF_F_VIEW_TASK_CONTEXT);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_MMAP, 20));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, READS));
		close(fd);
		bpf_link__destroy(oracle);
		EXPECT_LE(READS < 20 ? READS : 20, slots[0].count);
		EXPECT_EQ(slots[1].count, slots[0].count);
		EXPECT_EQ(0, slots[0].foreign);
	}
}

/* --- processes that share their memory --- */

/* Each target has its own events, and executes into a view of its own. */
TEST_F_TIMEOUT(context, shared_memory, TIMEOUT)
{
	const struct hook hook = { CLASSIC, "syscalls:sys_enter_read" };
	struct slot *slots = self->skel->bss->slots;
	__u32 pid = self->target.pid;
	int fd, other;

	set_slot(self->skel, 0, pid, false);
	fd = view(self->skel, &hook, 0, pid);
	ASSERT_LE(0, fd);
	other = view_program_flags(self->skel->progs.classic_oracle, &hook, 1,
				   pid, BPF_F_VIEW_FOLLOW_FORK);
	ASSERT_LE(0, other);
	for (int i = 0; i < 20; i++) {
		slots[0].count = 0;
		slots[1].count = 0;
		ASSERT_TRUE(tell_and_wait(&self->target,
					  i % 2 ? OP_VFORK_EXEC : OP_CLONE_VM,
					  READS));
		EXPECT_EQ(0, slots[0].count);
		EXPECT_LE(READS, slots[1].count);
		EXPECT_GT(READS + 20, slots[1].count);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, READS));
		EXPECT_EQ(READS, slots[0].count);
		EXPECT_EQ(0, slots[0].foreign);
		if (i % 5 == 4)
			ASSERT_TRUE(tell_and_wait(&self->target, OP_EXEC, 0));
	}
	close(fd);
	close(other);
}
