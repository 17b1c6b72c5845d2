// SPDX-License-Identifier: GPL-2.0
/*
 * What others do to a target, or with it, works as before, and is no event of
 * the target: ptrace, process_vm_readv(), /proc, core dumps, the freezer, the OOM
 * killer, CPU hotplug; and io_uring, whose workers are threads of the target, and
 * kernel threads that use its memory, which are not.
 */
#include "kview_test.h"
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <linux/io_uring.h>

#define READS 100

enum { VIEW, ORACLE };

FIXTURE(others)
{
	struct kview_bpf *skel;
	struct target target;
	struct bpf_link *oracle;
	int fd;
};

FIXTURE_VARIANT(others)
{
	struct hook hook;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(others, sys_enter) {
	.hook = { RAW, "sys_enter" },
};

FIXTURE_VARIANT_ADD(others, sched_switch) {
	.hook = { RAW, "sched_switch" },
};

FIXTURE_VARIANT_ADD(others, mmap_lock_released) {
	.hook = { RAW, "mmap_lock_released" },
};

FIXTURE_VARIANT_ADD(others, signal_generate) {
	.hook = { CLASSIC, "signal:signal_generate" },
};

FIXTURE_VARIANT_ADD(others, kmem_cache_free) {
	.hook = { RAW, "kmem_cache_free" },
};

/* clang-format on */

FIXTURE_SETUP(others)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	set_slot(self->skel, VIEW, self->target.pid, false);
	set_slot(self->skel, ORACLE, self->target.pid, true);
	self->oracle = stock(self->skel, &variant->hook, ORACLE);
	ASSERT_NE(NULL, self->oracle);
	self->fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(others)
{
	kill_target(&self->target);
	close(self->fd);
	bpf_link__destroy(self->oracle);
	kview_bpf__destroy(self->skel);
}

/* The target is asleep, or gone. */
static void same(struct __test_metadata *_metadata, FIXTURE_DATA(others) * self)
{
	struct slot *slots = self->skel->bss->slots;
	__u64 missed[2];

	missed[VIEW] = misses(self->skel->progs.raw) +
		       misses(self->skel->progs.classic);
	missed[ORACLE] = misses(self->skel->progs.raw_oracle) +
			 misses(self->skel->progs.classic_oracle);
	EXPECT_TRUE(agree(slots[VIEW].count, missed[VIEW], slots[ORACLE].count,
			  missed[ORACLE]))
	{
		TH_LOG("view %llu, missed %llu; oracle %llu, missed %llu",
		       slots[VIEW].count, missed[VIEW], slots[ORACLE].count,
		       missed[ORACLE]);
	}
	EXPECT_EQ(0, slots[VIEW].foreign);
}

/* It lives, and what it does is seen. */
static void works(struct __test_metadata *_metadata,
		  FIXTURE_DATA(others) * self)
{
	__u64 before = self->skel->bss->slots[VIEW].count;

	ASSERT_TRUE(tell_and_wait(&self->target, OP_MIX, 2));
	EXPECT_LT(before, self->skel->bss->slots[VIEW].count);
	same(_metadata, self);
}

TEST_F_TIMEOUT(others, ptrace, TIMEOUT)
{
	struct user_regs_struct regs;
	pid_t pid = self->target.pid;
	int status;

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	ASSERT_TRUE(tell(&self->target, OP_MIX, 5));
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSTOPPED(status));
		ASSERT_EQ(0, ptrace(PTRACE_GETREGS, pid, NULL, &regs));
		errno = 0;
		ptrace(PTRACE_PEEKDATA, pid, (void *)regs.rsp, NULL);
		EXPECT_EQ(0, errno);
		/* The signal that stopped it, if one did, is delivered. */
		for (int step = 0; step < 20; step++) {
			int signal = status >> 16 ? 0 : WSTOPSIG(status);

			if (signal == SIGTRAP)
				signal = 0;
			ASSERT_EQ(0,
				  ptrace(PTRACE_SINGLESTEP, pid, NULL, signal));
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			ASSERT_TRUE(WIFSTOPPED(status));
		}
		ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL,
				    WSTOPSIG(status) == SIGTRAP ?
					    0 :
					    WSTOPSIG(status)));
	}
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
	do {
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSTOPPED(status));
		if (status >> 16)
			break;
		ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(status)));
	} while (true);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
	ASSERT_TRUE(answer(&self->target));
	works(_metadata, self);
}

TEST_F_TIMEOUT(others, process_vm_readv, TIMEOUT)
{
	static char here[4096] = "something", there[4096];
	struct iovec local = { there, sizeof(there) };
	struct iovec remote = { here, sizeof(here) };

	ASSERT_TRUE(tell(&self->target, OP_MIX, 5));
	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(sizeof(here),
			  syscall(SYS_process_vm_readv, self->target.pid,
				  &local, 1, &remote, 1, 0));
		ASSERT_EQ(sizeof(here),
			  syscall(SYS_process_vm_writev, self->target.pid,
				  &local, 1, &remote, 1, 0));
	}
	ASSERT_TRUE(answer(&self->target));
	works(_metadata, self);
}

TEST_F_TIMEOUT(others, proc, TIMEOUT)
{
	static const char *const names[] = { "status", "maps",	  "smaps",
					     "stack",  "cmdline", "environ",
					     "auxv",   "pagemap", "wchan",
					     "stat",   "syscall", "numa_maps" };
	static char buffer[65536];

	ASSERT_TRUE(tell(&self->target, OP_MIX, 20));
	for (int i = 0; i < 10; i++)
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			char path[64];
			int fd;

			snprintf(path, sizeof(path), "/proc/%d/%s",
				 self->target.pid, names[j]);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				continue;
			while (read(fd, buffer, sizeof(buffer)) > 0 &&
			       strcmp(names[j], "pagemap"))
				continue;
			close(fd);
		}
	ASSERT_TRUE(answer(&self->target));
	works(_metadata, self);
}

/* Killed in the middle of things, with its memory written to a file. */
TEST_F_TIMEOUT(others, core_dump, TIMEOUT)
{
	char path[64], pattern[128] = "";
	unsigned char header[20] = {};
	int fd, status;
	struct rlimit_pair {
		__u64 soft, hard;
	} unlimited = { ~0ULL, ~0ULL };

	fd = open("/proc/sys/kernel/core_pattern", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_LT(0, pread(fd, pattern, sizeof(pattern) - 1, 0));
	ASSERT_LT(0, pwrite(fd, "/tmp/kview.core.%p", 18, 0));
	ASSERT_EQ(0, syscall(SYS_prlimit64, self->target.pid, 4 /* CORE */,
			     &unlimited, NULL));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_PARK, 1));
	ASSERT_TRUE(tell(&self->target, OP_READ, 10000000));
	usleep(20000);
	kill(self->target.pid, SIGABRT);
	ASSERT_EQ(self->target.pid, waitpid(self->target.pid, &status, 0));
	self->target.reap = false;
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_TRUE(WCOREDUMP(status));
	ASSERT_LT(0, pwrite(fd, pattern, strlen(pattern), 0));
	close(fd);
	/* It reports its end before it is switched out for the last time. */
	usleep(20000);
	same(_metadata, self);

	snprintf(path, sizeof(path), "/tmp/kview.core.%d", self->target.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_EQ(sizeof(header), read(fd, header, sizeof(header)));
	EXPECT_EQ(0, memcmp(header, ELFMAG, SELFMAG));
	/* e_type */
	EXPECT_EQ(ET_CORE, header[16]);
	close(fd);
	unlink(path);
}

#define CGROUP "/sys/fs/cgroup/kview_test"

static bool into_cgroup(pid_t pid)
{
	char number[12];

	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		return false;
	snprintf(number, sizeof(number), "%d", pid);
	return write_file(CGROUP "/cgroup.procs", number);
}

/* Attached and detached while the target is frozen. */
TEST_F_TIMEOUT(others, freezer, TIMEOUT)
{
	const struct hook hook = { CLASSIC, "syscalls:sys_enter_read" };
	int fd;

	ASSERT_TRUE(into_cgroup(self->target.pid));
	ASSERT_TRUE(tell(&self->target, OP_READ, 30000));
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(write_file(CGROUP "/cgroup.freeze", "1"));
		usleep(5000);
		fd = view(self->skel, &hook, 7, self->target.pid);
		ASSERT_LE(0, fd);
		if (i % 2)
			close(fd);
		ASSERT_TRUE(write_file(CGROUP "/cgroup.freeze", "0"));
		usleep(5000);
		if (!(i % 2))
			close(fd);
	}
	ASSERT_TRUE(answer(&self->target));
	EXPECT_LT(0, self->skel->bss->slots[7].count);
	works(_metadata, self);
	kill_target(&self->target);
	rmdir(CGROUP);
}

/* A child of the target is killed, and then the target itself. */
TEST_F_TIMEOUT(others, oom_kill, TIMEOUT)
{
	char path[64];

	if (!write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory"))
		SKIP(return, "no memory controller");
	ASSERT_TRUE(into_cgroup(self->target.pid));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_PARK, 1));
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj",
		 self->target.pid);
	ASSERT_TRUE(write_file(path, "1000"));
	ASSERT_TRUE(tell(&self->target, OP_MIX, 1000000));
	usleep(50000);
	/* Less than it has: what can be reclaimed is not enough. */
	EXPECT_TRUE(write_file(CGROUP "/memory.max", "4096"));
	ASSERT_EQ(self->target.pid, waitpid(self->target.pid, NULL, 0));
	self->target.reap = false;
	usleep(50000);
	same(_metadata, self);
	rmdir(CGROUP);
}

/* The target's CPU goes away under it, again and again. */
TEST_F_TIMEOUT(others, cpu_hotplug, TIMEOUT)
{
	const char *online = "/sys/devices/system/cpu/cpu1/online";

	if (access("/sys/devices/system/cpu/cpu1", X_OK))
		SKIP(return, "there is one CPU only");
	ASSERT_EQ(0, access(online, W_OK));
	for (int i = 0; i < 5; i++) {
		const struct hook hook = { CLASSIC, "syscalls:sys_enter_read" };
		cpu_set_t set;
		int fd;

		CPU_ZERO(&set);
		CPU_SET(1, &set);
		ASSERT_EQ(0, sched_setaffinity(self->target.pid, sizeof(set),
					       &set));
		ASSERT_TRUE(tell(&self->target, OP_READ, 20000));
		if (i == 3)
			ASSERT_TRUE(write_file(online, "0"));
		fd = view(self->skel, &hook, 7, self->target.pid);
		ASSERT_LE(0, fd);
		if (i != 3)
			ASSERT_TRUE(write_file(online, "0"));
		ASSERT_TRUE(answer(&self->target));
		ASSERT_TRUE(write_file(online, "1"));
		close(fd);
		works(_metadata, self);
	}
}

/* --- io_uring --- */

FIXTURE(workers)
{
	struct kview_bpf *skel;
};

FIXTURE_SETUP(workers)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
}

FIXTURE_TEARDOWN(workers)
{
	kview_bpf__destroy(self->skel);
}

/* Let a worker of io_uring read @n times from a file. */
static bool uring_reads(unsigned int n)
{
	struct io_uring_params params = {};
	struct io_uring_sqe *sqes;
	unsigned int *array, *tail, *mask, *cq_head;
	static char buffer[64];
	int ring, file;
	char *sq;

	file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0 || file < 0)
		return false;
	sq = mmap(NULL, params.sq_off.array + params.sq_entries * 4 + 4096,
		  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
		  IORING_OFF_SQ_RING);
	sqes = mmap(NULL, params.sq_entries * sizeof(*sqes),
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
		    IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqes == MAP_FAILED)
		return false;
	array = (void *)(sq + params.sq_off.array);
	tail = (void *)(sq + params.sq_off.tail);
	mask = (void *)(sq + params.sq_off.ring_mask);
	/* Both rings are in one mapping. */
	cq_head = (void *)(sq + params.cq_off.head);
	while (n--) {
		unsigned int index = *tail & *mask;

		memset(&sqes[index], 0, sizeof(sqes[index]));
		sqes[index].opcode = IORING_OP_READ;
		sqes[index].flags = IOSQE_ASYNC;
		sqes[index].fd = file;
		sqes[index].addr = (uintptr_t)buffer;
		sqes[index].len = sizeof(buffer);
		array[index] = index;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
		if (syscall(SYS_io_uring_enter, ring, 1, 1,
			    IORING_ENTER_GETEVENTS, NULL, 0) != 1)
			return false;
		__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	}
	close(ring);
	close(file);
	return true;
}

/* The workers are threads of the target: what they do is its own. */
TEST_F_TIMEOUT(workers, io_uring, TIMEOUT)
{
	static const char *const names[] = { "io_uring_queue_async_work",
					     "kmem_cache_alloc", "sched_switch",
					     "task_newtask",
					     "sched_process_exit" };
	struct slot *slots = self->skel->bss->slots;
	long workers = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct hook hook = { RAW, names[i] };
		struct bpf_link *oracle;
		int pair[2], fd, status;
		pid_t pid;
		char byte;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (recv(pair[1], &byte, 1, 0) != 1)
				_exit(2);
			_exit(uring_reads(20) ? 0 : 3);
		}
		usleep(20000);
		set_slot(self->skel, VIEW, pid, false);
		set_slot(self->skel, ORACLE, pid, true);
		oracle = stock(self->skel, &hook, ORACLE);
		ASSERT_NE(NULL, oracle);
		fd = view(self->skel, &hook, VIEW, pid);
		ASSERT_LE(0, fd);
		ASSERT_EQ(1, send(pair[0], "", 1, 0));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		usleep(50000);
		bpf_link__destroy(oracle);
		close(fd);
		close(pair[0]);
		close(pair[1]);
		if (!strcmp(names[i], "task_newtask"))
			workers = slots[VIEW].count;
		EXPECT_LT(0, slots[VIEW].count);
		EXPECT_TRUE(agree(slots[VIEW].count,
				  misses(self->skel->progs.raw),
				  slots[ORACLE].count,
				  misses(self->skel->progs.raw_oracle)))
		{
			TH_LOG("%s: view %llu, oracle %llu", names[i],
			       slots[VIEW].count, slots[ORACLE].count);
		}
		EXPECT_EQ(0, slots[VIEW].foreign);
	}
	EXPECT_LE(1, workers);
}

/* A kernel thread that has taken the target's mm is not the target. */
TEST_F_TIMEOUT(others, kthread_use_mm, TIMEOUT)
{
	int ret = load_module();

	ASSERT_TRUE(!ret || ret == -EEXIST)
	{
		TH_LOG(MODULE_FILE ": %s", strerror(-ret));
	}
	works(_metadata, self);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_USE_MM, 500));
	same(_metadata, self);
	/* Its own steps are its own. */
	ASSERT_TRUE(tell_and_wait(&self->target, OP_STEP, 500));
	works(_metadata, self);
	EXPECT_EQ(0, unload_module());
}
