// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on functions: kprobe, kretprobe, kprobe.multi, kprobe.session, fentry,
 * fexit and fmod_ret for one process. Counts and contexts are compared with those
 * of the same program that is attached system-wide at the same time and compares
 * the PID.
 */
#include "func_test.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

/* --- each family --- */

FIXTURE(exact)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(exact)
{
	enum family family;
	const char *function;
	/* it is what read() calls, and nothing else does */
	bool of_read;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(exact, kprobe) {
	.family = KPROBE,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, kretprobe) {
	.family = KRETPROBE,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, instruction) {
	.family = INSTRUCTION,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, multi) {
	.family = MULTI,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, multi_return) {
	.family = MULTI_RETURN,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, session) {
	.family = SESSION,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, fentry) {
	.family = FENTRY,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, fexit) {
	.family = FEXIT,
	.function = "vfs_read",
};

FIXTURE_VARIANT_ADD(exact, syscall_kprobe) {
	.family = KPROBE,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_kretprobe) {
	.family = KRETPROBE,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_instruction) {
	.family = INSTRUCTION,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_multi) {
	.family = MULTI,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_multi_return) {
	.family = MULTI_RETURN,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_session) {
	.family = SESSION,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_fentry) {
	.family = FENTRY,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_fexit) {
	.family = FEXIT,
	.function = "__x64_sys_read",
	.of_read = true,
};

FIXTURE_VARIANT_ADD(exact, syscall_fmod_ret) {
	.family = FMOD_RET,
	.function = "__x64_sys_read",
	.of_read = true,
};

/* With more arguments than there are registers for them. */
FIXTURE_VARIANT_ADD(exact, stack_arguments_fentry) {
	.family = FENTRY,
	.function = "do_mmap",
};

FIXTURE_VARIANT_ADD(exact, stack_arguments_fexit) {
	.family = FEXIT,
	.function = "do_mmap",
};

/* clang-format on */

FIXTURE_SETUP(exact)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(set_optimization(false));
	self->skel = load_func(variant->function);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_MIX, 1));
	ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_MIX, 1));
}

FIXTURE_TEARDOWN(exact)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
	set_optimization(true);
}

TEST_F_TIMEOUT(exact, as_the_program_with_a_filter, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct target *target = &self->target;
	enum family family = variant->family;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(orders); i++) {
		size_t nr = i % ARRAY_SIZE(orders);
		struct bpf_link *oracle;
		char what[64];
		int fd;

		snprintf(what, sizeof(what), "order %zu", i);
		/* All on one CPU the second time. */
		ASSERT_TRUE(pin(target->pid, i >= ARRAY_SIZE(orders)));
		ASSERT_TRUE(pin(self->neighbour.pid, i >= ARRAY_SIZE(orders)));
		set_func_slot(self->skel, VIEW, target->pid, false);
		set_func_slot(self->skel, ORACLE, target->pid, true);
		/* Before and after. */
		if (i % 2)
			fd = view_func(self->skel, family, variant->function,
				       VIEW, target->pid);
		oracle = stock_func(self->skel, family, variant->function,
				    ORACLE);
		ASSERT_NE(NULL, oracle);
		if (i % 2 == 0)
			fd = view_func(self->skel, family, variant->function,
				       VIEW, target->pid);
		ASSERT_LE(0, fd)
		{
			TH_LOG("%s", strerror(-fd));
		}
		ASSERT_TRUE(tell(target, orders[nr].op, orders[nr].n));
		ASSERT_TRUE(tell(&self->neighbour, OP_MIX, 1));
		ASSERT_TRUE(answer(target));
		ASSERT_TRUE(answer(&self->neighbour));
		close(fd);
		bpf_link__destroy(oracle);

		EXPECT_EQ(slots[ORACLE].count, slots[VIEW].count)
		{
			TH_LOG("%s", what);
		}
		same_contexts(_metadata, self->skel, VIEW, ORACLE, what);
		EXPECT_EQ(0, slots[VIEW].foreign);
		if (variant->of_read && orders[nr].reads >= 0) {
			int expected = orders[nr].reads * events_of(family);

			EXPECT_EQ(expected, slots[VIEW].count)
			{
				TH_LOG("%s", what);
			}
		}
	}
	EXPECT_EQ(0, self->skel->bss->strays);
}

/* Alone: nothing is attached but in the view. */
TEST_F_TIMEOUT(exact, alone, TIMEOUT)
{
	__u64 expected = 300 * events_of(variant->family), before;
	struct slot *slot = &self->skel->bss->slots[VIEW];
	int fd;

	set_func_slot(self->skel, VIEW, self->target.pid, false);
	fd = view_func(self->skel, variant->family, variant->function, VIEW,
		       self->target.pid);
	ASSERT_LE(0, fd);
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(tell(&self->target, OP_READ, 100));
		ASSERT_TRUE(tell(&self->neighbour, OP_READ, 500));
		ASSERT_TRUE(answer(&self->target));
		ASSERT_TRUE(answer(&self->neighbour));
	}
	close(fd);
	if (variant->of_read)
		EXPECT_EQ(expected, slot->count);
	EXPECT_EQ(0, slot->foreign);

	/* Over means over. */
	before = slot->count;
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 100));
	EXPECT_EQ(before, slot->count);
}

/* --- what programs can see and do --- */

#define JIT_LIMIT "/proc/sys/net/core/bpf_jit_limit"

static bool set_jit_limit(long limit)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", limit);
	return write_file(JIT_LIMIT, text);
}

FIXTURE(func)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
	pid_t pid;
	long links;
	/* What a test that lowers it found. */
	long jit_limit;
};

FIXTURE_SETUP(func)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->links = nr_links();
	self->skel = load_func("__x64_sys_read");
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	self->pid = self->target.pid;
	settle(&self->target);
	settle(&self->neighbour);
	for (int i = 0; i < SLOTS; i++)
		set_func_slot(self->skel, i, self->pid, false);
}

FIXTURE_TEARDOWN(func)
{
	if (self->jit_limit)
		set_jit_limit(self->jit_limit);
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
}

#define FUNCTION "__x64_sys_read"
#define FD(program) bpf_program__fd(self->skel->progs.program)

/* An entry that returns 1 has no return. */
TEST_F_TIMEOUT(func, session_without_return, TIMEOUT)
{
	struct context *context = &self->skel->bss->contexts[VIEW];
	struct bpf_link *oracle;
	int fd;

	self->skel->bss->skip_every = 3;
	set_func_slot(self->skel, ORACLE, self->pid, true);
	oracle = stock_func(self->skel, SESSION, FUNCTION, ORACLE);
	ASSERT_NE(NULL, oracle);
	fd = view_func(self->skel, SESSION, FUNCTION, VIEW, self->pid);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 30));
	close(fd);
	bpf_link__destroy(oracle);
	EXPECT_EQ(30, context->entries);
	EXPECT_EQ(20, context->returns);
	EXPECT_EQ(50, self->skel->bss->slots[VIEW].count);
	same_contexts(_metadata, self->skel, VIEW, ORACLE, "session");
}

/* Only the target sees a changed return value. */
TEST_F_TIMEOUT(func, fmod_ret, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int fd, exit_fd, second;

	fd = view_func(self->skel, FMOD_RET, FUNCTION, VIEW, self->pid);
	ASSERT_LE(0, fd);
	EXPECT_EQ(7, result_of_read(&self->target, 7));
	EXPECT_EQ(1, slots[VIEW].count);
	self->skel->bss->verdict = -77;
	EXPECT_EQ(-77, result_of_read(&self->target, 7));
	EXPECT_EQ(7, result_of_read(&self->neighbour, 7));
	/* fexit is told so. */
	exit_fd =
		view_func(self->skel, FEXIT, FUNCTION, SECOND_VIEW, self->pid);
	ASSERT_LE(0, exit_fd);
	EXPECT_EQ(-77, result_of_read(&self->target, 7));
	EXPECT_EQ(1, slots[SECOND_VIEW].count);
	/* A process beside it, by the same link or another one. */
	EXPECT_EQ(7, result_of_read(&self->neighbour, 7));
	set_func_slot(self->skel, SECOND_ORACLE, self->neighbour.pid, false);
	second = view_func(self->skel, FMOD_RET, FUNCTION, SECOND_ORACLE,
			   self->neighbour.pid);
	ASSERT_LE(0, second);
	EXPECT_EQ(-77, result_of_read(&self->neighbour, 7));
	EXPECT_EQ(3, slots[VIEW].count);
	close(fd);
	EXPECT_EQ(7, result_of_read(&self->target, 7));
	EXPECT_EQ(-77, result_of_read(&self->neighbour, 7));
	close(second);
	EXPECT_EQ(7, result_of_read(&self->neighbour, 7));
	close(exit_fd);
	EXPECT_EQ(0, slots[VIEW].foreign + slots[SECOND_VIEW].foreign +
			     slots[SECOND_ORACLE].foreign);
}

/* The same for bpf_override_return(), if the kernel has it. */
TEST_F_TIMEOUT(func, override_return, TIMEOUT)
{
	struct func_bpf *skel;
	int fd;

	libbpf_set_print(NULL);
	skel = load_override();
	if (!skel)
		SKIP(return, "no bpf_override_return()");
	set_func_slot(skel, VIEW, self->pid, false);
	skel->bss->verdict = -78;
	/* Not there. */
	EXPECT_EQ(-EINVAL, view_func_program(skel->progs.on_override, KPROBE,
					     "vfs_read", VIEW, self->pid, 0));
	fd = view_func_program(skel->progs.on_override, KPROBE, FUNCTION, VIEW,
			       self->pid, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-78, result_of_read(&self->target, 7));
	EXPECT_EQ(7, result_of_read(&self->neighbour, 7));
	skel->bss->verdict = 0;
	EXPECT_EQ(7, result_of_read(&self->target, 7));
	close(fd);
	EXPECT_EQ(2, skel->bss->slots[VIEW].count);
	EXPECT_EQ(0, skel->bss->slots[VIEW].foreign);
	func_bpf__destroy(skel);
}

/* Many programs on one function: as many as are attached see it. */
TEST_F_TIMEOUT(func, many_programs, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int fds[60];

	for (int i = 0; i < 60; i++) {
		set_func_slot(self->skel, i, self->pid, false);
		fds[i] = view_func(self->skel, i % SESSION, FUNCTION, i,
				   self->pid);
		ASSERT_LE(0, fds[i]);
	}
	ASSERT_TRUE(tell(&self->neighbour, OP_READ, 10));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	ASSERT_TRUE(answer(&self->neighbour));
	for (int i = 0; i < 60; i += 2)
		close(fds[i]);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	for (int i = 0; i < 60; i++) {
		__u64 expected = i % 2 ? 20 : 10;

		EXPECT_EQ(expected, slots[i].count)
		{
			TH_LOG("%d: %s", i, family_names[i % SESSION]);
		}
		EXPECT_EQ(0, slots[i].foreign);
		if (i % 2)
			close(fds[i]);
	}
}

/* --- others on the same function, in any order --- */

#define OTHERS_FUNCTION "read_zero"
#define INSTANCE TRACING "instances/kview_func_test/"

/* Who can be attached to the function, each by itself. */
enum actor_kind { IN_VIEW, IN_SECOND_VIEW, SYSTEM_WIDE, TRACER, GRAPH };

static const struct actor {
	enum actor_kind kind;
	enum family family;
} actors[] = {
	{ IN_VIEW, KPROBE },
	{ IN_VIEW, KRETPROBE },
	{ IN_VIEW, INSTRUCTION },
	{ IN_VIEW, MULTI },
	{ IN_VIEW, MULTI_RETURN },
	{ IN_VIEW, SESSION },
	{ IN_VIEW, FENTRY },
	{ IN_VIEW, FEXIT },
	{ IN_SECOND_VIEW, INSTRUCTION },
	{ IN_SECOND_VIEW, MULTI_RETURN },
	{ IN_SECOND_VIEW, FENTRY },
	{ IN_SECOND_VIEW, FEXIT },
	{ SYSTEM_WIDE, KPROBE },
	{ SYSTEM_WIDE, KRETPROBE },
	{ SYSTEM_WIDE, INSTRUCTION },
	{ SYSTEM_WIDE, MULTI },
	{ SYSTEM_WIDE, MULTI_RETURN },
	{ SYSTEM_WIDE, FENTRY },
	{ SYSTEM_WIDE, FEXIT },
	{ TRACER, 0 },
	{ GRAPH, 0 },
};

#define NR_ACTORS ARRAY_SIZE(actors)

struct presence {
	bool there;
	int fd;
	struct bpf_link *link;
};

FIXTURE(others)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
	struct presence present[NR_ACTORS];
};

FIXTURE_VARIANT(others)
{
	unsigned int seed;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(others, seed_1) {
	.seed = 1,
};

FIXTURE_VARIANT_ADD(others, seed_2) {
	.seed = 2,
};

FIXTURE_VARIANT_ADD(others, seed_3) {
	.seed = 3,
};

FIXTURE_VARIANT_ADD(others, seed_4) {
	.seed = 4,
};

/* clang-format on */

FIXTURE_SETUP(others)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load_func(OTHERS_FUNCTION);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	rmdir(INSTANCE);
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	ASSERT_TRUE(write_file(INSTANCE "set_ftrace_filter", OTHERS_FUNCTION));
	ASSERT_TRUE(write_file(TRACING "set_ftrace_filter", OTHERS_FUNCTION));
}

static void empty(const char *path)
{
	close(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC));
}

FIXTURE_TEARDOWN(others)
{
	for (size_t i = 0; i < NR_ACTORS; i++) {
		if (self->present[i].fd > 0)
			close(self->present[i].fd);
		bpf_link__destroy(self->present[i].link);
	}
	write_file(INSTANCE "current_tracer", "nop");
	write_file(TRACING "current_tracer", "nop");
	empty(TRACING "set_ftrace_filter");
	empty(TRACING "trace");
	rmdir(INSTANCE);
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
}

static bool come(FIXTURE_DATA(others) * self, int i)
{
	struct presence *presence = &self->present[i];
	enum family family = actors[i].family;

	switch (actors[i].kind) {
	case IN_VIEW:
		presence->fd = view_func(self->skel, family, OTHERS_FUNCTION, i,
					 self->target.pid);
		return presence->fd >= 0;
	case IN_SECOND_VIEW:
		presence->fd = view_func(self->skel, family, OTHERS_FUNCTION, i,
					 self->neighbour.pid);
		return presence->fd >= 0;
	case SYSTEM_WIDE:
		presence->link =
			stock_func(self->skel, family, OTHERS_FUNCTION, i);
		return presence->link;
	case TRACER:
		return write_file(INSTANCE "current_tracer", "function");
	case GRAPH:
		return write_file(TRACING "current_tracer", "function_graph");
	}
	return false;
}

static bool go(FIXTURE_DATA(others) * self, int i)
{
	struct presence *presence = &self->present[i];

	switch (actors[i].kind) {
	case IN_VIEW:
	case IN_SECOND_VIEW:
		close(presence->fd);
		presence->fd = 0;
		return true;
	case SYSTEM_WIDE:
		bpf_link__destroy(presence->link);
		presence->link = NULL;
		return true;
	case TRACER:
		return write_file(INSTANCE "current_tracer", "nop");
	case GRAPH:
		return write_file(TRACING "current_tracer", "nop");
	}
	return false;
}

/* How often the function is in a trace, which is then emptied. */
static unsigned int traced(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned int n = 0;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		if (*line != '#' && (strstr(line, " " OTHERS_FUNCTION " <-") ||
				     strstr(line, " " OTHERS_FUNCTION "()")))
			n++;
	}
	if (file)
		fclose(file);
	empty(path);
	return n;
}

#define STEPS 100

TEST_F_TIMEOUT(others, in_any_order, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	unsigned int state = variant->seed;

	traced(INSTANCE "trace");
	traced(TRACING "trace");
	for (int step = 0; step < STEPS; step++) {
		int n = 3 + step % 5, m = 2 + step % 3;
		int i = rand_r(&state) % NR_ACTORS;
		bool comes = !self->present[i].there;
		const struct actor *actor = &actors[i];
		char what[64];

		snprintf(what, sizeof(what), "step %d, %s %s (%d)", step,
			 comes ? "comes" : "goes",
			 actor->kind >= TRACER ? "tracer" :
						 family_names[actor->family],
			 actor->kind);
		ASSERT_TRUE(comes ? come(self, i) : go(self, i))
		{
			TH_LOG("%s", what);
		}
		self->present[i].there = comes;

		for (size_t j = 0; j < NR_ACTORS; j++) {
			pid_t pid = actors[j].kind == IN_VIEW ?
					    self->target.pid :
				    actors[j].kind == IN_SECOND_VIEW ?
					    self->neighbour.pid :
					    0;

			set_func_slot(self->skel, j, pid, false);
		}
		ASSERT_TRUE(tell(&self->target, OP_READ, n));
		ASSERT_TRUE(tell(&self->neighbour, OP_READ, m));
		ASSERT_TRUE(answer(&self->target));
		ASSERT_TRUE(answer(&self->neighbour));

		for (size_t j = 0; j < NR_ACTORS; j++) {
			int calls = !self->present[j].there	     ? 0 :
				    actors[j].kind == IN_VIEW	     ? n :
				    actors[j].kind == IN_SECOND_VIEW ? m :
								       n + m;
			int events = calls * events_of(actors[j].family);

			switch (actors[j].kind) {
			case TRACER:
				EXPECT_EQ(calls, traced(INSTANCE "trace"))
				{
					TH_LOG("function, %s", what);
				}
				break;
			case GRAPH:
				EXPECT_EQ(calls, traced(TRACING "trace"))
				{
					TH_LOG("function_graph, %s", what);
				}
				break;
			default:
				EXPECT_EQ(events, slots[j].count)
				{
					TH_LOG("%s (%d) of %s",
					       family_names[actors[j].family],
					       actors[j].kind, what);
				}
				EXPECT_EQ(0, slots[j].foreign);
				break;
			}
		}
	}
	EXPECT_EQ(0, self->skel->bss->strays);
}

/* --- detached while the function runs --- */

#define FLIGHT_FUNCTION "__x64_sys_recvfrom"

FIXTURE(flight)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(flight)
{
	enum family family;
	/* Events of the entry, and of the return. */
	int entries;
	int returns;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(flight, kretprobe) {
	.family = KRETPROBE,
	.returns = 1,
};

FIXTURE_VARIANT_ADD(flight, multi_return) {
	.family = MULTI_RETURN,
	.returns = 1,
};

FIXTURE_VARIANT_ADD(flight, session) {
	.family = SESSION,
	.entries = 1,
	.returns = 1,
};

FIXTURE_VARIANT_ADD(flight, fentry) {
	.family = FENTRY,
	.entries = 1,
};

FIXTURE_VARIANT_ADD(flight, fexit) {
	.family = FEXIT,
	.returns = 1,
};

FIXTURE_VARIANT_ADD(flight, fmod_ret) {
	.family = FMOD_RET,
	.entries = 1,
};

/* clang-format on */

FIXTURE_SETUP(flight)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load_func(FLIGHT_FUNCTION);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	set_func_slot(self->skel, VIEW, self->target.pid, false);
}

FIXTURE_TEARDOWN(flight)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
}

/* A link, and the target in the function. */
static int take_off(FIXTURE_DATA(flight) * self, enum family family)
{
	int fd = view_func(self->skel, family, FLIGHT_FUNCTION, VIEW,
			   self->target.pid);

	if (fd >= 0 && !tell_and_wait(&self->target, OP_READ, 1))
		return -EPIPE;
	return fd;
}

TEST_F_TIMEOUT(flight, return_after_detach, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[VIEW];

	for (int i = 0; i < 20; i++) {
		struct bpf_link *link = NULL;
		int fd;

		slot->count = 0;
		fd = take_off(self, variant->family);
		ASSERT_LE(0, fd);
		EXPECT_EQ(variant->entries, slot->count);
		/* Others come and go meanwhile. */
		if (i % 3 == 1) {
			set_func_slot(self->skel, ORACLE, self->target.pid,
				      true);
			link = stock_func(self->skel, variant->family,
					  FLIGHT_FUNCTION, ORACLE);
			ASSERT_NE(NULL, link);
		}
		if (i % 2)
			bpf_link_detach(fd);
		close(fd);
		if (i % 5 == 1)
			usleep(100000);
		slot->count = 0;
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 1));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 1));
		EXPECT_EQ(0, slot->count);
		EXPECT_EQ(0, slot->foreign);
		bpf_link__destroy(link);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 1));
	}
}

/* One of two links goes: the return is the other's. */
TEST_F_TIMEOUT(flight, return_after_one_detach, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_program *other = func_oracle(self->skel, variant->family);
	int fds[2];

	for (int i = 0; i < 10; i++) {
		set_func_slot(self->skel, VIEW, self->target.pid, false);
		set_func_slot(self->skel, SECOND_VIEW, self->target.pid, false);
		fds[0] = view_func(self->skel, variant->family, FLIGHT_FUNCTION,
				   VIEW, self->target.pid);
		ASSERT_LE(0, fds[0]);
		fds[1] = view_func_program(other, variant->family,
					   FLIGHT_FUNCTION, SECOND_VIEW,
					   self->target.pid, 0);
		ASSERT_LE(0, fds[1]);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 1));
		EXPECT_EQ(variant->entries, slots[VIEW].count);
		EXPECT_EQ(variant->entries, slots[SECOND_VIEW].count);
		close(fds[i % 2]);
		slots[VIEW].count = 0;
		slots[SECOND_VIEW].count = 0;
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 1));
		EXPECT_EQ(0, slots[i % 2 ? SECOND_VIEW : VIEW].count);
		/* An image that is replaced loses the returns in flight, as it
		 * does for a system-wide program; the next entry has its own.
		 */
		EXPECT_LE(variant->entries,
			  slots[i % 2 ? VIEW : SECOND_VIEW].count);
		if (!is_tracing(variant->family))
			EXPECT_EQ(variant->entries + variant->returns,
				  slots[i % 2 ? VIEW : SECOND_VIEW].count);
		close(fds[!(i % 2)]);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 1));
	}
}

/* The target dies in the function: before the link goes, and after. */
TEST_F_TIMEOUT(flight, killed, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;

	for (int i = 0; i < 20; i++) {
		struct bpf_link *oracle = NULL;
		int fd;

		set_func_slot(self->skel, VIEW, self->target.pid, false);
		set_func_slot(self->skel, ORACLE, self->target.pid, true);
		if (i % 4 == 0) {
			oracle = stock_func(self->skel, variant->family,
					    FLIGHT_FUNCTION, ORACLE);
			ASSERT_NE(NULL, oracle);
		}
		fd = take_off(self, variant->family);
		ASSERT_LE(0, fd);
		if (i % 2) {
			close(fd);
			kill_target(&self->target);
			EXPECT_EQ(variant->entries, slots[VIEW].count);
		} else {
			kill_target(&self->target);
			usleep(20000);
			EXPECT_EQ(variant->entries + variant->returns,
				  slots[VIEW].count);
			close(fd);
		}
		EXPECT_EQ(0, slots[VIEW].foreign);
		bpf_link__destroy(oracle);
		ASSERT_TRUE(start_target(&self->target));
	}
}

/* --- programs that sleep --- */

FIXTURE(sleepable)
{
	struct func_bpf *skel;
	struct target neighbour;
	pid_t pid;
	int sock;
	int uffd;
	char *page;
};

/* Read on demand, from where a program that sleeps reads, too: each time with a
 * page that is not there.
 */
static void sleeper(int sock)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	__u64 hello[2] = { uffd, (uintptr_t)page };
	char order;

	reg.range.start = (uintptr_t)page;
	reg.range.len = 4096;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) ||
	    ioctl(uffd, UFFDIO_REGISTER, &reg))
		hello[0] = -1;
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	send(sock, hello, sizeof(hello), 0);
	while (recv(sock, &order, 1, 0) == 1) {
		char byte = 1;
		int ret;

		madvise(page, 4096, MADV_DONTNEED);
		ret = raw_read(zero_fd, &byte, 1);
		if (ret == 1 && byte)
			ret = -1;
		send(sock, &ret, sizeof(ret), 0);
	}
	_exit(0);
}

FIXTURE_SETUP(sleepable)
{
	const char *reason = why_not();
	__u64 hello[2];
	int pair[2], pidfd;

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load_func(FUNCTION);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->neighbour));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		sleeper(pair[1]);
	}
	close(pair[1]);
	self->sock = pair[0];
	ASSERT_EQ(sizeof(hello), recv(self->sock, hello, sizeof(hello), 0));
	if (hello[0] == -1ULL)
		SKIP(return, "no userfaultfd");
	pidfd = syscall(SYS_pidfd_open, self->pid, 0);
	self->uffd = syscall(SYS_pidfd_getfd, pidfd, (int)hello[0], 0);
	ASSERT_LE(0, self->uffd);
	close(pidfd);
	self->page = (char *)hello[1];
	self->skel->bss->user_address = hello[1];
	for (int i = 0; i < SLOTS; i++)
		set_func_slot(self->skel, i, self->pid, false);
}

FIXTURE_TEARDOWN(sleepable)
{
	kill_target(&self->neighbour);
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	close(self->sock);
	close(self->uffd);
	func_bpf__destroy(self->skel);
}

/* Let it call, and wait until the program sleeps. */
static bool fall_asleep(FIXTURE_DATA(sleepable) * self)
{
	struct uffd_msg msg = {};

	return send(self->sock, "", 1, 0) == 1 &&
	       read(self->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

/* Let the program go on; what the call has returned. */
static int wake_up(FIXTURE_DATA(sleepable) * self)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)self->page, .len = 4096 },
	};
	int ret;

	if (ioctl(self->uffd, UFFDIO_ZEROPAGE, &zero) ||
	    recv(self->sock, &ret, sizeof(ret), 0) != sizeof(ret))
		return INT_MIN;
	usleep(5000);
	return ret;
}

static int view_sleepable(FIXTURE_DATA(sleepable) * self, enum family family,
			  __u32 flags)
{
	struct bpf_program *program =
		family == FENTRY ? self->skel->progs.on_fentry_sleepable :
				   self->skel->progs.on_fexit_sleepable;

	return view_func_program(program, family, FUNCTION, VIEW, self->pid,
				 flags);
}

TEST_F_TIMEOUT(sleepable, detached_while_it_sleeps, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[VIEW];

	for (int i = 0; i < 10; i++) {
		enum family family = i % 2 ? FENTRY : FEXIT;
		__u64 slept = self->skel->bss->nr_slept;
		int fd = view_sleepable(self, family, 0);

		ASSERT_LE(0, fd);
		slot->count = 0;
		ASSERT_TRUE(fall_asleep(self));
		EXPECT_EQ(1, slot->count);
		close(fd);
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 10));
		if (i % 4 == 3)
			usleep(200000);
		EXPECT_EQ(1, wake_up(self));
		EXPECT_EQ(slept + 1, self->skel->bss->nr_slept);
		EXPECT_EQ(1, slot->count);
		EXPECT_EQ(0, slot->foreign);
	}
}

/*
 * A program that is behind another one in the same trampoline is there for a task that
 * sleeps in that, though it is detached and nobody else has it.
 */
TEST_F_TIMEOUT(sleepable, program_behind_goes, TIMEOUT)
{
	for (int i = 0; i < 4; i++) {
		struct func_bpf *behind = load_func(FUNCTION);
		int fd, first;

		/* The last to come is the first to run. */
		ASSERT_NE(NULL, behind);
		fd = view_func(behind, i % 2 ? FEXIT : FENTRY, FUNCTION, VIEW,
			       self->pid);
		ASSERT_LE(0, fd);
		first = view_sleepable(self, i % 2 ? FEXIT : FENTRY, 0);
		ASSERT_LE(0, first);
		ASSERT_TRUE(fall_asleep(self));
		close(fd);
		func_bpf__destroy(behind);
		/* For what is freed after grace periods. */
		usleep(500000);
		EXPECT_EQ(1, wake_up(self));
		close(first);
	}
}

/* What others attach meanwhile is called by those who have slept. */
TEST_F_TIMEOUT(sleepable, others_while_it_sleeps, TIMEOUT)
{
	static const enum family families[] = { KPROBE, MULTI, MULTI_RETURN,
						FENTRY, FEXIT };
	struct slot *slots = self->skel->bss->slots;

	for (int i = 0; i < 20; i++) {
		enum family family = families[i % ARRAY_SIZE(families)];
		/* A perf event would wait for the program that sleeps. */
		bool detach = family != KPROBE && i / ARRAY_SIZE(families) % 2;
		bool gone = i / ARRAY_SIZE(families) / 2 % 2;
		struct bpf_link *link = NULL;
		int fd;

		set_func_slot(self->skel, ORACLE, self->pid, true);
		if (detach) {
			link = stock_func(self->skel, family, FUNCTION, ORACLE);
			ASSERT_NE(NULL, link);
		}
		fd = view_sleepable(self, FENTRY, 0);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(fall_asleep(self));
		/* The image that it sleeps in is replaced, or stays. */
		if (gone)
			close(fd);
		if (detach) {
			bpf_link__destroy(link);
		} else {
			link = stock_func(self->skel, family, FUNCTION, ORACLE);
			ASSERT_NE(NULL, link);
		}
		EXPECT_EQ(0, slots[ORACLE].count);
		EXPECT_EQ(1, wake_up(self));
		EXPECT_EQ(detach ? 0 : 1, slots[ORACLE].count)
		{
			TH_LOG("%s, round %d", family_names[family], i);
		}
		if (!detach)
			bpf_link__destroy(link);
		if (!gone)
			close(fd);
	}
}

/*
 * The other links of the target, too, whatever happens to the image that it
 * sleeps in: @flags of the program that sleeps and of the other one.
 */
static void sleep_beside(struct __test_metadata *_metadata,
			 FIXTURE_DATA(sleepable) * self, __u32 flags,
			 __u32 other_flags)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_program *fentry = self->skel->progs.on_fentry_oracle;
	int fd, other, third;

	for (int i = 0; i < 3; i++) {
		set_func_slot(self->skel, SECOND_VIEW, self->pid, false);
		set_func_slot(self->skel, SECOND_ORACLE, self->pid, false);
		other = view_func_program(self->skel->progs.on_fexit, FEXIT,
					  FUNCTION, SECOND_VIEW, self->pid,
					  other_flags);
		ASSERT_LE(0, other);
		fd = view_sleepable(self, FENTRY, flags);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(fall_asleep(self));
		third = -1;
		if (i == 1)
			third = view_func_program(fentry, FENTRY, FUNCTION,
						  SECOND_ORACLE, self->pid,
						  flags);
		else if (i == 2)
			close(fd);
		EXPECT_EQ(1, wake_up(self));
		EXPECT_EQ(1, slots[SECOND_VIEW].count)
		{
			TH_LOG("round %d, flags %x and %x", i, flags,
			       other_flags);
		}
		EXPECT_EQ(0, slots[SECOND_ORACLE].count);
		close(other);
		if (i == 1)
			close(third);
		if (i != 2)
			close(fd);
	}
}

TEST_F_TIMEOUT(sleepable, beside_link_for_all_events, TIMEOUT)
{
	sleep_beside(_metadata, self, BPF_F_VIEW_TASK_CONTEXT, 0);
}

TEST_F_TIMEOUT(sleepable, beside_link_for_task_context, TIMEOUT)
{
	sleep_beside(_metadata, self, 0, BPF_F_VIEW_TASK_CONTEXT);
}

TEST_F_TIMEOUT(sleepable, killed_while_it_sleeps, TIMEOUT)
{
	int fd = view_sleepable(self, FENTRY, 0);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fall_asleep(self));
	kill(self->pid, SIGKILL);
	ASSERT_EQ(self->pid, waitpid(self->pid, NULL, 0));
	close(fd);
	usleep(100000);
}

TEST_F_TIMEOUT(sleepable, killed_after_detach, TIMEOUT)
{
	int fd = view_sleepable(self, FEXIT, 0);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(fall_asleep(self));
	close(fd);
	usleep(100000);
	kill(self->pid, SIGKILL);
	ASSERT_EQ(self->pid, waitpid(self->pid, NULL, 0));
	usleep(100000);
}

/* --- task context --- */

#define BOTH_FUNCTION "try_to_wake_up"

FIXTURE(context)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(context)
{
	enum family family;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(context, kprobe) {
	.family = KPROBE,
};

FIXTURE_VARIANT_ADD(context, kretprobe) {
	.family = KRETPROBE,
};

FIXTURE_VARIANT_ADD(context, instruction) {
	.family = INSTRUCTION,
};

FIXTURE_VARIANT_ADD(context, multi) {
	.family = MULTI,
};

FIXTURE_VARIANT_ADD(context, session) {
	.family = SESSION,
};

FIXTURE_VARIANT_ADD(context, fentry) {
	.family = FENTRY,
};

FIXTURE_VARIANT_ADD(context, fexit) {
	.family = FEXIT,
};

/* clang-format on */

FIXTURE_SETUP(context)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(set_optimization(false));
	self->skel = load_func(BOTH_FUNCTION);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	/* The neighbour's timers interrupt the target. */
	ASSERT_TRUE(pin(self->target.pid, true));
	ASSERT_TRUE(pin(self->neighbour.pid, true));
	settle(&self->target);
	settle(&self->neighbour);
}

FIXTURE_TEARDOWN(context)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
	set_optimization(true);
}

TEST_F_TIMEOUT(context, task_only, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	enum family family = variant->family;
	enum family as = family == FENTRY ? MULTI :
			 family == FEXIT  ? MULTI_RETURN :
					    family;
	struct bpf_program *program = func_program(self->skel, family);
	struct bpf_link *oracles[2];
	__u64 in_interrupts = 0;
	int fds[2];

	self->skel->bss->task_only[SECOND_ORACLE] =
		family == INSTRUCTION ? TASK_ONLY_INT3 : TASK_ONLY;
	for (int i = 0; i < 6; i++) {
		__u64 missed_view, missed_oracle;

		set_func_slot(self->skel, VIEW, self->target.pid, false);
		set_func_slot(self->skel, SECOND_VIEW, self->target.pid, false);
		set_func_slot(self->skel, ORACLE, self->target.pid, true);
		set_func_slot(self->skel, SECOND_ORACLE, self->target.pid,
			      true);
		missed_view = misses(program);
		missed_oracle = misses(func_oracle(self->skel, as));
		/* A program is on a trampoline once, so ask another family. */
		oracles[0] = stock_func(self->skel, as, BOTH_FUNCTION, ORACLE);
		oracles[1] = stock_func(self->skel, as, BOTH_FUNCTION,
					SECOND_ORACLE);
		ASSERT_NE(NULL, oracles[0]);
		ASSERT_NE(NULL, oracles[1]);
		/* In each order. */
		for (int j = 0; j < 2; j++) {
			bool task = (i + j) % 2;

			__u32 flags = task ? BPF_F_VIEW_TASK_CONTEXT : 0;
			int slot = task ? SECOND_VIEW : VIEW;

			fds[j] = view_func_program(program, family,
						   BOTH_FUNCTION, slot,
						   self->target.pid, flags);
			ASSERT_LE(0, fds[j]);
		}
		ASSERT_TRUE(tell(&self->neighbour, OP_SLEEP, 300));
		ASSERT_TRUE(tell(&self->target, OP_READ, 30000));
		ASSERT_TRUE(answer(&self->target));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_MIX, 2));
		ASSERT_TRUE(answer(&self->neighbour));
		close(fds[0]);
		close(fds[1]);
		bpf_link__destroy(oracles[0]);
		bpf_link__destroy(oracles[1]);
		missed_view = misses(program) - missed_view;
		missed_oracle =
			misses(func_oracle(self->skel, as)) - missed_oracle;

		EXPECT_TRUE(may_agree(slots[VIEW].count, missed_view,
				      slots[ORACLE].count, missed_oracle))
		{
			TH_LOG("all: view %llu, oracle %llu", slots[VIEW].count,
			       slots[ORACLE].count);
		}
		EXPECT_TRUE(may_agree(slots[SECOND_VIEW].count, missed_view,
				      slots[SECOND_ORACLE].count,
				      missed_oracle))
		{
			TH_LOG("task context: view %llu, oracle %llu",
			       slots[SECOND_VIEW].count,
			       slots[SECOND_ORACLE].count);
		}
		if (as == family && !missed_view && !missed_oracle) {
			same_contexts(_metadata, self->skel, VIEW, ORACLE,
				      "all");
			same_contexts(_metadata, self->skel, SECOND_VIEW,
				      SECOND_ORACLE, "task context");
		}
		EXPECT_LT(0, slots[SECOND_VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign + slots[SECOND_VIEW].foreign);
		in_interrupts += slots[VIEW].count - slots[SECOND_VIEW].count;
	}
	TH_LOG("%llu events in interrupts", in_interrupts);
	EXPECT_LT(0, in_interrupts);
}

/* --- processes --- */

FIXTURE(life)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(life)
{
	enum family family;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(life, kprobe) {
	.family = KPROBE,
};

FIXTURE_VARIANT_ADD(life, kretprobe) {
	.family = KRETPROBE,
};

FIXTURE_VARIANT_ADD(life, instruction) {
	.family = INSTRUCTION,
};

FIXTURE_VARIANT_ADD(life, multi) {
	.family = MULTI,
};

FIXTURE_VARIANT_ADD(life, session) {
	.family = SESSION,
};

FIXTURE_VARIANT_ADD(life, fentry) {
	.family = FENTRY,
};

FIXTURE_VARIANT_ADD(life, fexit) {
	.family = FEXIT,
};

FIXTURE_VARIANT_ADD(life, fmod_ret) {
	.family = FMOD_RET,
};

/* clang-format on */

FIXTURE_SETUP(life)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(set_optimization(false));
	self->skel = load_func(FUNCTION);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	set_func_slot(self->skel, VIEW, self->target.pid, false);
	set_func_slot(self->skel, SECOND_VIEW, 0, false);
}

FIXTURE_TEARDOWN(life)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
	set_optimization(true);
}

/* A link that follows sees the descendants, one that does not does not. */
TEST_F_TIMEOUT(life, follow_fork, TIMEOUT)
{
	static const enum op ops[] = { OP_FORK,	     OP_VFORK,
				       OP_CLONE_VM,  OP_GRANDCHILD,
				       OP_FORK_EXEC, OP_VFORK_EXEC };
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link_info info = {};
	enum family family = variant->family;
	int fd, follows;

	fd = view_func(self->skel, family, FUNCTION, VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	follows = view_func_program(func_oracle(self->skel, family), family,
				    FUNCTION, SECOND_VIEW, self->target.pid,
				    BPF_F_VIEW_FOLLOW_FORK);
	ASSERT_LE(0, follows);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		bool executes = ops[i] == OP_FORK_EXEC ||
				ops[i] == OP_VFORK_EXEC;
		__u64 expected = 30 * events_of(family);

		slots[VIEW].count = 0;
		slots[SECOND_VIEW].count = 0;
		ASSERT_TRUE(tell(&self->neighbour, OP_READ, 10));
		ASSERT_TRUE(tell_and_wait(&self->target, ops[i], 30));
		ASSERT_TRUE(answer(&self->neighbour));
		EXPECT_EQ(0, slots[VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
		EXPECT_LE(expected, slots[SECOND_VIEW].count)
		{
			TH_LOG("order %d", ops[i]);
		}
		EXPECT_GE(expected + (executes ? 20 : 0),
			  slots[SECOND_VIEW].count);
		/* The target still is one. */
		slots[SECOND_VIEW].count = 0;
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 30));
		EXPECT_EQ(expected, slots[VIEW].count);
		EXPECT_EQ(expected, slots[SECOND_VIEW].count);
	}
	ASSERT_EQ(0, link_info(follows, &info));
	EXPECT_EQ(1, info.kview.count);
	close(fd);
	close(follows);
}

TEST_F_TIMEOUT(life, add_and_del, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[SECOND_VIEW];
	__u32 pid = self->target.pid, other = self->neighbour.pid;
	__u64 expected = 30 * events_of(variant->family);
	int fd;

	fd = view_func(self->skel, variant->family, FUNCTION, SECOND_VIEW, pid);
	ASSERT_LE(0, fd);
	for (int i = 0; i < 5; i++) {
		slot->count = 0;
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 30));
		EXPECT_EQ(0, slot->count);
		EXPECT_EQ(-EEXIST,
			  link_targets(fd, BPF_LINK_TARGETS_ADD, &pid, 1, 0));
		EXPECT_EQ(0,
			  link_targets(fd, BPF_LINK_TARGETS_ADD, &other, 1, 0));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 30));
		EXPECT_EQ(expected, slot->count);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 30));
		EXPECT_EQ(2 * expected, slot->count);
		EXPECT_EQ(0,
			  link_targets(fd, BPF_LINK_TARGETS_DEL, &pid, 1, 0));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 30));
		EXPECT_EQ(2 * expected, slot->count);
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 30));
		EXPECT_EQ(3 * expected, slot->count);
		EXPECT_EQ(0,
			  link_targets(fd, BPF_LINK_TARGETS_ADD, &pid, 1, 0));
		EXPECT_EQ(0,
			  link_targets(fd, BPF_LINK_TARGETS_DEL, &other, 1, 0));
	}
	close(fd);
}

static long nr_shared(int fd)
{
	struct bpf_link_info info = {};

	return link_info(fd, &info) ? -1 : info.kview.nr_shared;
}

/*
 * Targets of the same programs share the copy of the text. They do not share
 * trampolines with programs at the return: what is in flight would go on to these
 * after a detach.
 */
TEST_F_TIMEOUT(life, shared_text, TIMEOUT)
{
	struct bpf_program *program = func_program(self->skel, variant->family);
	struct bpf_program *other = func_oracle(self->skel, variant->family);
	bool shares = variant->family != FEXIT && variant->family != FMOD_RET;
	__u32 pids[] = { self->target.pid, self->neighbour.pid };
	struct target *targets[] = { &self->target, &self->neighbour };
	__u64 expected = 30 * events_of(variant->family);
	struct slot *slots = self->skel->bss->slots;

	/* Whichever of two links is the first to go. */
	for (int first = 0; first < 2; first++) {
		int fds[2], more;
		long text;

		for (int i = 0; i < 2; i++) {
			fds[i] = view_func_program(program, variant->family,
						   FUNCTION, SECOND_VIEW,
						   pids[i], 0);
			ASSERT_LE(0, fds[i]);
			EXPECT_EQ(i && shares, nr_shared(fds[i]) > 0);
		}
		text = nr_shared(fds[0]);
		EXPECT_EQ(text, nr_shared(fds[1]));
		slots[SECOND_VIEW].count = 0;
		for (int i = 0; i < 2; i++) {
			ASSERT_TRUE(tell_and_wait(targets[i], OP_READ, 30));
			EXPECT_EQ((i + 1) * expected, slots[SECOND_VIEW].count);
		}

		/* What is attached to everybody runs in both, too. */
		for (int i = 0; i < 2; i++) {
			struct bpf_link *link;

			set_func_slot(self->skel, ORACLE, pids[i], true);
			link = stock_func(self->skel, variant->family, FUNCTION,
					  ORACLE);
			ASSERT_NE(NULL, link);
			slots[SECOND_VIEW].count = 0;
			ASSERT_TRUE(tell_and_wait(targets[i], OP_READ, 30));
			EXPECT_EQ(expected, slots[SECOND_VIEW].count);
			EXPECT_EQ(expected, slots[ORACLE].count);
			EXPECT_EQ(text, nr_shared(fds[0]));
			bpf_link__destroy(link);
			EXPECT_EQ(text, nr_shared(fds[1]));
		}

		/* One more program, in one of them. */
		set_func_slot(self->skel, VIEW, pids[0], false);
		more = view_func_program(other, variant->family, FUNCTION, VIEW,
					 pids[0], 0);
		ASSERT_LE(0, more);
		if (variant->family == FENTRY)
			EXPECT_GT(text, nr_shared(fds[1]));
		slots[SECOND_VIEW].count = 0;
		for (int i = 0; i < 2; i++) {
			ASSERT_TRUE(tell_and_wait(targets[i], OP_READ, 30));
			EXPECT_EQ((i + 1) * expected, slots[SECOND_VIEW].count);
			EXPECT_EQ(expected, slots[VIEW].count);
		}
		EXPECT_EQ(0, slots[VIEW].foreign);
		close(more);
		EXPECT_EQ(text, nr_shared(fds[0]));
		EXPECT_EQ(text, nr_shared(fds[1]));

		close(fds[first]);
		EXPECT_EQ(0, nr_shared(fds[!first]));
		slots[SECOND_VIEW].count = 0;
		for (int i = 0; i < 2; i++) {
			ASSERT_TRUE(tell_and_wait(targets[i], OP_READ, 30));
			EXPECT_EQ(i || first ? expected : 0,
				  slots[SECOND_VIEW].count);
		}
		close(fds[!first]);
	}

	/* Not what has another cookie, of the trampolines that have it in them. */
	if (variant->family == FENTRY) {
		int fds[2];

		for (int i = 0; i < 2; i++) {
			set_func_slot(self->skel, i ? SECOND_VIEW : VIEW,
				      pids[i], false);
			fds[i] = view_func(self->skel, FENTRY, FUNCTION,
					   i ? SECOND_VIEW : VIEW, pids[i]);
			ASSERT_LE(0, fds[i]);
			EXPECT_EQ(0, nr_shared(fds[i]));
		}
		for (int i = 0; i < 2; i++)
			ASSERT_TRUE(tell_and_wait(targets[i], OP_READ, 30));
		EXPECT_EQ(expected, slots[VIEW].count);
		EXPECT_EQ(expected, slots[SECOND_VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign + slots[SECOND_VIEW].foreign);
		close(fds[0]);
		close(fds[1]);
	}
}

/* Two processes with the same memory, each a target. */
TEST_F_TIMEOUT(life, shared_memory, TIMEOUT)
{
	struct bpf_program *other = func_oracle(self->skel, variant->family);
	struct slot *slots = self->skel->bss->slots;
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u64 expected = 10 * events_of(variant->family);
	int fd, second, child_fd;
	int gate[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(gate));
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	/* Ours is there before the child is. */
	set_func_slot(self->skel, VIEW, getpid(), false);
	fd = view_func(self->skel, variant->family, FUNCTION, VIEW, getpid());
	ASSERT_LE(0, fd);
	for (int i = 0; i < 4; i++) {
		int status;

		set_func_slot(self->skel, VIEW, getpid(), false);
		pid = clone(clone_vm_child, stack + STACK_SIZE,
			    CLONE_VM | SIGCHLD | (i % 2 ? 0 : CLONE_VFORK),
			    (void *)20);
		ASSERT_LT(0, pid);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		EXPECT_EQ(0, slots[VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
		reads(10);
		EXPECT_EQ(expected, slots[VIEW].count);
	}
	/* The child is a target by itself, alone and beside us. */
	for (int i = 0; i < 4; i++) {
		second = i % 2;
		set_func_slot(self->skel, VIEW, getpid(), false);
		set_func_slot(self->skel, SECOND_VIEW, 0, false);
		child_fd = view_func_program(other, variant->family, FUNCTION,
					     SECOND_VIEW, getpid(),
					     BPF_F_VIEW_FOLLOW_FORK);
		ASSERT_LE(0, child_fd);
		if (second) {
			close(fd);
			fd = -1;
		}
		pid = clone(clone_vm_child, stack + STACK_SIZE,
			    CLONE_VM | SIGCHLD, (void *)20);
		ASSERT_LT(0, pid);
		waitpid(pid, NULL, 0);
		EXPECT_EQ(2 * expected, slots[SECOND_VIEW].count);
		EXPECT_EQ(0, slots[VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
		close(child_fd);
		if (second) {
			fd = view_func(self->skel, variant->family, FUNCTION,
				       VIEW, getpid());
			ASSERT_LE(0, fd);
		}
	}
	close(fd);
	munmap(stack, STACK_SIZE);
}

/* Other links come and go while the target runs: it loses and repeats nothing. */
TEST_F_TIMEOUT(life, others_toggle_while_it_runs, TIMEOUT)
{
	static const struct {
		enum family family;
		__u32 flags;
		bool system_wide;
	} others[] = {
		{ FENTRY, BPF_F_VIEW_TASK_CONTEXT, false },
		{ FENTRY, 0, false },
		{ KPROBE, BPF_F_VIEW_TASK_CONTEXT, false },
		{ FEXIT, BPF_F_VIEW_TASK_CONTEXT, false },
		{ MULTI_RETURN, 0, false },
		{ FEXIT, 0, false },
		{ FENTRY, 0, true },
		{ MULTI, 0, true },
	};
	struct slot *slots = self->skel->bss->slots;
	enum family family = variant->family;
	__u64 n = 30000 * events_of(family);
	__u64 lost = 0;
	int fd;

	fd = view_func(self->skel, family, FUNCTION, VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell(&self->neighbour, OP_READ, 30000));
	ASSERT_TRUE(tell(&self->target, OP_READ, 30000));
	for (size_t i = 0; i < 10 * ARRAY_SIZE(others); i++) {
		size_t nr = i % ARRAY_SIZE(others);
		enum family other = others[nr].family;
		struct bpf_program *program = func_oracle(self->skel, other);
		struct bpf_link *link;
		int other_fd;

		if (others[nr].system_wide) {
			set_func_slot(self->skel, ORACLE, self->target.pid,
				      true);
			link = stock_func(self->skel, other, FUNCTION, ORACLE);
			ASSERT_NE(NULL, link);
			bpf_link__destroy(link);
			continue;
		}
		set_func_slot(self->skel, SECOND_VIEW, self->target.pid, false);
		other_fd = view_func_program(program, other, FUNCTION,
					     SECOND_VIEW, self->target.pid,
					     others[nr].flags);
		ASSERT_LE(0, other_fd);
		close(other_fd);
		EXPECT_EQ(0, slots[SECOND_VIEW].foreign);
		/* Of an image that is replaced the returns in flight are lost. */
		if (is_tracing(other) && !others[nr].flags && family == FEXIT)
			lost += 2;
	}
	ASSERT_TRUE(answer(&self->target));
	ASSERT_TRUE(answer(&self->neighbour));
	EXPECT_GE(n, slots[VIEW].count);
	EXPECT_LE(n - lost, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	close(fd);
}

/* A kernel thread that uses the memory of a target is not the target. */
TEST_F_TIMEOUT(life, kthread_use_mm, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link *oracle;
	struct func_bpf *skel;
	int fd;

	if (variant->family == FMOD_RET)
		SKIP(return, "not on this function");
	fd = load_module();
	if (fd && fd != -EEXIST)
		SKIP(return, MODULE_FILE ": %s", strerror(-fd));
	skel = load_func("kfree");
	ASSERT_NE(NULL, skel);
	slots = skel->bss->slots;
	set_func_slot(skel, VIEW, self->target.pid, false);
	set_func_slot(skel, ORACLE, self->target.pid, true);
	fd = view_func(skel, variant->family, "kfree", VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	oracle = stock_func(skel, variant->family, "kfree", ORACLE);
	ASSERT_NE(NULL, oracle);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_USE_MM, 200));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_STEP, 100));
	close(fd);
	bpf_link__destroy(oracle);
	EXPECT_LT(100, slots[VIEW].count);
	EXPECT_EQ(slots[ORACLE].count, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	same_contexts(_metadata, skel, VIEW, ORACLE, "kfree");
	func_bpf__destroy(skel);
	EXPECT_EQ(0, unload_module());
}

/* What a process calls when it executes a program, and when it ends. */
FIXTURE(calls)
{
	struct func_bpf *skel;
	struct target target;
};

FIXTURE_VARIANT(calls)
{
	const char *function;
	enum op op;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(calls, begin_new_exec) {
	.function = "begin_new_exec",
	.op = OP_EXEC,
};

FIXTURE_VARIANT_ADD(calls, thread_exec) {
	.function = "begin_new_exec",
	.op = OP_THREAD_EXEC,
};

FIXTURE_VARIANT_ADD(calls, load_elf_binary) {
	.function = "load_elf_binary",
	.op = OP_EXEC,
};

FIXTURE_VARIANT_ADD(calls, mmput_of_exec) {
	.function = "mmput",
	.op = OP_EXEC,
};

FIXTURE_VARIANT_ADD(calls, do_exit) {
	.function = "do_exit",
	.op = OP_EXIT,
};

FIXTURE_VARIANT_ADD(calls, exit_files) {
	.function = "exit_files",
	.op = OP_EXIT,
};

FIXTURE_VARIANT_ADD(calls, mmput_of_exit) {
	.function = "mmput",
	.op = OP_EXIT,
};

FIXTURE_VARIANT_ADD(calls, exit_notify) {
	.function = "cgroup_exit",
	.op = OP_EXIT,
};

FIXTURE_VARIANT_ADD(calls, schedule_of_exit) {
	.function = "pick_next_task_fair",
	.op = OP_EXIT,
};

FIXTURE_VARIANT_ADD(calls, schedule) {
	.function = "schedule",
	.op = OP_SLEEP,
};

FIXTURE_VARIANT_ADD(calls, finish_fault) {
	.function = "handle_mm_fault",
	.op = OP_MMAP,
};

FIXTURE_VARIANT_ADD(calls, text_poke) {
	.function = "text_poke_sync",
	.op = OP_PATCH,
};

/* clang-format on */

FIXTURE_SETUP(calls)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(set_optimization(false));
	self->skel = load_func(variant->function);
	if (!self->skel)
		self->skel = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->skel);
}

FIXTURE_TEARDOWN(calls)
{
	kill_target(&self->target);
	func_bpf__destroy(self->skel);
	set_optimization(true);
}

TEST_F_TIMEOUT(calls, as_the_program_with_a_filter, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;

	for (enum family family = 0; family < FMOD_RET; family++) {
		struct bpf_program *program = func_program(self->skel, family);
		struct bpf_program *beside = func_oracle(self->skel, family);
		__u64 missed_view = misses(program);
		__u64 missed_oracle = misses(beside);
		struct bpf_link *oracle;
		int fd;

		/* Some of them programs cannot be loaded for. */
		if (is_tracing(family) && bpf_program__fd(program) < 0)
			continue;
		ASSERT_TRUE(start_target(&self->target));
		set_func_slot(self->skel, VIEW, self->target.pid, false);
		set_func_slot(self->skel, ORACLE, self->target.pid, true);
		oracle = stock_func(self->skel, family, variant->function,
				    ORACLE);
		ASSERT_NE(NULL, oracle)
		{
			TH_LOG("%s", family_names[family]);
		}
		fd = view_func(self->skel, family, variant->function, VIEW,
			       self->target.pid);
		ASSERT_LE(0, fd)
		{
			TH_LOG("%s: %s", family_names[family], strerror(-fd));
		}
		if (variant->op == OP_EXIT) {
			ASSERT_TRUE(tell(&self->target, OP_EXIT, 0));
			waitpid(self->target.pid, NULL, 0);
			close(self->target.sock);
			self->target.reap = false;
			usleep(20000);
		} else {
			for (int i = 0; i < 3; i++)
				ASSERT_TRUE(tell_and_wait(&self->target,
							  variant->op, 5));
			/* The return is in the child, or comes later. */
			ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 1));
		}
		/* Of a call that is missed so, neither entry nor return is seen. */
		missed_view = misses(program) - missed_view +
			      hook_misses(fd) * events_of(family);
		missed_oracle =
			misses(beside) - missed_oracle +
			hook_misses(bpf_link__fd(oracle)) * events_of(family);
		bpf_link__destroy(oracle);
		close(fd);
		EXPECT_TRUE(agree(slots[VIEW].count, missed_view,
				  slots[ORACLE].count, missed_oracle))
		{
			TH_LOG("%s: view %llu, oracle %llu",
			       family_names[family], slots[VIEW].count,
			       slots[ORACLE].count);
		}
		EXPECT_EQ(0, slots[VIEW].foreign);
		if (!missed_view && !missed_oracle)
			same_contexts(_metadata, self->skel, VIEW, ORACLE,
				      family_names[family]);
		kill_target(&self->target);
	}
}

/* --- the memory of trampolines --- */

/* A process without rights, which forks one that reads when it is told to. */
static void forker(int sock)
{
	char order;

	if (setresuid(65534, 65534, 65534))
		_exit(1);
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	send(sock, &(int){ 0 }, sizeof(int), 0);
	while (recv(sock, &order, 1, 0) == 1) {
		pid_t pid = fork();
		int ret = pid < 0 ? -errno : 0;

		if (!pid) {
			reads(10);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
		send(sock, &ret, sizeof(ret), 0);
	}
	_exit(0);
}

/*
 * Only who attaches needs the right to go beyond the limit of the memory for
 * trampolines: not a target that forks, nor who closes the link.
 */
TEST_F_TIMEOUT(func, beyond_the_limit, TIMEOUT)
{
	static const enum family families[] = { FENTRY, FEXIT };
	struct slot *slots = self->skel->bss->slots;
	FILE *file;

	file = fopen(JIT_LIMIT, "r");
	ASSERT_NE(NULL, file);
	ASSERT_EQ(1, fscanf(file, "%ld", &self->jit_limit));
	fclose(file);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct bpf_program *programs[] = {
			func_program(self->skel, families[i]),
			func_oracle(self->skel, families[i]),
		};
		int pair[2], fds[2], ret = -1, status;
		pid_t pid, closer;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC,
					0, pair));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			close(pair[0]);
			forker(pair[1]);
		}
		close(pair[1]);
		ASSERT_EQ(sizeof(ret), recv(pair[0], &ret, sizeof(ret), 0));
		for (int j = 0; j < 2; j++) {
			set_func_slot(self->skel, VIEW + j, 0, false);
			fds[j] = view_func_program(programs[j], families[i],
						   FUNCTION, VIEW + j, pid,
						   BPF_F_VIEW_FOLLOW_FORK);
			ASSERT_LE(0, fds[j]);
		}
		ASSERT_TRUE(set_jit_limit(1));
		for (int j = 0; j < 3; j++) {
			slots[VIEW].count = 0;
			slots[VIEW + 1].count = 0;
			ASSERT_EQ(1, send(pair[0], "", 1, 0));
			ASSERT_EQ(sizeof(ret),
				  recv(pair[0], &ret, sizeof(ret), 0));
			EXPECT_EQ(0, ret);
			EXPECT_EQ(10, slots[VIEW].count);
			EXPECT_EQ(10, slots[VIEW + 1].count);
		}
		closer = fork();
		ASSERT_LE(0, closer);
		if (!closer) {
			if (setresuid(65534, 65534, 65534))
				_exit(1);
			/* When the parent has closed its own. */
			usleep(100000);
			_exit(0);
		}
		close(fds[1]);
		ASSERT_EQ(closer, waitpid(closer, &status, 0));
		EXPECT_EQ(0, status);
		slots[VIEW].count = 0;
		slots[VIEW + 1].count = 0;
		ASSERT_EQ(1, send(pair[0], "", 1, 0));
		ASSERT_EQ(sizeof(ret), recv(pair[0], &ret, sizeof(ret), 0));
		EXPECT_EQ(0, ret);
		EXPECT_EQ(10, slots[VIEW].count);
		EXPECT_EQ(0, slots[VIEW + 1].count);
		ASSERT_TRUE(set_jit_limit(self->jit_limit));
		close(fds[0]);
		close(pair[0]);
		waitpid(pid, NULL, 0);
	}
}

#define IMAGES 80

/* A program that does nothing, on a function for one process; a link or below 0. */
static int view_nothing(const struct btf *btf, const char *name, pid_t pid)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = BPF_TRACE_FENTRY);
	union bpf_attr attr = {};
	int fd;

	opts.attach_btf_id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	if ((int)opts.attach_btf_id < 0)
		return -ENOENT;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "nothing", "GPL", insns,
			   ARRAY_SIZE(insns), &opts);
	if (fd < 0)
		return -errno;
	attr.link_create.prog_fd = fd;
	attr.link_create.attach_type = BPF_TRACE_FENTRY;
	attr.link_create.view.pid = pid;
	attr.link_create.tracing.cookie = VIEW;
	fd = create(&attr);
	close(attr.link_create.prog_fd);
	return fd;
}

/* What everybody calls changes at once in many functions that have trampolines. */
TEST_F_TIMEOUT(func, others_on_many_functions, TIMEOUT)
{
	static const char *const prefixes[] = { "vfs_", "tcp_", "sock_" };
	struct bpf_program *program = self->skel->progs.on_multi_oracle;
	struct slot *slot = &self->skel->bss->slots[ORACLE];
	struct functions functions = read_functions();
	struct btf *btf = btf__load_vmlinux_btf();
	const char *names[IMAGES];
	int fds[IMAGES], nr = 0;

	ASSERT_NE(NULL, functions.list);
	ASSERT_NE(NULL, btf);
	for (size_t i = 0; i < functions.nr && nr < IMAGES; i++) {
		const char *name = functions.list[i].name;
		bool chosen = false;

		for (size_t j = 0; j < ARRAY_SIZE(prefixes); j++)
			chosen |= !strncmp(name, prefixes[j],
					   strlen(prefixes[j]));
		if (!chosen || nr_named(name, NULL) != 1)
			continue;
		fds[nr] = view_nothing(btf, name, self->target.pid);
		if (fds[nr] >= 0)
			names[nr++] = name;
	}
	ASSERT_EQ(IMAGES, nr);
	for (int i = 0; i < 3; i++) {
		LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .syms = names,
			    .cnt = nr);
		struct bpf_link *link;

		set_func_slot(self->skel, 0, 0, false);
		link = bpf_program__attach_kprobe_multi_opts(program, NULL,
							     &opts);
		ASSERT_NE(NULL, link);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 100));
		EXPECT_LE(100, self->skel->bss->slots[0].count);
		bpf_link__destroy(link);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 100));
	}
	EXPECT_EQ(0, slot->foreign);
	while (nr)
		close(fds[--nr]);
	btf__free(btf);
	free(functions.list);
}

/* --- errors --- */

/* What the attempt at a link for everybody says. */
static int stock_error(struct func_bpf *skel, enum family family,
		       const char *function)
{
	struct bpf_link *link = stock_func(skel, family, function, ORACLE);
	int ret = link ? 0 : -errno;

	bpf_link__destroy(link);
	return ret;
}

static void left_nothing(struct __test_metadata *_metadata,
			 FIXTURE_DATA(func) * self)
{
	nothing_left(_metadata, self->skel, self->links, &self->target,
		     &self->neighbour);
}

TEST_F_TIMEOUT(func, no_such_function, TIMEOUT)
{
	static const enum family families[] = { KPROBE, KRETPROBE, MULTI,
						MULTI_RETURN, SESSION };

	libbpf_set_print(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int ret = view_func(self->skel, families[i], "no_such_function",
				    VIEW, self->pid);

		EXPECT_EQ(stock_error(self->skel, families[i],
				      "no_such_function"),
			  ret)
		{
			TH_LOG("%s", family_names[families[i]]);
		}
		EXPECT_NE(0, view_func(self->skel, families[i], "", VIEW,
				       self->pid));
		/* Before the process is looked for. */
		EXPECT_EQ(ret, view_func(self->skel, families[i],
					 "no_such_function", VIEW, 1 << 30));
	}
	EXPECT_EQ(-ENOENT, view_func(self->skel, KPROBE, "no_such_function",
				     VIEW, self->pid));
	EXPECT_EQ(-EFAULT,
		  view_func(self->skel, KPROBE, (char *)8, VIEW, self->pid));
	EXPECT_EQ(-EFAULT,
		  view_func(self->skel, MULTI, (char *)8, VIEW, self->pid));
	EXPECT_EQ(-ESRCH,
		  view_func(self->skel, KPROBE, FUNCTION, VIEW, 1 << 30));
	EXPECT_EQ(-ESRCH,
		  view_func(self->skel, FENTRY, FUNCTION, VIEW, 1 << 30));
	EXPECT_EQ(-EINVAL, view_func(self->skel, MULTI, FUNCTION, VIEW, 2));
	EXPECT_EQ(-EINVAL, view_func(self->skel, FEXIT, FUNCTION, VIEW, 2));
	left_nothing(_metadata, self);
}

/* Functions that cannot be had: as for everybody, or in views only. */
TEST_F_TIMEOUT(func, refused_functions, TIMEOUT)
{
	static const enum family families[] = { KPROBE, KRETPROBE, MULTI,
						MULTI_RETURN };
	char blacklisted[256] = "";
	const char *const names[] = {
		/* notrace */
		"kview_func_handler",
		"__switch_to",
		/* after boot, memory of others */
		"start_kernel",
		"do_one_initcall_debug",
		blacklisted,
		/* what is no function */
		"jiffies",
		"_stext",
	};

	ASSERT_TRUE(first_name("/sys/kernel/debug/kprobes/blacklist",
			       blacklisted, sizeof(blacklisted)));
	libbpf_set_print(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(families); j++) {
			int ret = view_func(self->skel, families[j], names[i],
					    VIEW, self->pid);
			int stock =
				stock_error(self->skel, families[j], names[i]);

			EXPECT_EQ(stock, ret < 0 ? ret : 0)
			{
				TH_LOG("%s of %s", family_names[families[j]],
				       names[i]);
			}
			if (ret >= 0)
				close(ret);
		}
	}
	left_nothing(_metadata, self);
}

/* A function without a call at its entry, for programs that name it. */
TEST_F_TIMEOUT(func, refused_tracing, TIMEOUT)
{
	struct func_bpf *skel;

	libbpf_set_print(NULL);
	skel = load_func("kview_func_handler");
	if (!skel)
		SKIP(return, "the program cannot be loaded");
	EXPECT_EQ(stock_error(skel, FENTRY, NULL),
		  view_func(skel, FENTRY, NULL, VIEW, self->pid));
	EXPECT_EQ(stock_error(skel, FEXIT, NULL),
		  view_func(skel, FEXIT, NULL, VIEW, self->pid));
	func_bpf__destroy(skel);
	left_nothing(_metadata, self);
}

/* They are not had in part. */
TEST_F_TIMEOUT(func, in_the_middle_of_a_switch, TIMEOUT)
{
	static const enum family families[] = { KPROBE, MULTI, MULTI_RETURN,
						FENTRY, FEXIT };
	struct functions functions = read_functions();
	struct slot *slot = &self->skel->bss->slots[VIEW];

	for (size_t i = 0; i < functions.nr; i++) {
		const char *name = functions.list[i].name;
		struct func_bpf *skel;

		if (!is_refused(name))
			continue;
		libbpf_set_print(NULL);
		skel = load_func(name);
		for (size_t j = 0; j < ARRAY_SIZE(families); j++) {
			enum family family = families[j];
			int fd;

			if (is_tracing(family) && !skel)
				continue;
			fd = view_func(is_tracing(family) ? skel : self->skel,
				       family, name, VIEW, self->pid);
			EXPECT_EQ(-EOPNOTSUPP, fd)
			{
				TH_LOG("%s of %s", family_names[family], name);
			}
			if (fd < 0)
				continue;
			if (is_tracing(family)) {
				slot = &skel->bss->slots[VIEW];
				set_func_slot(skel, VIEW, self->pid, false);
			} else {
				slot = &self->skel->bss->slots[VIEW];
				set_func_slot(self->skel, VIEW, self->pid,
					      false);
			}
			/* Say what is wrong with it. */
			ASSERT_TRUE(tell(&self->neighbour, OP_SLEEP, 50));
			ASSERT_TRUE(tell_and_wait(&self->target, OP_SLEEP, 50));
			ASSERT_TRUE(answer(&self->neighbour));
			TH_LOG("%llu events, %llu of others", slot->count,
			       slot->foreign);
			close(fd);
		}
		if (skel)
			func_bpf__destroy(skel);
	}
	free(functions.list);
	set_func_slot(self->skel, VIEW, self->pid, false);
	left_nothing(_metadata, self);
}

TEST_F_TIMEOUT(func, offsets, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	__u64 addr = address_of(FUNCTION), behind = behind_call(FUNCTION);
	int fds[5];

	ASSERT_NE(0, addr);
	for (int bit = 1; bit < 32; bit++)
		EXPECT_EQ(-EINVAL, view_at(FD(on_kprobe), FUNCTION, 0,
					   1U << bit, VIEW, self->pid));
	EXPECT_EQ(-EINVAL, view_at(FD(on_kprobe), FUNCTION, behind,
				   BPF_F_VIEW_KPROBE_RETURN, VIEW, self->pid));
	EXPECT_EQ(-ENOENT, view_at(FD(on_kprobe), NULL, 0, 0, VIEW, self->pid));
	EXPECT_EQ(-ENOENT, view_at(FD(on_kprobe), NULL, 8, 0, VIEW, self->pid));
	EXPECT_EQ(-ENOENT, view_at(FD(on_kprobe), NULL, (uintptr_t)&addr, 0,
				   VIEW, self->pid));
	/* A function is no name for what lies beyond it, or before. */
	EXPECT_GT(0, view_at(FD(on_kprobe), FUNCTION, 1 << 24, 0, VIEW,
			     self->pid));
	EXPECT_GT(0,
		  view_at(FD(on_kprobe), FUNCTION,
			  address_of("vfs_read") - addr, 0, VIEW, self->pid));
	left_nothing(_metadata, self);

	/* Where the call is, behind the endbr. */
	fds[0] = view_at(FD(on_kprobe), FUNCTION, 4, 0, VIEW, self->pid);
	fds[1] = view_at(FD(on_kprobe), NULL, addr, 0, SECOND_VIEW, self->pid);
	fds[2] = view_at(FD(on_kprobe), NULL, addr + 4, 0, ORACLE, self->pid);
	/* And behind it. */
	fds[3] = view_at(FD(on_kprobe), FUNCTION, behind, 0, SECOND_ORACLE,
			 self->pid);
	fds[4] = view_at(FD(on_kprobe), NULL, addr + behind, 0, SECOND_ORACLE,
			 self->pid);
	for (int i = 0; i < 5; i++)
		EXPECT_LE(0, fds[i]);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(10, slots[VIEW].count);
	EXPECT_EQ(10, slots[SECOND_VIEW].count);
	EXPECT_EQ(10, slots[ORACLE].count);
	EXPECT_EQ(20, slots[SECOND_ORACLE].count);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

TEST_F_TIMEOUT(func, einval_attach_type, TIMEOUT)
{
	for (enum family family = 0; family < FAMILIES; family++) {
		struct bpf_program *program = func_program(self->skel, family);

		for (int type = 0; type < __MAX_BPF_ATTACH_TYPE; type++) {
			const char *name = FUNCTION;
			union bpf_attr attr = {};

			if (type == attach_types[family])
				continue;
			attr.link_create.prog_fd = bpf_program__fd(program);
			attr.link_create.attach_type = type;
			attr.link_create.view.pid = self->pid;
			if (!is_tracing(family))
				attr.link_create.kprobe.name = (uintptr_t)name;
			EXPECT_EQ(-EINVAL, create(&attr))
			{
				TH_LOG("%s, attach type %d",
				       family_names[family], type);
			}
		}
	}
	left_nothing(_metadata, self);
}

TEST_F_TIMEOUT(func, einval_multi, TIMEOUT)
{
	__u64 addrs[] = { address_of(FUNCTION) }, cookies[] = { VIEW };
	const char *const syms[] = { FUNCTION };
	union bpf_attr attr = {};

	attr.link_create.prog_fd = FD(on_multi);
	attr.link_create.attach_type = BPF_TRACE_KPROBE_MULTI;
	attr.link_create.view.pid = self->pid;
	attr.link_create.kprobe_multi.cookies = (uintptr_t)cookies;
	attr.link_create.kprobe_multi.cnt = 1;
	EXPECT_EQ(-EINVAL, create(&attr));
	attr.link_create.kprobe_multi.addrs = (uintptr_t)addrs;
	attr.link_create.kprobe_multi.syms = (uintptr_t)syms;
	EXPECT_EQ(-EINVAL, create(&attr));
	attr.link_create.kprobe_multi.syms = 0;
	attr.link_create.kprobe_multi.cnt = 0;
	EXPECT_EQ(-EINVAL, create(&attr));
	attr.link_create.kprobe_multi.cnt = -1;
	EXPECT_EQ(-E2BIG, create(&attr));
	attr.link_create.kprobe_multi.cnt = 1;
	for (int bit = 1; bit < 32; bit++) {
		attr.link_create.kprobe_multi.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, create(&attr));
	}
	attr.link_create.kprobe_multi.flags = 0;
	attr.link_create.kprobe_multi.cookies = 8;
	EXPECT_EQ(-EFAULT, create(&attr));
	attr.link_create.kprobe_multi.cookies = 0;
	attr.link_create.kprobe_multi.addrs = 8;
	EXPECT_EQ(-EFAULT, create(&attr));
	attr.link_create.kprobe_multi.addrs = (uintptr_t)addrs;
	/* In the middle of a function, and nowhere. */
	addrs[0] += 9;
	EXPECT_EQ(-EINVAL, create(&attr));
	addrs[0] = 8;
	EXPECT_EQ(-EINVAL, create(&attr));
	left_nothing(_metadata, self);
}

/* However often a function is named, and in whichever way, it is one. */
TEST_F_TIMEOUT(func, multi_names_twice, TIMEOUT)
{
	struct bpf_program *program = self->skel->progs.on_multi_oracle;
	__u64 start = address_of(FUNCTION), other = address_of("vfs_read");
	__u64 addrs[] = { start, start, start + 4, other, start };
	struct bpf_kprobe_multi_opts opts = { .sz = sizeof(opts) };
	struct slot *slots = self->skel->bss->slots;
	union bpf_attr attr = {};
	struct bpf_link *oracle;
	int fd;

	for (int i = 0; i < 4; i++) {
		/* Without cookies, all events go to slot 0. */
		bool is_return = i % 2;

		set_func_slot(self->skel, VIEW, self->pid, false);
		attr.link_create.prog_fd = FD(on_multi);
		attr.link_create.attach_type = BPF_TRACE_KPROBE_MULTI;
		attr.link_create.view.pid = self->pid;
		attr.link_create.kprobe_multi.addrs = (uintptr_t)addrs;
		attr.link_create.kprobe_multi.cnt = ARRAY_SIZE(addrs);
		attr.link_create.kprobe_multi.flags =
			is_return ? BPF_F_KPROBE_MULTI_RETURN : 0;
		fd = create(&attr);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		close(fd);
		EXPECT_EQ(20, slots[VIEW].count);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		EXPECT_EQ(20, slots[VIEW].count);

		/* As for everybody. */
		set_func_slot(self->skel, VIEW, self->pid, true);
		opts.addrs = (unsigned long *)addrs;
		opts.cnt = ARRAY_SIZE(addrs);
		opts.retprobe = is_return;
		oracle = bpf_program__attach_kprobe_multi_opts(program, NULL,
							       &opts);
		ASSERT_NE(NULL, oracle);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		bpf_link__destroy(oracle);
		EXPECT_EQ(20, slots[VIEW].count);
	}
	set_func_slot(self->skel, VIEW, self->pid, false);
	left_nothing(_metadata, self);
}

TEST_F_TIMEOUT(func, einval_tracing, TIMEOUT)
{
	static const enum family families[] = { FENTRY, FEXIT, FMOD_RET };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct bpf_program *program =
			func_program(self->skel, families[i]);
		union bpf_attr attr = {};

		attr.link_create.prog_fd = bpf_program__fd(program);
		attr.link_create.attach_type = attach_types[families[i]];
		attr.link_create.view.pid = self->pid;
		attr.link_create.tracing.target_btf_id = 1;
		EXPECT_EQ(-EINVAL, create(&attr));
		attr.link_create.tracing.target_btf_id = 0;
		attr.link_create.target_fd = 1;
		EXPECT_EQ(-EINVAL, create(&attr));
		attr.link_create.target_fd = 0;
		attr.link_create.flags = 1;
		EXPECT_EQ(-EINVAL, create(&attr));
	}
	left_nothing(_metadata, self);
}

/* A program is on a trampoline once; elsewhere it may be, too. */
TEST_F_TIMEOUT(func, ebusy_tracing_twice, TIMEOUT)
{
	static const enum family families[] = { FENTRY, FEXIT, FMOD_RET };
	struct slot *slots = self->skel->bss->slots;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		int fd = view_func(self->skel, families[i], FUNCTION, VIEW,
				   self->pid);
		int other;

		ASSERT_LE(0, fd);
		for (int j = 0; j < 3; j++)
			EXPECT_EQ(-EBUSY,
				  view_func(self->skel, families[i], FUNCTION,
					    SECOND_VIEW, self->pid));
		set_func_slot(self->skel, VIEW, self->pid, false);
		set_func_slot(self->skel, ORACLE, self->neighbour.pid, false);
		other = view_func(self->skel, families[i], FUNCTION, ORACLE,
				  self->neighbour.pid);
		EXPECT_LE(0, other);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 20));
		EXPECT_EQ(10, slots[VIEW].count);
		EXPECT_EQ(20, slots[ORACLE].count);
		EXPECT_EQ(0, slots[SECOND_VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign + slots[ORACLE].foreign);
		close(fd);
		close(other);
	}
	for (int i = 0; i < SLOTS; i++)
		set_func_slot(self->skel, i, self->pid, false);
	left_nothing(_metadata, self);
}

/* A kprobe program that may sleep is for uprobes. */
TEST_F_TIMEOUT(func, einval_sleepable_kprobe, TIMEOUT)
{
	struct func_bpf *skel = func_bpf__open();
	struct bpf_program *program;

	ASSERT_NE(NULL, skel);
	bpf_object__for_each_program(program, skel->obj)
		bpf_program__set_autoload(program, false);
	bpf_program__set_autoload(skel->progs.on_sleepable_kprobe, true);
	bpf_program__set_autoload(skel->progs.on_sleepable_multi, true);
	bpf_program__set_flags(skel->progs.on_sleepable_kprobe,
			       BPF_F_SLEEPABLE);
	bpf_program__set_flags(skel->progs.on_sleepable_multi, BPF_F_SLEEPABLE);
	ASSERT_EQ(0, func_bpf__load(skel));
	EXPECT_EQ(-EINVAL,
		  view_func_program(skel->progs.on_sleepable_kprobe, KPROBE,
				    FUNCTION, VIEW, self->pid, 0));
	EXPECT_EQ(-EINVAL,
		  view_func_program(skel->progs.on_sleepable_kprobe, KRETPROBE,
				    FUNCTION, VIEW, self->pid, 0));
	EXPECT_EQ(-EINVAL,
		  view_func_program(skel->progs.on_sleepable_multi, MULTI,
				    FUNCTION, VIEW, self->pid, 0));
	func_bpf__destroy(skel);
	left_nothing(_metadata, self);
}

/* More programs than a trampoline has room for: the last one changes nothing. */
TEST_F_TIMEOUT(func, e2big_tracing, TIMEOUT)
{
	struct func_bpf *skels[64];
	int fds[64], nr, ret = 0;

	for (nr = 0; nr < 64; nr++) {
		skels[nr] = load_func(FUNCTION);
		ASSERT_NE(NULL, skels[nr]);
		set_func_slot(skels[nr], VIEW, self->pid, false);
		fds[nr] =
			view_func(skels[nr], FENTRY, FUNCTION, VIEW, self->pid);
		ret = fds[nr];
		if (ret < 0)
			break;
	}
	EXPECT_EQ(-E2BIG, ret);
	EXPECT_LT(20, nr);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	for (int i = 0; i < nr; i++) {
		EXPECT_EQ(10, skels[i]->bss->slots[VIEW].count);
		close(fds[i]);
	}
	for (int i = 0; i <= nr && i < 64; i++)
		func_bpf__destroy(skels[i]);
	left_nothing(_metadata, self);
}

/* --- what a link says --- */

TEST_F_TIMEOUT(func, link_info, TIMEOUT)
{
	__u64 start = address_of(FUNCTION);

	for (enum family family = 0; family < FAMILIES; family++) {
		bool several = family == MULTI || family == MULTI_RETURN ||
			       family == SESSION;
		const char *expected = several ? "" : FUNCTION;
		const char *hook =
			family_names[family == INSTRUCTION ? KPROBE : family];
		__u64 cookie = several ? 0 : VIEW + 2;
		__u64 offset = family == INSTRUCTION ? behind_call(FUNCTION) :
						       0;
		struct bpf_link_info info = {}, stock_info = {};
		char name[64], text[512], number[32];
		int fd = view_func(self->skel, family, FUNCTION, VIEW + 2,
				   self->pid);

		ASSERT_LE(0, fd);
		memset(name, 'x', sizeof(name));
		info.kview.name = (uintptr_t)name;
		info.kview.name_len = sizeof(name);
		ASSERT_EQ(0, link_info(fd, &info));
		EXPECT_EQ(BPF_LINK_TYPE_KVIEW, info.type);
		EXPECT_EQ(family_hooks[family], info.kview.hook);
		EXPECT_STREQ(expected, name);
		EXPECT_EQ(strlen(expected) + 1, info.kview.name_len);
		EXPECT_EQ(cookie, info.kview.cookie);
		EXPECT_EQ(self->pid, info.kview.pid);
		EXPECT_EQ(offset, info.kview.offset);
		EXPECT_EQ(0, info.kview.missed);
		EXPECT_EQ(several, info.kview.nr_addrs);
		EXPECT_LE(4, info.kview.nr_pages);
		if (family < MULTI) {
			/* As a link for everybody has it. */
			struct bpf_link *stock = stock_func(self->skel, family,
							    FUNCTION, ORACLE);

			ASSERT_NE(NULL, stock);
			ASSERT_EQ(0,
				  link_info(bpf_link__fd(stock), &stock_info));
			EXPECT_EQ(stock_info.perf_event.kprobe.addr,
				  info.kview.addr);
			EXPECT_EQ(stock_info.perf_event.kprobe.offset,
				  info.kview.offset);
			bpf_link__destroy(stock);
		} else if (is_tracing(family)) {
			EXPECT_EQ(start, info.kview.addr);
		} else {
			EXPECT_EQ(0, info.kview.addr);
		}

		ASSERT_NE(NULL, fdinfo_value(fd, "hook", text, sizeof(text)));
		EXPECT_STREQ(hook,
			     fdinfo_value(fd, "hook", text, sizeof(text)));
		ASSERT_NE(NULL, fdinfo_value(fd, "name", text, sizeof(text)));
		EXPECT_STREQ(expected,
			     fdinfo_value(fd, "name", text, sizeof(text)));
		if (several) {
			EXPECT_STREQ("1", fdinfo_value(fd, "funcs", text,
						       sizeof(text)));
			EXPECT_EQ(NULL,
				  fdinfo_value(fd, "addr", text, sizeof(text)));
		} else {
			snprintf(number, sizeof(number), "%#llx",
				 info.kview.addr);
			EXPECT_STREQ(number, fdinfo_value(fd, "addr", text,
							  sizeof(text)));
			snprintf(number, sizeof(number), "%llu", offset);
			EXPECT_STREQ(number, fdinfo_value(fd, "offset", text,
							  sizeof(text)));
			EXPECT_EQ(NULL, fdinfo_value(fd, "funcs", text,
						     sizeof(text)));
		}
		if (!is_tracing(family))
			EXPECT_STREQ("0", fdinfo_value(fd, "missed", text,
						       sizeof(text)));
		close(fd);
	}
}

TEST_F_TIMEOUT(func, link_info_functions, TIMEOUT)
{
	static const char *const names[] = { "vfs_write", FUNCTION, "vfs_read",
					     "ksys_read" };
	__u64 addrs[4], cookies[4], out_addrs[6], out_cookies[6];
	struct bpf_link_info info = {};
	union bpf_attr attr = {};
	char name[8];
	int fd;

	for (int i = 0; i < 4; i++) {
		addrs[i] = address_of(names[i]);
		cookies[i] = 100 + i;
		ASSERT_NE(0, addrs[i]);
	}
	attr.link_create.prog_fd = FD(on_multi);
	attr.link_create.attach_type = BPF_TRACE_KPROBE_MULTI;
	attr.link_create.view.pid = self->pid;
	attr.link_create.kprobe_multi.syms = (uintptr_t)names;
	attr.link_create.kprobe_multi.cookies = (uintptr_t)cookies;
	attr.link_create.kprobe_multi.cnt = 4;
	fd = create(&attr);
	ASSERT_LE(0, fd);

	/* How many there are. */
	ASSERT_EQ(0, link_info(fd, &info));
	EXPECT_EQ(4, info.kview.nr_addrs);

	/* Too little room: what there is room for. */
	for (int room = 1; room <= 6; room++) {
		memset(&info, 0, sizeof(info));
		memset(out_addrs, 0xee, sizeof(out_addrs));
		memset(out_cookies, 0xee, sizeof(out_cookies));
		info.kview.addrs = (uintptr_t)out_addrs;
		info.kview.cookies = (uintptr_t)out_cookies;
		info.kview.nr_addrs = room;
		EXPECT_EQ(room < 4 ? -ENOSPC : 0, link_info(fd, &info));
		if (room >= 4)
			EXPECT_EQ(4, info.kview.nr_addrs);
		for (int i = 0; i < 6; i++) {
			bool known = false;

			if (i >= 4 || i >= room) {
				EXPECT_EQ(0xeeeeeeeeeeeeeeeeULL, out_addrs[i]);
				EXPECT_EQ(0xeeeeeeeeeeeeeeeeULL,
					  out_cookies[i]);
				continue;
			}
			for (int j = 0; j < 4; j++)
				known |= out_addrs[i] == addrs[j] &&
					 out_cookies[i] == cookies[j];
			EXPECT_TRUE(known);
			if (i)
				EXPECT_LT(out_addrs[i - 1], out_addrs[i]);
		}
	}

	/* The addresses alone. */
	memset(&info, 0, sizeof(info));
	memset(out_addrs, 0xee, sizeof(out_addrs));
	info.kview.addrs = (uintptr_t)out_addrs;
	info.kview.nr_addrs = 6;
	EXPECT_EQ(0, link_info(fd, &info));
	EXPECT_LT(out_addrs[0], out_addrs[3]);
	EXPECT_EQ(0xeeeeeeeeeeeeeeeeULL, out_addrs[4]);

	/* A name that is empty fits into anything. */
	memset(&info, 0, sizeof(info));
	memset(name, 'x', sizeof(name));
	info.kview.name = (uintptr_t)name;
	info.kview.name_len = 1;
	EXPECT_EQ(0, link_info(fd, &info));
	EXPECT_EQ(0, name[0]);
	EXPECT_EQ('x', name[1]);

	memset(&info, 0, sizeof(info));
	info.kview.nr_addrs = 4;
	EXPECT_EQ(-EINVAL, link_info(fd, &info));
	memset(&info, 0, sizeof(info));
	info.kview.addrs = (uintptr_t)out_addrs;
	EXPECT_EQ(-EINVAL, link_info(fd, &info));
	memset(&info, 0, sizeof(info));
	info.kview.cookies = (uintptr_t)out_cookies;
	EXPECT_EQ(-EINVAL, link_info(fd, &info));
	memset(&info, 0, sizeof(info));
	info.kview.addrs = 8;
	info.kview.nr_addrs = 4;
	EXPECT_EQ(-EFAULT, link_info(fd, &info));
	close(fd);
}

/* Who may not know addresses is not told. */
TEST_F_TIMEOUT(func, link_info_hidden, TIMEOUT)
{
	int fd = view_func(self->skel, KPROBE, FUNCTION, VIEW, self->pid);
	int multi = view_func(self->skel, MULTI, FUNCTION, VIEW, self->pid);
	struct bpf_link_info info = {};
	char text[512], old[8] = "";
	__u64 addrs[2] = { 1, 1 };
	int file;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, multi);
	file = open("/proc/sys/kernel/kptr_restrict", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_LT(0, read(file, old, sizeof(old) - 1));
	ASSERT_EQ(1, pwrite(file, "2", 1, 0));
	EXPECT_EQ(0, link_info(fd, &info));
	EXPECT_EQ(0, info.kview.addr);
	EXPECT_STREQ("0x0", fdinfo_value(fd, "addr", text, sizeof(text)));
	memset(&info, 0, sizeof(info));
	info.kview.addrs = (uintptr_t)addrs;
	info.kview.nr_addrs = 2;
	EXPECT_EQ(0, link_info(multi, &info));
	EXPECT_EQ(0, addrs[0]);
	EXPECT_EQ(1, addrs[1]);
	ASSERT_EQ(1, pwrite(file, old, 1, 0));
	memset(&info, 0, sizeof(info));
	EXPECT_EQ(0, link_info(fd, &info));
	EXPECT_NE(0, info.kview.addr);
	close(file);
	close(fd);
	close(multi);
}

/* More returns to come than there is room for are missed, and counted. */
TEST_F_TIMEOUT(func, missed, TIMEOUT)
{
	struct bpf_link_info info = {};
	struct slot *slot = &self->skel->bss->slots[VIEW];
	char text[512], number[32];
	int threads = 200;
	pid_t pid;
	int fd, gate[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, gate));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		recv(gate[1], text, 1, 0);
		/* Each sleeps in the function until it is killed. */
		for (int i = 0; i < threads; i++)
			pthread_create(&thread, NULL, (void *(*)(void *))pause,
				       NULL);
		sleep(1);
		send(gate[1], "", 1, 0);
		pause();
		_exit(0);
	}
	set_func_slot(self->skel, VIEW, pid, false);
	fd = view_func(self->skel, KRETPROBE, "__x64_sys_pause", VIEW, pid);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, send(gate[0], "", 1, 0));
	ASSERT_EQ(1, recv(gate[0], text, 1, 0));
	usleep(100000);
	ASSERT_EQ(0, link_info(fd, &info));
	EXPECT_LT(0, info.kview.missed);
	EXPECT_GE(threads + 1, info.kview.missed);
	snprintf(number, sizeof(number), "%llu", info.kview.missed);
	EXPECT_STREQ(number, fdinfo_value(fd, "missed", text, sizeof(text)));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	usleep(20000);
	/* Those that were not missed return. */
	EXPECT_EQ(threads + 1 - info.kview.missed, slot->count);
	close(fd);
}

/* --- many functions in one link --- */

#define MANY 500

FIXTURE(many)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
	struct functions functions;
};

FIXTURE_VARIANT(many)
{
	bool is_return;
	unsigned int seed;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(many, entry) {
	.seed = 1,
};

FIXTURE_VARIANT_ADD(many, exit) {
	.is_return = true,
	.seed = 2,
};

/* clang-format on */

FIXTURE_SETUP(many)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->skel);
	self->functions = read_functions();
	ASSERT_LT(10 * MANY, self->functions.nr);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_MIX, 1));
	ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_MIX, 1));
}

FIXTURE_TEARDOWN(many)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	free(self->functions.list);
	func_bpf__destroy(self->skel);
}

TEST_F_TIMEOUT(many, one_link, TIMEOUT)
{
	static const char *const hot[] = {
		"vfs_read",	   "__x64_sys_read",  "ksys_read",
		"kmem_cache_free", "kfree",	      "schedule",
		"do_syscall_64",   "handle_mm_fault", "fput",
	};
	struct func *funcs = self->skel->bss->funcs;
	struct function *list = self->functions.list, drawn[MANY];
	unsigned int state = variant->seed;
	struct bpf_link *oracle;
	int nr = 0, fired = 0;
	int fd;

	/* Some that are called for certain, and any others; none twice. */
	for (size_t i = 0; i < self->functions.nr; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(hot); j++) {
			if (strcmp(list[i].name, hot[j]))
				continue;
			drawn[nr++] = list[i];
			list[i].addr = 0;
		}
	}
	while (nr < MANY) {
		struct function *function =
			&list[rand_r(&state) % self->functions.nr];

		if (!function->addr || is_refused(function->name))
			continue;
		drawn[nr++] = *function;
		function->addr = 0;
	}

	for (int i = 0; i < nr; i++)
		funcs[i].ip = drawn[i].addr;
	self->skel->bss->target = self->target.pid;
	oracle = stock_each(self->skel, drawn, nr, variant->is_return);
	ASSERT_NE(NULL, oracle);
	fd = view_each(self->skel, drawn, 0, nr, variant->is_return,
		       self->target.pid);
	ASSERT_LE(0, fd);
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(tell(&self->neighbour, OP_MIX, 5));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_MIX, 5));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 100));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_VFORK, 100));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_EXEC, 0));
		ASSERT_TRUE(answer(&self->neighbour));
	}
	close(fd);
	bpf_link__destroy(oracle);
	for (int i = 0; i < nr; i++) {
		EXPECT_EQ(funcs[i].count[SIDE_ORACLE],
			  funcs[i].count[SIDE_VIEW])
		{
			TH_LOG("%s", drawn[i].name);
		}
		EXPECT_EQ(0, funcs[i].foreign);
		EXPECT_EQ(0, funcs[i].wrong);
		fired += funcs[i].count[SIDE_VIEW] > 0;
	}
	TH_LOG("%d of %d functions were called", fired, nr);
	EXPECT_LT(10, fired);
	EXPECT_EQ(0, self->skel->bss->strays);
}

/* --- every function --- */

#define CHUNK 2000

FIXTURE(every)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
	struct functions functions;
	int refused;
	int fired;
	int differ;
	int foreign;
	int wrong;
};

FIXTURE_VARIANT(every)
{
	bool is_return;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(every, entry) {
};

FIXTURE_VARIANT_ADD(every, exit) {
	.is_return = true,
};

/* clang-format on */

FIXTURE_SETUP(every)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->skel);
	self->functions = read_functions();
	ASSERT_LT(10000, self->functions.nr);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_MIX, 1));
	ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_MIX, 1));
}

FIXTURE_TEARDOWN(every)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	free(self->functions.list);
	func_bpf__destroy(self->skel);
}

#define MOST_FDS 512

/* Attach to all that views do not refuse: these are put aside one by one. */
static int view_most(struct __test_metadata *_metadata,
		     FIXTURE_DATA(every) * self,
		     const struct function *functions, int from, int nr,
		     bool is_return, int *fds, int nr_fds)
{
	int fd = view_each(self->skel, functions, from, nr, is_return,
			   self->target.pid);

	if (fd >= 0) {
		EXPECT_GT(MOST_FDS, nr_fds);
		fds[nr_fds] = fd;
		return nr_fds + 1;
	}
	EXPECT_EQ(-EOPNOTSUPP, fd)
	{
		TH_LOG("%s and %d more", functions[0].name, nr - 1);
	}
	if (fd != -EOPNOTSUPP)
		return nr_fds;
	if (nr == 1) {
		EXPECT_TRUE(is_refused(functions[0].name))
		{
			TH_LOG("refused: %s", functions[0].name);
		}
		self->skel->bss->funcs[from].ip = 0;
		self->refused++;
		return nr_fds;
	}
	nr_fds = view_most(_metadata, self, functions, from, nr / 2, is_return,
			   fds, nr_fds);
	return view_most(_metadata, self, functions + nr / 2, from + nr / 2,
			 nr - nr / 2, is_return, fds, nr_fds);
}

static void compare_chunk(struct __test_metadata *_metadata,
			  FIXTURE_DATA(every) * self,
			  const struct function *functions, int nr,
			  bool is_return)
{
	struct func *funcs = self->skel->bss->funcs;
	int fds[MOST_FDS], nr_fds;
	struct bpf_link *oracle;

	memset(funcs, 0, sizeof(self->skel->bss->funcs));
	for (int i = 0; i < nr; i++)
		funcs[i].ip = functions[i].addr;
	self->skel->bss->target = self->target.pid;
	oracle = stock_each(self->skel, functions, nr, is_return);
	ASSERT_NE(NULL, oracle);
	nr_fds =
		view_most(_metadata, self, functions, 0, nr, is_return, fds, 0);

	ASSERT_TRUE(tell(&self->neighbour, OP_MIX, 2));
	ASSERT_TRUE(tell(&self->target, OP_MIX, 2));
	ASSERT_TRUE(answer(&self->target));
	ASSERT_TRUE(answer(&self->neighbour));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_THREAD, 10));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_EXEC, 0));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_PATCH, 1));
	for (int i = 0; i < nr_fds; i++)
		close(fds[i]);
	bpf_link__destroy(oracle);

	for (int i = 0; i < nr; i++) {
		__u64 *count = funcs[i].count;

		if (!funcs[i].ip)
			continue;
		self->fired += count[SIDE_VIEW] > 0;
		self->foreign += funcs[i].foreign > 0;
		self->wrong += funcs[i].wrong > 0;
		if (count[SIDE_VIEW] == count[SIDE_ORACLE] &&
		    !funcs[i].foreign && !funcs[i].wrong)
			continue;
		self->differ++;
		TH_LOG("differs: %s: view %llu, oracle %llu, foreign %llu, wrong %llu",
		       functions[i].name, count[SIDE_VIEW], count[SIDE_ORACLE],
		       funcs[i].foreign, funcs[i].wrong);
	}
}

TEST_F_TIMEOUT(every, function, 3600)
{
	const char *from = getenv("FUNC_FROM"), *to = getenv("FUNC_TO");
	size_t nr = to ? (size_t)atoi(to) : self->functions.nr;

	for (size_t i = from ? atoi(from) : 0; i < nr; i += CHUNK) {
		size_t rest = nr - i;

		compare_chunk(_metadata, self, &self->functions.list[i],
			      rest < CHUNK ? rest : CHUNK, variant->is_return);
		TH_LOG("%zu: fired %d, refused %d, differ %d", i, self->fired,
		       self->refused, self->differ);
	}
	EXPECT_EQ(0, self->differ);
	EXPECT_LT(1000, self->fired);
	EXPECT_EQ(0, self->skel->bss->strays);
}
