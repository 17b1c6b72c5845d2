// SPDX-License-Identifier: GPL-2.0
/*
 * Translations: whoever runs when a view comes, changes or goes uses at once what is
 * there then, and nobody else ever does. An emulator that forgets all translations
 * whenever page tables are switched passes most of this whatever the kernel does:
 * what counts is a real processor, or an emulator that models its TLB.
 */
#include "kview_test.h"

/* Somebody else's, of other text than what is looked at. */
static const struct hook other_hooks[] = {
	{ RAW, "signal_deliver" },
	{ RAW, "sched_process_fork" },
	{ RAW, "sched_process_exit" },
};

static int nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

/* Let a thread, or who calls (0), run on one CPU only. */
static bool pin(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(tid, sizeof(set), &set);
}

/* --- a process whose threads never cease to read --- */

#define MOST_THREADS 8

/* Of one thread: reads that it has begun, and those that it is done with. A cache line. */
struct progress {
	__u64 begun;
	__u64 done;
	int cpu;
	char pad[44];
};

struct runner {
	pid_t pid;
	int nr_threads;
	struct progress *threads;
};

static void *run(void *data)
{
	struct progress *progress = data;
	char byte;

	if (!pin(0, progress->cpu))
		_exit(1);
	for (;;) {
		__atomic_fetch_add(&progress->begun, 1, __ATOMIC_SEQ_CST);
		raw_read(zero_fd, &byte, 1);
		__atomic_fetch_add(&progress->done, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static __u64 sum_begun(struct runner *runner)
{
	__u64 sum = 0;

	for (int i = 0; i < runner->nr_threads; i++)
		sum += __atomic_load_n(&runner->threads[i].begun,
				       __ATOMIC_SEQ_CST);
	return sum;
}

static __u64 sum_done(struct runner *runner)
{
	__u64 sum = 0;

	for (int i = 0; i < runner->nr_threads; i++)
		sum += __atomic_load_n(&runner->threads[i].done,
				       __ATOMIC_SEQ_CST);
	return sum;
}

/* Wait until each thread has read so many times more; false if one does not. */
static bool go_on(struct runner *runner, __u64 reads)
{
	for (int i = 0; i < runner->nr_threads; i++) {
		struct progress *progress = &runner->threads[i];
		__u64 until =
			__atomic_load_n(&progress->done, __ATOMIC_SEQ_CST) +
			reads;
		int tries = 0;

		while (__atomic_load_n(&progress->done, __ATOMIC_SEQ_CST) <
		       until) {
			if (tries++ == 100000)
				return false;
			usleep(1000);
		}
	}
	return true;
}

/*
 * A thread on each CPU but the first, where who attaches is: these are not
 * interrupted by a switch to other page tables. With one CPU, on that.
 */
static bool start_runner(struct runner *runner)
{
	int cpus = nr_cpus();
	pthread_t thread;

	runner->threads = mmap(NULL, MOST_THREADS * sizeof(*runner->threads),
			       PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	runner->nr_threads = cpus == 1 ? 1 : cpus - 1;
	if (runner->threads == MAP_FAILED || runner->nr_threads > MOST_THREADS)
		return false;
	for (int i = 0; i < runner->nr_threads; i++)
		runner->threads[i].cpu = cpus == 1 ? 0 : i + 1;
	runner->pid = fork();
	if (!runner->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		for (int i = 0; i < runner->nr_threads; i++)
			if (pthread_create(&thread, NULL, run,
					   &runner->threads[i]))
				_exit(1);
		for (;;)
			pause();
	}
	if (runner->pid <= 0 || !go_on(runner, 100))
		return false;
	/* The first thread has made its last system call. */
	for (int i = 0; i < 10000 && !asleep(runner->pid); i++)
		usleep(200);
	usleep(2000);
	return true;
}

static void kill_runner(struct runner *runner)
{
	if (runner->pid <= 0)
		return;
	kill(runner->pid, SIGKILL);
	waitpid(runner->pid, NULL, 0);
	munmap(runner->threads, MOST_THREADS * sizeof(*runner->threads));
	runner->pid = 0;
}

FIXTURE(running)
{
	struct kview_bpf *skel;
	struct runner runner;
	struct target other;
};

FIXTURE_VARIANT(running)
{
	struct hook hook;
	/* Others' views share the 2 MB region: it is not the first to change. */
	bool in_company;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(running, classic_alone) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
};

FIXTURE_VARIANT_ADD(running, classic_in_company) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
	.in_company = true,
};

FIXTURE_VARIANT_ADD(running, raw_in_company) {
	.hook = { RAW, "sys_enter" },
	.in_company = true,
};

/* clang-format on */

FIXTURE_SETUP(running)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(pin(0, 0));
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->other));
	ASSERT_TRUE(start_runner(&self->runner));
	set_slot(self->skel, 0, self->runner.pid, false);
}

FIXTURE_TEARDOWN(running)
{
	kill_runner(&self->runner);
	kill_target(&self->other);
	kview_bpf__destroy(self->skel);
}

/*
 * Each read that begins when the attach is over is seen, and none after the detach:
 * no thread runs on what was there before.
 */
TEST_F_TIMEOUT(running, attach_and_detach, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[0];
	struct runner *runner = &self->runner;
	int company = -1;

	if (variant->in_company) {
		company = view(self->skel, &variant->hook, 1, self->other.pid);
		ASSERT_LE(0, company);
	}
	for (int round = 0; round < 10; round++) {
		__u64 before, first, last, after, count;
		int fd;

		slot->count = 0;
		before = sum_done(runner);
		fd = view(self->skel, &variant->hook, 0, runner->pid);
		first = sum_begun(runner);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(go_on(runner, 200));
		last = sum_done(runner);
		close(fd);
		after = sum_begun(runner);
		/* An event that has begun may be counted yet. */
		ASSERT_TRUE(go_on(runner, 2));
		count = slot->count;
		EXPECT_LE(last - first, count)
		{
			TH_LOG("round %d: of %llu reads while attached, %llu were not seen",
			       round, last - first, last - first - count);
		}
		EXPECT_GE(after - before, count);
		ASSERT_TRUE(go_on(runner, 200));
		EXPECT_EQ(count, slot->count)
		{
			TH_LOG("round %d: seen after the detach", round);
		}
		EXPECT_EQ(0, slot->foreign);
	}
	if (company >= 0)
		close(company);
}

/*
 * The memory of a view that is gone gets other contents at once. Threads that went
 * on using it would execute those.
 */
TEST_F_TIMEOUT(running, memory_is_used_again, TIMEOUT)
{
	struct runner *runner = &self->runner;
	int company;

	/* Keeps the memory of text copies with the views. */
	company = view(self->skel, &variant->hook, 1, self->other.pid);
	ASSERT_LE(0, company);
	for (int round = 0; round < 10; round++) {
		int fds[ARRAY_SIZE(other_hooks)];
		int fd = view(self->skel, &variant->hook, 0, runner->pid);

		ASSERT_LE(0, fd);
		ASSERT_TRUE(go_on(runner, 50));
		close(fd);
		for (size_t i = 0; i < ARRAY_SIZE(other_hooks); i++) {
			fds[i] = view(self->skel, &other_hooks[i], 2,
				      self->other.pid);
			ASSERT_LE(0, fds[i]);
		}
		ASSERT_TRUE(go_on(runner, 50));
		for (size_t i = 0; i < ARRAY_SIZE(other_hooks); i++)
			close(fds[i]);
	}
	close(company);
}

/* A process takes the threads, and what they run on, along when it is killed. */
TEST_F_TIMEOUT(running, killed, TIMEOUT)
{
	for (int round = 0; round < 5; round++) {
		int fd = view(self->skel, &variant->hook, 0, self->runner.pid);

		ASSERT_LE(0, fd);
		ASSERT_TRUE(go_on(&self->runner, 50));
		kill_runner(&self->runner);
		ASSERT_TRUE(start_runner(&self->runner));
		self->skel->bss->slots[0].count = 0;
		/* The next one, on the same CPUs, is not traced. */
		ASSERT_TRUE(go_on(&self->runner, 50));
		EXPECT_EQ(0, self->skel->bss->slots[0].count);
		EXPECT_EQ(0, self->skel->bss->slots[0].foreign);
		set_slot(self->skel, 0, self->runner.pid, false);
		close(fd);
	}
}

/* --- processes that take turns --- */

/* More than a CPU has identifiers of address spaces in use at a time. */
#define NR_TURNS 9

/* How often each comes when a process does @n times OP_MIX, and sends its answer. */
static const struct {
	struct hook hook;
	unsigned int more;
} turn_hooks[] = {
	{ { BTF, "signal_deliver" }, 0 },
	{ { RAW, "sched_process_fork" }, 0 },
	{ { CLASSIC, "syscalls:sys_enter_pread64" }, 0 },
	{ { CLASSIC, "sock:sock_send_length" }, 1 },
};

#define NR_TURN_HOOKS ARRAY_SIZE(turn_hooks)
#define MIX 3

FIXTURE(turns)
{
	struct kview_bpf *skel;
	struct target targets[NR_TURNS];
};

FIXTURE_SETUP(turns)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load_for("signal_deliver");
	ASSERT_NE(NULL, self->skel);
	for (int i = 0; i < NR_TURNS; i++) {
		ASSERT_TRUE(start_target(&self->targets[i]));
		ASSERT_TRUE(pin(self->targets[i].pid, nr_cpus() - 1));
	}
}

FIXTURE_TEARDOWN(turns)
{
	for (int i = 0; i < NR_TURNS; i++)
		kill_target(&self->targets[i]);
	kview_bpf__destroy(self->skel);
}

static void take_turns(struct __test_metadata *_metadata,
		       FIXTURE_DATA(turns) * self)
{
	for (int i = 0; i < NR_TURNS; i++)
		ASSERT_TRUE(tell_and_wait(&self->targets[i], OP_MIX, MIX));
	/* And all at the same time. */
	for (int i = 0; i < NR_TURNS; i++)
		ASSERT_TRUE(tell(&self->targets[i], OP_MIX, MIX));
	for (int i = 0; i < NR_TURNS; i++)
		ASSERT_TRUE(answer(&self->targets[i]));
}

/*
 * On one CPU, which has translations of all the text from all the processes when the
 * next one becomes a target, of a hook somewhere else in the kernel. It is seen from
 * then on, with all that were seen before, and neither is seen in others.
 */
TEST_F_TIMEOUT(turns, one_more_each_time, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int fds[NR_TURN_HOOKS * 2];
	int nr = 0;

	take_turns(_metadata, self);
	/* Twice each, in processes that do not come one after the other. */
	for (nr = 0; nr < (int)NR_TURN_HOOKS * 2; nr++) {
		pid_t pid = self->targets[nr * 4 % NR_TURNS].pid;
		const struct hook *hook = &turn_hooks[nr % NR_TURN_HOOKS].hook;

		set_slot(self->skel, nr, pid, false);
		fds[nr] = view(self->skel, hook, nr, pid);
		ASSERT_LE(0, fds[nr]);
		for (int i = 0; i <= nr; i++)
			slots[i].count = 0;
		take_turns(_metadata, self);
		for (int i = 0; i <= nr; i++) {
			unsigned int more = turn_hooks[i % NR_TURN_HOOKS].more;

			EXPECT_EQ(2 * (MIX + more), slots[i].count)
			{
				TH_LOG("%s of process %d, with %d links",
				       turn_hooks[i % NR_TURN_HOOKS].hook.name,
				       i * 4 % NR_TURNS, nr + 1);
			}
			EXPECT_EQ(0, slots[i].foreign);
		}
	}
	/* One less each time. */
	while (nr--) {
		close(fds[nr]);
		slots[nr].count = 0;
		for (int i = 0; i < nr; i++)
			slots[i].count = 0;
		take_turns(_metadata, self);
		EXPECT_EQ(0, slots[nr].count);
		for (int i = 0; i < nr; i++) {
			unsigned int more = turn_hooks[i % NR_TURN_HOOKS].more;

			EXPECT_EQ(2 * (MIX + more), slots[i].count);
			EXPECT_EQ(0, slots[i].foreign);
		}
	}
}

/* Text of a module, which everybody who runs it has translations of. */
TEST_F_TIMEOUT(turns, in_a_module, TIMEOUT)
{
	const struct hook hook = { RAW, "kview_testmod_step" };
	struct slot *slot = &self->skel->bss->slots[0];
	int ret = load_module();
	int fd = -1;

	ASSERT_TRUE(!ret || ret == -EEXIST);
	set_slot(self->skel, 0, self->targets[0].pid, false);
	for (int round = 0; round < 10; round++) {
		if (round == 2) {
			fd = view(self->skel, &hook, 0, self->targets[0].pid);
			ASSERT_LE(0, fd);
		}
		/* The others right before the target. */
		for (int i = NR_TURNS; i--;) {
			struct target *target = &self->targets[i];

			ASSERT_TRUE(tell_and_wait(target, OP_STEP, 5));
		}
		EXPECT_EQ(round < 2 ? 0 : 5 * (round - 1), slot->count);
		EXPECT_EQ(0, slot->foreign);
	}
	close(fd);
	for (int i = 0; i < NR_TURNS; i++)
		ASSERT_TRUE(tell_and_wait(&self->targets[i], OP_STEP, 5));
	EXPECT_EQ(40, slot->count);
	for (int i = 0; i < 100 && unload_module(); i++)
		usleep(100000);
}

/* --- CPUs --- */

FIXTURE(cpus)
{
	struct kview_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_SETUP(cpus)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	if (nr_cpus() < 2)
		SKIP(return, "there is one CPU");
	ASSERT_TRUE(pin(0, 0));
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	set_slot(self->skel, 0, self->target.pid, false);
}

FIXTURE_TEARDOWN(cpus)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	kview_bpf__destroy(self->skel);
}

/*
 * A CPU that has nothing to do since the process slept has its page tables yet, which
 * is when the process becomes a target. What then happens on that CPU is idle's, and
 * that of the process which it goes on with.
 */
TEST_F_TIMEOUT(cpus, idle_on_its_page_tables, TIMEOUT)
{
	const struct hook hook = { RAW, "sched_switch" };
	struct slot *slot = &self->skel->bss->slots[0];

	ASSERT_TRUE(pin(self->target.pid, 1));
	ASSERT_TRUE(pin(self->neighbour.pid, 1));
	for (int round = 0; round < 20; round++) {
		int fd;

		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 10));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		fd = view(self->skel, &hook, 0, self->target.pid);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_SLEEP, 2));
		EXPECT_EQ(0, slot->foreign);
		EXPECT_EQ(0, slot->count);
		close(fd);
	}
}

/* Nor has idle, or a kernel thread, what a target leaves behind on its CPU. */
TEST_F_TIMEOUT(cpus, idle_after_the_target, TIMEOUT)
{
	const struct hook hook = { RAW, "sched_switch" };
	struct slot *slot = &self->skel->bss->slots[0];
	int fd = view(self->skel, &hook, 0, self->target.pid);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(pin(self->target.pid, 1));
	ASSERT_TRUE(pin(self->neighbour.pid, 1));
	for (int round = 0; round < 20; round++) {
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_SLEEP, 2));
		EXPECT_EQ(0, slot->foreign);
	}
	EXPECT_LE(20, slot->count);
	close(fd);
}

/* Each CPU has seen the text as everybody has it when the target comes there. */
TEST_F_TIMEOUT(cpus, target_moves, TIMEOUT)
{
	const struct hook hook = { CLASSIC, "syscalls:sys_enter_read" };
	struct slot *slot = &self->skel->bss->slots[0];
	struct target *neighbour = &self->neighbour;
	int cpus = nr_cpus(), fd = -1;

	for (int round = 0; round < 20; round++) {
		if (round % 5 == 0) {
			fd = view(self->skel, &hook, 0, self->target.pid);
			ASSERT_LE(0, fd);
		}
		for (int cpu = 0; cpu < cpus; cpu++) {
			ASSERT_TRUE(pin(neighbour->pid, cpu));
			ASSERT_TRUE(tell_and_wait(neighbour, OP_READ, 20));
			ASSERT_TRUE(pin(self->target.pid, cpu));
			ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 20));
		}
		EXPECT_EQ(20 * cpus * (round + 1), slot->count);
		EXPECT_EQ(0, slot->foreign);
		if (round % 5 == 4)
			close(fd);
	}
}
