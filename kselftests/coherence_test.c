// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever becomes of kernel text, copies follow: static keys, static calls, ftrace,
 * kprobes, trampolines and modules are switched at random, in the pages that views have
 * copies of, on all CPUs, while targets run through them. The kernel compares the copies
 * with everybody's text, byte by byte, meanwhile and afterwards; and no event is lost.
 *
 * KVIEW_FUZZ in the environment is the number of rounds, KVIEW_SEED where the random
 * numbers start.
 */
#include "func_test.h"
#include "kview_memory.h"

#define ROUNDS 10
/* Changes of each process that makes them, in a round. */
#define CHANGES 40
#define NR_TARGETS 3
#define NR_CHANGERS 3
#define FENTRY_FUNCTION "__x64_sys_openat"
#define SLOT_VIEW 0
#define SLOT_ORACLE 1

static unsigned int seed;

static unsigned int draw(unsigned int n)
{
	return rand_r(&seed) % n;
}

/* What has been done, of each kind; and what the system said no to. */
enum change {
	TRACER,
	PROBE,
	PROBE_INSIDE,
	EVENTS,
	KEYS,
	BPF_TRACEPOINT,
	BPF_FUNCTION,
	VIEW_TRACEPOINT,
	VIEW_FUNCTION,
	LOAD_MODULE,
	NR_CHANGES
};

static const char *const change_names[] = {
	"function tracer",   "kprobe",
	"kprobe inside",     "trace events",
	"static keys",	     "BPF on a tracepoint",
	"BPF on a function", "view's tracepoint",
	"view's function",   "module"
};

struct counts {
	unsigned long done[NR_CHANGES];
	unsigned long refused[NR_CHANGES];
};

static struct counts *counts;

/* Functions in the pages that are hooked, which are changed for everybody. */
#define MAX_NEAR 300

static struct function near[MAX_NEAR];
static unsigned int nr_near;

static const struct hook hooks[] = {
	{ RAW, "sys_enter" },	       { RAW, "sys_exit" },
	{ RAW, "sched_switch" },       { CLASSIC, "syscalls:sys_enter_read" },
	{ RAW, "mmap_lock_released" }, { CLASSIC, "sched:sched_wakeup" },
	{ RAW, "kmem_cache_free" },    { BTF, "sys_enter" },
};

/* The last ones are for pages near other sites: these hold the tracepoints above. */
static const struct {
	enum family family;
	const char *name;
} functions[] = {
	{ KPROBE, "vfs_read" },	       { KRETPROBE, "ksys_read" },
	{ INSTRUCTION, "vfs_read" },   { INSTRUCTION, "ksys_write" },
	{ MULTI, "vfs_write" },	       { MULTI_RETURN, "ksys_write" },
	{ SESSION, "do_sys_openat2" }, { FENTRY, FENTRY_FUNCTION },
	{ FEXIT, FENTRY_FUNCTION },    { MULTI, "syscall_trace_enter" },
	{ MULTI, "kmem_cache_free" },  { KPROBE, "try_to_wake_up" },
};

/* All functions of the pages of @functions. */
static void find_near(void)
{
	struct functions all = read_functions();
	__u64 addrs[ARRAY_SIZE(functions)];

	for (size_t j = 0; j < ARRAY_SIZE(functions); j++)
		addrs[j] = address_of(functions[j].name);
	for (size_t i = 0; i < all.nr; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(functions); j++) {
			if (!addrs[j] || (addrs[j] ^ all.list[i].addr) >> 12)
				continue;
			if (nr_near < MAX_NEAR)
				near[nr_near++] = all.list[i];
			break;
		}
	}
	free(all.list);
}

static void count_change(enum change change, bool done)
{
	if (done)
		__sync_fetch_and_add(&counts->done[change], 1);
	else
		__sync_fetch_and_add(&counts->refused[change], 1);
}

/* --- those who change text; each has a trace instance of its own --- */

struct changer {
	int number;
	char dir[80];
	struct kview_bpf *skel;
	struct func_bpf *funcs;
	const struct target *targets;
	struct bpf_link *link;
	int fd;
	int probes;
};

static bool write_in(const struct changer *changer, const char *name,
		     const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", changer->dir, name);
	return write_file(path, text);
}

static bool change_tracer(struct changer *changer)
{
	if (draw(2))
		return write_in(changer, "current_tracer", "nop");
	/* Of some functions, a new set or more of them. */
	write_in(changer, "current_tracer", "nop");
	if (!write_in(changer, "set_ftrace_filter", near[draw(nr_near)].name))
		return false;
	return write_in(changer, "current_tracer", "function");
}

/* Probes are numbered, so that those of one changer are known to it. */
static bool change_probe(struct changer *changer, bool inside)
{
	const struct function *function = &near[draw(nr_near)];
	char text[160], path[200];
	__u64 size = size_of(function->addr);

	if (changer->probes && draw(2)) {
		int i = changer->probes--;

		snprintf(path, sizeof(path), TRACING "events/fuzz%d/p%d/enable",
			 changer->number, i);
		write_file(path, "0");
		snprintf(text, sizeof(text), "-:fuzz%d/p%d", changer->number,
			 i);
		return write_to(TRACING "kprobe_events", text), true;
	}
	snprintf(text, sizeof(text), "p:fuzz%d/p%d %s+%llu", changer->number,
		 changer->probes + 1, function->name,
		 inside && size ? draw(size) : 0ULL);
	if (!write_file(TRACING "kprobe_events", text))
		return false;
	changer->probes++;
	snprintf(path, sizeof(path), TRACING "events/fuzz%d/p%d/enable",
		 changer->number, changer->probes);
	return write_file(path, "1");
}

static bool change_events(struct changer *changer)
{
	static const char *const names[] = {
		"events/syscalls/sys_enter_read/enable",
		"events/syscalls/sys_exit_write/enable",
		"events/sched/sched_switch/enable",
		"events/kmem/kmem_cache_free/enable",
		"events/mmap_lock/mmap_lock_released/enable",
		"events/raw_syscalls/enable",
	};

	return write_in(changer, names[draw(ARRAY_SIZE(names))],
			draw(2) ? "1" : "0");
}

static bool change_keys(void)
{
	static const char *const names[] = { "sched_schedstats",
					     "bpf_stats_enabled",
					     "task_delayacct" };
	char path[64];

	snprintf(path, sizeof(path), "/proc/sys/kernel/%s",
		 names[draw(ARRAY_SIZE(names))]);
	return write_file(path, draw(2) ? "1" : "0");
}

static bool change_link(struct changer *changer, enum change change)
{
	const struct hook *hook = &hooks[draw(ARRAY_SIZE(hooks))];
	unsigned int i = draw(ARRAY_SIZE(functions));
	enum family family = functions[i].family;
	pid_t pid = changer->targets[draw(NR_TARGETS)].pid;

	if (changer->link || changer->fd >= 0) {
		bpf_link__destroy(changer->link);
		changer->link = NULL;
		if (changer->fd >= 0)
			close(changer->fd);
		changer->fd = -1;
	}
	switch (change) {
	case BPF_TRACEPOINT:
		changer->link = stock(changer->skel, hook, 2);
		return changer->link;
	case BPF_FUNCTION:
		changer->link = stock_func(changer->funcs, family,
					   functions[i].name, 2);
		return changer->link;
	case VIEW_TRACEPOINT:
		changer->fd = view(changer->skel, hook, 3, pid);
		return changer->fd >= 0;
	default:
		changer->fd = view_func(changer->funcs, family,
					functions[i].name, 3, pid);
		return changer->fd >= 0;
	}
}

static bool change_module(void)
{
	int ret = load_module();

	if (ret == -EEXIST)
		ret = unload_module();
	return !ret;
}

static int no_message(enum libbpf_print_level level, const char *format,
		      va_list args)
{
	return 0;
}

static void change_text(struct changer *changer)
{
	for (int i = 0; i < CHANGES; i++) {
		enum change change = draw(NR_CHANGES);
		bool done = false;

		/* The keys, and the module, are there once. */
		if ((change == KEYS || change == LOAD_MODULE) &&
		    changer->number)
			change = PROBE;
		switch (change) {
		case TRACER:
			done = change_tracer(changer);
			break;
		case PROBE:
		case PROBE_INSIDE:
			done = change_probe(changer, change == PROBE_INSIDE);
			break;
		case EVENTS:
			done = change_events(changer);
			break;
		case KEYS:
			done = change_keys();
			break;
		case LOAD_MODULE:
			done = change_module();
			break;
		default:
			done = change_link(changer, change);
		}
		count_change(change, done);
	}
}

static void undo(struct changer *changer)
{
	char text[64], path[96];

	bpf_link__destroy(changer->link);
	if (changer->fd >= 0)
		close(changer->fd);
	write_in(changer, "current_tracer", "nop");
	write_in(changer, "events/enable", "0");
	for (int i = changer->probes; i; i--) {
		snprintf(path, sizeof(path), TRACING "events/fuzz%d/p%d/enable",
			 changer->number, i);
		write_file(path, "0");
		snprintf(text, sizeof(text), "-:fuzz%d/p%d", changer->number,
			 i);
		write_to(TRACING "kprobe_events", text);
	}
	if (!changer->number) {
		write_file("/proc/sys/kernel/sched_schedstats", "0");
		write_file("/proc/sys/kernel/bpf_stats_enabled", "0");
		write_file("/proc/sys/kernel/task_delayacct", "0");
		unload_module();
	}
}

static void changer_main(int number, struct kview_bpf *skel,
			 struct func_bpf *funcs, const struct target *targets)
{
	struct changer changer = { .number = number,
				   .skel = skel,
				   .funcs = funcs,
				   .targets = targets,
				   .fd = -1 };

	libbpf_set_print(no_message);
	snprintf(changer.dir, sizeof(changer.dir), TRACING "instances/fuzz%d",
		 number);
	if (mkdir(changer.dir, 0700) && errno != EEXIST)
		_exit(1);
	change_text(&changer);
	undo(&changer);
	if (rmdir(changer.dir))
		_exit(2);
	_exit(0);
}

/* --- the test --- */

FIXTURE(coherence)
{
	struct kview_bpf *skel;
	/* Whose programs nobody else attaches, so that misses are known. */
	struct kview_bpf *exact;
	struct func_bpf *funcs;
	struct target targets[NR_TARGETS];
};

FIXTURE_SETUP(coherence)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	self->exact = load();
	ASSERT_NE(NULL, self->exact);
	self->funcs = load_programs(FENTRY_FUNCTION, false, false);
	ASSERT_NE(NULL, self->funcs);
	for (int i = 0; i < NR_TARGETS; i++)
		ASSERT_TRUE(start_target(&self->targets[i]));
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)counts);
	find_near();
	ASSERT_LT(10, nr_near);
}

FIXTURE_TEARDOWN(coherence)
{
	for (int i = 0; i < NR_TARGETS; i++)
		kill_target(&self->targets[i]);
	kview_bpf__destroy(self->skel);
	kview_bpf__destroy(self->exact);
	func_bpf__destroy(self->funcs);
	munmap(counts, sizeof(*counts));
}

/* Hooks of all kinds that stay for the round, so that there is something to compare. */
static int attach_some(struct __test_metadata *_metadata,
		       FIXTURE_DATA(coherence) * self, int *fds, int nr)
{
	int n = 0;

	for (int i = 0; i < nr; i++) {
		pid_t pid = self->targets[draw(NR_TARGETS)].pid;
		int fd;

		if (draw(2)) {
			fd = view(self->skel, &hooks[draw(ARRAY_SIZE(hooks))],
				  4, pid);
		} else {
			unsigned int j = draw(ARRAY_SIZE(functions));

			fd = view_func(self->funcs, functions[j].family,
				       functions[j].name, 4, pid);
		}
		/* The same program is there already. */
		if (fd < 0) {
			EXPECT_TRUE(fd == -EEXIST || fd == -EBUSY);
			continue;
		}
		fds[n++] = fd;
	}
	return n;
}

TEST_F_TIMEOUT(coherence, copies_follow, TIMEOUT)
{
	const char *rounds = getenv("KVIEW_FUZZ"),
		   *first = getenv("KVIEW_SEED");
	struct slot *slots = self->exact->bss->slots;
	struct hook all = { RAW, "sys_enter" };
	int nr_rounds = rounds ? atoi(rounds) : ROUNDS;
	unsigned int start = first ? atoi(first) : 1;
	__u64 seen = 0;

	for (int round = 0; round < nr_rounds; round++) {
		__u64 missed[2], before[2];
		struct bpf_link *oracle;
		struct kview_check check;
		pid_t pids[NR_CHANGERS];
		int fds[8], nr_fds, fd;

		seed = start + round;
		nr_fds = attach_some(_metadata, self, fds, ARRAY_SIZE(fds));
		set_slot(self->exact, SLOT_VIEW, self->targets[0].pid, false);
		set_slot(self->exact, SLOT_ORACLE, self->targets[0].pid, true);
		fd = view(self->exact, &all, SLOT_VIEW, self->targets[0].pid);
		ASSERT_LE(0, fd);
		oracle = stock(self->exact, &all, SLOT_ORACLE);
		ASSERT_NE(NULL, oracle);
		before[0] = misses(self->exact->progs.raw);
		before[1] = misses(self->exact->progs.raw_oracle);

		for (int i = 0; i < NR_CHANGERS; i++) {
			pids[i] = fork();
			ASSERT_LE(0, pids[i]);
			if (!pids[i]) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				seed = (start + round) * 10 + i;
				changer_main(i, self->skel, self->funcs,
					     self->targets);
			}
		}
		for (int i = 0; i < NR_CHANGERS;) {
			int status;

			for (int j = 0; j < NR_TARGETS; j++)
				ASSERT_TRUE(tell(&self->targets[j], OP_MIX, 3));
			check_copies();
			while (i < NR_CHANGERS &&
			       waitpid(pids[i], &status, WNOHANG) == pids[i]) {
				EXPECT_EQ(0, status);
				i++;
			}
			for (int j = 0; j < NR_TARGETS; j++)
				ASSERT_TRUE(answer(&self->targets[j]));
		}

		/* All is quiet, and the hooks are there yet. */
		ASSERT_TRUE(kview_check(&check));
		EXPECT_EQ(0, check.faults)
		{
			TH_LOG("seed %u: %u faults, the first: %s",
			       start + round, check.faults, check.first);
		}
		EXPECT_LT(0, check.views);
		missed[0] = misses(self->exact->progs.raw) - before[0];
		missed[1] = misses(self->exact->progs.raw_oracle) - before[1];
		EXPECT_TRUE(agree(slots[SLOT_VIEW].count, missed[0],
				  slots[SLOT_ORACLE].count, missed[1]))
		{
			TH_LOG("seed %u: view %llu (%llu missed), oracle %llu (%llu missed)",
			       start + round, slots[SLOT_VIEW].count, missed[0],
			       slots[SLOT_ORACLE].count, missed[1]);
		}
		EXPECT_EQ(0, slots[SLOT_VIEW].foreign);
		seen += slots[SLOT_VIEW].count;
		bpf_link__destroy(oracle);
		close(fd);
		while (nr_fds)
			close(fds[--nr_fds]);
		printf("# seed %u: %llu events\n", start + round,
		       slots[SLOT_VIEW].count);
		fflush(stdout);
	}
	printf("# %d rounds, %llu events, functions in these pages: %u\n",
	       nr_rounds, seen, nr_near);
	for (int i = 0; i < NR_CHANGES; i++) {
		printf("# %s: %lu, refused %lu\n", change_names[i],
		       counts->done[i], counts->refused[i]);
		EXPECT_LT(0, counts->done[i]);
	}
	EXPECT_LT(0, seen);
}
