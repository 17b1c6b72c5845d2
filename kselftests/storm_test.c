// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: processes that fork, execute, make threads and end, links
 * that come and go and follow them, targets that are added and taken away, and
 * others who switch tracepoints, static keys and the function tracer on and off,
 * attach to the same functions and load and unload modules.
 * No count is compared: at the end the memory is there that was there before, and
 * the kernel has reported nothing.
 *
 * Takes KVIEW_STORM seconds if that is in the environment, else a few.
 */
#include <glob.h>
#include "func_test.h"
#include "kview_memory.h"

#define SECONDS 10
#define FENTRY_FUNCTION "__x64_sys_openat"
#define NR_TREES 4
#define NR_TRACERS 3
#define TRACEFS "/sys/kernel/tracing/"

/* What all of them see: the roots of the trees, and when to end. */
struct shared {
	pid_t roots[NR_TREES];
	bool stop;
	long attached;
	long refused;
	long forks;
	long loads;
};

static struct shared *shared;

static const struct hook hooks[] = {
	{ RAW, "sys_enter" },	       { CLASSIC, "syscalls:sys_enter_read" },
	{ RAW, "sched_switch" },       { BTF, "sys_enter" },
	{ RAW, "mmap_lock_released" }, { CLASSIC, "sched:sched_process_exit" },
	{ RAW, "kmem_cache_free" },
};

/* Some are the module's, which comes and goes. */
static const struct {
	enum family family;
	const char *name;
} functions[] = {
	{ KPROBE, "vfs_read" },
	{ KRETPROBE, "__x64_sys_read" },
	{ INSTRUCTION, "ksys_read" },
	{ MULTI, "vfs_read" },
	{ SESSION, "do_sys_openat2" },
	{ FENTRY, FENTRY_FUNCTION },
	{ FEXIT, FENTRY_FUNCTION },
	{ KPROBE, "kview_testmod_call" },
	{ MULTI_RETURN, "kview_testmod_crossing" },
};

static bool stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

static pid_t a_root(unsigned int number)
{
	return __atomic_load_n(&shared->roots[number], __ATOMIC_RELAXED);
}

static unsigned int seed;

static unsigned int draw(unsigned int n)
{
	return rand_r(&seed) % n;
}

/* One process after the other; each has threads and children, and executes. */
static void tree(int number)
{
	static const enum op ops[] = {
		OP_READ,       OP_MIX,	  OP_FORK,	  OP_VFORK,
		OP_CLONE_VM,   OP_THREAD, OP_GRANDCHILD,  OP_FORK_EXEC,
		OP_VFORK_EXEC, OP_EXEC,	  OP_THREAD_EXEC, OP_CALL
	};

	while (!stopped()) {
		struct target target;

		if (!start_target(&target))
			_exit(1);
		__atomic_store_n(&shared->roots[number], target.pid,
				 __ATOMIC_RELAXED);
		for (int i = draw(30); i && !stopped(); i--) {
			struct order order = { .op = ops[draw(ARRAY_SIZE(ops))],
					       .n = draw(5) };

			if (send(target.sock, &order, sizeof(order),
				 MSG_NOSIGNAL) != sizeof(order) ||
			    recv(target.sock, &order, sizeof(order), 0) !=
				    sizeof(order))
				_exit(2);
			__sync_fetch_and_add(&shared->forks, 1);
		}
		/* In the middle of it, or asleep. */
		if (draw(2))
			tell(&target, OP_MIX, 100);
		if (draw(2))
			usleep(draw(3000));
		kill_target(&target);
	}
	_exit(0);
}

/* A tracepoint or a function. */
static int attach_any(struct kview_bpf *skel, struct func_bpf *funcs, __u32 pid,
		      __u32 flags)
{
	const struct hook *hook = &hooks[draw(ARRAY_SIZE(hooks))];
	unsigned int i = draw(ARRAY_SIZE(functions));
	enum family family = functions[i].family;
	int ret;

	if (draw(2))
		return view_program_flags(counter_of(skel, hook->kind), hook, 0,
					  pid, flags);
	ret = view_func_program(func_program(funcs, family), family,
				functions[i].name, 0, pid, flags);
	/* It has the program, by another link. */
	if (ret == -EBUSY && is_tracing(family))
		ret = -EEXIST;
	/* The module is about to go. */
	if (ret == -EINVAL &&
	    !strncmp(functions[i].name, MODULE, strlen(MODULE)))
		ret = -ENOENT;
	return ret;
}

static void tracer(struct kview_bpf *skel, struct func_bpf *funcs)
{
	while (!stopped()) {
		__u32 pid = a_root(draw(NR_TREES));
		__u32 flags = draw(2) ? BPF_F_VIEW_FOLLOW_FORK : 0;
		int fd;

		if (draw(3) == 0)
			flags |= BPF_F_VIEW_TASK_CONTEXT;
		fd = attach_any(skel, funcs, pid, flags);
		if (fd < 0) {
			/* It may just have ended, or have the program; and the
			 * module may not be there.
			 */
			if (fd != -ESRCH && fd != -EEXIST && fd != -ENOENT)
				_exit(3);
			__sync_fetch_and_add(&shared->refused, 1);
			continue;
		}
		__sync_fetch_and_add(&shared->attached, 1);
		for (int i = draw(4); i; i--) {
			__u32 op = draw(2) ? BPF_LINK_TARGETS_ADD :
					     BPF_LINK_TARGETS_DEL;

			pid = a_root(draw(NR_TREES));
			link_targets(fd, op, &pid, 1, 0);
			usleep(draw(1000));
		}
		if (draw(4) == 0)
			bpf_link_detach(fd);
		close(fd);
	}
	_exit(0);
}

/* In or out; nobody else does it. */
static void toggle_module(void)
{
	int ret = load_module();

	if (!ret) {
		__sync_fetch_and_add(&shared->loads, 1);
		write_number(MODULE_DIR "use_mm", draw(20));
		write_number(MODULE_DIR "step", draw(20));
		return;
	}
	if (ret == -EEXIST)
		ret = unload_module();
	/* Somebody may hold it. */
	if (ret && ret != -EWOULDBLOCK)
		_exit(4);
}

/* One that nobody has anything in, beside those that have. */
static void load_other_module(void)
{
	if (load_named_module(OTHER_MODULE) ||
	    unload_named_module(OTHER_MODULE))
		_exit(5);
}

static void attach_to_all(struct kview_bpf *skel, struct func_bpf *funcs)
{
	const struct hook *hook = &hooks[draw(ARRAY_SIZE(hooks))];
	unsigned int i = draw(ARRAY_SIZE(functions));
	struct bpf_link *link;

	link = draw(2) ? stock(skel, hook, 1) :
			 stock_func(funcs, functions[i].family,
				    functions[i].name, 1);
	usleep(draw(2000));
	bpf_link__destroy(link);
}

static int no_message(enum libbpf_print_level level, const char *format,
		      va_list args)
{
	return 0;
}

static void others(struct kview_bpf *skel, struct func_bpf *funcs)
{
	/* That the module is not there is nothing new. */
	libbpf_set_print(no_message);
	write_to(TRACEFS "set_ftrace_filter", "vfs_*");
	for (int round = 0; !stopped(); round++) {
		const char *on = round % 2 ? "0" : "1";

		switch (draw(8)) {
		case 0:
			write_to(TRACEFS "events/syscalls/enable", on);
			break;
		case 1:
			write_to(TRACEFS "events/sched/enable", on);
			break;
		case 2:
			write_to(TRACEFS "current_tracer",
				 round % 2 ? "nop" : "function");
			break;
		case 3:
			write_to("/proc/sys/kernel/sched_schedstats", on);
			write_to("/proc/sys/kernel/bpf_stats_enabled", on);
			break;
		case 4:
			toggle_module();
			break;
		case 5:
			load_other_module();
			break;
		default:
			attach_to_all(skel, funcs);
		}
	}
	write_to(TRACEFS "events/enable", "0");
	write_to(TRACEFS "current_tracer", "nop");
	write_to(TRACEFS "set_ftrace_filter", "");
	write_to(TRACEFS "trace", "");
	write_to("/proc/sys/kernel/sched_schedstats", "0");
	write_to("/proc/sys/kernel/bpf_stats_enabled", "0");
	for (int i = 0; i < 100 && unload_module() == -EWOULDBLOCK; i++)
		usleep(100000);
	_exit(0);
}

FIXTURE(storm)
{
	struct kview_bpf *skel;
	struct func_bpf *funcs;
};

FIXTURE_SETUP(storm)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	self->funcs = load_programs(FENTRY_FUNCTION, false, false);
	ASSERT_NE(NULL, self->funcs);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
}

FIXTURE_TEARDOWN(storm)
{
	munmap(shared, sizeof(*shared));
	kview_bpf__destroy(self->skel);
	func_bpf__destroy(self->funcs);
}

/* Files of those who were killed before they could remove them: see mix(). */
static void remove_files(void)
{
	glob_t files;

	if (glob("/tmp/kview.*", 0, NULL, &files))
		return;
	for (size_t i = 0; i < files.gl_pathc; i++)
		unlink(files.gl_pathv[i]);
	globfree(&files);
}

static bool busy_enough(void)
{
	return __atomic_load_n(&shared->attached, __ATOMIC_RELAXED) > 20 &&
	       __atomic_load_n(&shared->forks, __ATOMIC_RELAXED) > 20 &&
	       __atomic_load_n(&shared->loads, __ATOMIC_RELAXED) > 0;
}

/* All of them, for @seconds. */
static void blow(struct __test_metadata *_metadata, FIXTURE_DATA(storm) * self,
		 unsigned int seconds)
{
	pid_t pids[NR_TREES + NR_TRACERS + 1];

	shared->stop = false;
	for (int i = 0; i < NR_TREES; i++)
		shared->roots[i] = getpid();
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		seed = i + 1;
		if (i < NR_TREES)
			tree(i);
		else if (i < NR_TREES + NR_TRACERS)
			tracer(self->skel, self->funcs);
		else
			others(self->skel, self->funcs);
	}
	sleep(seconds);
	/* A slow machine gets more time. */
	for (int i = 0; i < 300 && !busy_enough(); i++)
		sleep(1);
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	remove_files();
}

TEST_F_TIMEOUT(storm, everything_at_once, 3600)
{
	const char *wanted = getenv("KVIEW_STORM");
	struct memory before, after;
	long links = nr_links();

	/* What is allocated once, is allocated; in a long one, workers as well. */
	blow(_metadata, self, wanted && atoi(wanted) >= 60 ? 60 : 3);
	before = settled_memory();
	blow(_metadata, self, wanted ? atoi(wanted) : SECONDS);
	after = settled_memory();
	/*
	 * The text of a module becomes read-only in the direct map, too, which
	 * splits pages there, views or not.
	 */
	after.kb[DIRECT_MAP] = before.kb[DIRECT_MAP];
	TH_LOG("%ld links, %ld refused, %ld orders, module loaded %ld times",
	       shared->attached, shared->refused, shared->forks, shared->loads);
	EXPECT_LT(20, shared->attached);
	EXPECT_LT(20, shared->forks);
	EXPECT_LT(0, shared->loads);
	EXPECT_EQ(links, nr_links());
	compare(_metadata, &before, &after);
}

/* The tracer is killed, wherever it is: nothing of what it did is left. */
TEST_F_TIMEOUT(storm, tracer_is_killed, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[0];
	long links = nr_links();
	struct target target;

	ASSERT_TRUE(start_target(&target));
	for (int i = 0; i < 50; i++) {
		pid_t pid;

		shared->stop = false;
		for (int j = 0; j < NR_TREES; j++)
			shared->roots[j] = target.pid;
		ASSERT_TRUE(tell(&target, OP_MIX, 3));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			seed = i;
			tracer(self->skel, self->funcs);
		}
		usleep(i * 1000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		ASSERT_TRUE(answer(&target));
		slot->count = 0;
		set_func_slot(self->funcs, 0, 0, false);
		ASSERT_TRUE(tell_and_wait(&target, OP_READ, 50));
		EXPECT_EQ(0, slot->count);
		EXPECT_EQ(0, self->funcs->bss->slots[0].count);
		EXPECT_EQ(links, nr_links());
	}
	kill_target(&target);
}
