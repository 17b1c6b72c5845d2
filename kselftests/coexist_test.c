// SPDX-License-Identifier: GPL-2.0
/*
 * Views beside others who use the same hooks, pages and tracepoints: each
 * program runs once for each event that it is there for, in whatever order they
 * come and go.
 */
#include "kview_test.h"

#define READS 40

static const struct hook raw_hook = { RAW, "sys_enter" };
static const struct hook classic_hook = { CLASSIC, "syscalls:sys_enter_read" };

enum { VIEW, STOCK_TARGET, STOCK_NEIGHBOUR, VIEW_2, SLOTS };

FIXTURE(coexist)
{
	struct kview_bpf *skel;
	/* further programs */
	struct kview_bpf *more;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(coexist)
{
	struct hook hook;
	/* Events of READS reads of a process that does nothing else. */
	__u64 events;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(coexist, raw_sys_enter) {
	.hook = { RAW, "sys_enter" },
	.events = READS + 2,
};

FIXTURE_VARIANT_ADD(coexist, btf_sys_exit) {
	.hook = { BTF, "sys_exit" },
	.events = READS + 2,
};

FIXTURE_VARIANT_ADD(coexist, classic_sys_enter_read) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
	.events = READS,
};

FIXTURE_VARIANT_ADD(coexist, classic_sys_exit_read) {
	.hook = { CLASSIC, "syscalls:sys_exit_read" },
	.events = READS,
};

FIXTURE_VARIANT_ADD(coexist, classic_raw_syscalls) {
	.hook = { CLASSIC, "raw_syscalls:sys_enter" },
	.events = READS + 2,
};

/* clang-format on */

FIXTURE_SETUP(coexist)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel =
		load_for(variant->hook.kind == BTF ? variant->hook.name : NULL);
	ASSERT_NE(NULL, self->skel);
	self->more =
		load_for(variant->hook.kind == BTF ? variant->hook.name : NULL);
	ASSERT_NE(NULL, self->more);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	set_slot(self->skel, VIEW, self->target.pid, false);
	set_slot(self->skel, VIEW_2, self->target.pid, false);
	/* Each is attached system-wide, for the events of one process. */
	set_slot(self->skel, STOCK_TARGET, self->target.pid, true);
	set_slot(self->more, STOCK_NEIGHBOUR, self->neighbour.pid, true);
}

FIXTURE_TEARDOWN(coexist)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	kview_bpf__destroy(self->skel);
	kview_bpf__destroy(self->more);
}

/* What is attached, and what it must have seen. */
struct state {
	int view;
	struct bpf_link *stock[2];
	__u64 expected[SLOTS];
};

static struct bpf_link *attach_stock(FIXTURE_DATA(coexist) * self,
				     const struct hook *hook, int i)
{
	return i ? stock(self->more, hook, STOCK_NEIGHBOUR) :
		   stock(self->skel, hook, STOCK_TARGET);
}

/* Both read; then everyone has seen what they should. */
static void check(struct __test_metadata *_metadata,
		  FIXTURE_DATA(coexist) * self, __u64 events,
		  struct state *state, const char *what)
{
	struct slot *slots = self->skel->bss->slots,
		    *more = self->more->bss->slots;

	ASSERT_TRUE(tell(&self->target, OP_READ, READS));
	ASSERT_TRUE(tell(&self->neighbour, OP_READ, READS));
	ASSERT_TRUE(answer(&self->target));
	ASSERT_TRUE(answer(&self->neighbour));
	state->expected[VIEW] += state->view >= 0 ? events : 0;
	state->expected[STOCK_TARGET] += state->stock[0] ? events : 0;
	state->expected[STOCK_NEIGHBOUR] += state->stock[1] ? events : 0;
	EXPECT_EQ(state->expected[VIEW], slots[VIEW].count)
	{
		TH_LOG("the view's, %s", what);
	}
	EXPECT_EQ(0, slots[VIEW].foreign);
	EXPECT_EQ(state->expected[STOCK_TARGET], slots[STOCK_TARGET].count)
	{
		TH_LOG("system-wide, the target's, %s", what);
	}
	EXPECT_EQ(state->expected[STOCK_NEIGHBOUR], more[STOCK_NEIGHBOUR].count)
	{
		TH_LOG("system-wide, the neighbour's, %s", what);
	}
}

/* Do the steps in the order of the string: V and v attach and detach the view,
 * A and a, B and b the first and the second system-wide program.
 */
static void steps(struct __test_metadata *_metadata,
		  FIXTURE_DATA(coexist) * self, const struct hook *hook,
		  __u64 events, const char *order)
{
	struct state state = { .view = -1 };

	memset(&self->skel->bss->slots[VIEW].count, 0, sizeof(__u64));
	memset(&self->skel->bss->slots[STOCK_TARGET].count, 0, sizeof(__u64));
	memset(&self->more->bss->slots[STOCK_NEIGHBOUR].count, 0,
	       sizeof(__u64));
	for (const char *step = order; *step; step++) {
		int i = (*step | 0x20) - 'a';
		char what[64];

		switch (*step) {
		case 'V':
			state.view =
				view(self->skel, hook, VIEW, self->target.pid);
			ASSERT_LE(0, state.view);
			break;
		case 'v':
			close(state.view);
			state.view = -1;
			break;
		case 'A':
		case 'B':
			state.stock[i] = attach_stock(self, hook, i);
			ASSERT_NE(NULL, state.stock[i]);
			break;
		case 'a':
		case 'b':
			bpf_link__destroy(state.stock[i]);
			state.stock[i] = NULL;
			break;
		}
		snprintf(what, sizeof(what), "step %d of %s",
			 (int)(step - order) + 1, order);
		check(_metadata, self, events, &state, what);
	}
}

/* One system-wide program: every order of attaching and detaching. */
TEST_F_TIMEOUT(coexist, one_other, TIMEOUT)
{
	static const char *const orders[] = { "VAva", "VAav", "AVva",
					      "AVav", "VvAa", "AaVv" };

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		steps(_metadata, self, &variant->hook, variant->events,
		      orders[i]);
}

/* Two: zero to one, one to two and back, before, under and after a view. */
TEST_F_TIMEOUT(coexist, two_others, TIMEOUT)
{
	static const char *const orders[] = {
		"VABvab", "VABvba", "VABavb", "VABabv", "VABbav", "VABbva",
		"AVBvab", "AVBavb", "AVBabv", "AVBbav", "ABVvab", "ABVavb",
		"ABVabv", "ABVbav", "VAaBbv", "AVaBbv", "AVaBvb", "AVavBb",
	};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		steps(_metadata, self, &variant->hook, variant->events,
		      orders[i]);
}

/* The view of the neighbour, on the same hook: each its own. */
TEST_F_TIMEOUT(coexist, two_views, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link *link;
	int first, second;

	set_slot(self->skel, VIEW_2, self->neighbour.pid, false);
	first = view(self->skel, &variant->hook, VIEW, self->target.pid);
	ASSERT_LE(0, first);
	second = view(self->skel, &variant->hook, VIEW_2, self->neighbour.pid);
	ASSERT_LE(0, second);
	link = stock(self->skel, &variant->hook, STOCK_TARGET);
	ASSERT_NE(NULL, link);
	for (int i = 0; i < 10; i++) {
		ASSERT_TRUE(tell(&self->target, OP_READ, READS));
		ASSERT_TRUE(tell(&self->neighbour, OP_READ, READS));
		ASSERT_TRUE(answer(&self->target));
		ASSERT_TRUE(answer(&self->neighbour));
	}
	EXPECT_EQ(10 * variant->events, slots[VIEW].count);
	EXPECT_EQ(10 * variant->events, slots[VIEW_2].count);
	EXPECT_EQ(10 * variant->events, slots[STOCK_TARGET].count);
	EXPECT_EQ(0, slots[VIEW].foreign + slots[VIEW_2].foreign);
	bpf_link__destroy(link);
	close(second);
	close(first);
}

/* The system-wide attachment comes and goes while the target runs: it loses
 * and repeats nothing.
 */
TEST_F_TIMEOUT(coexist, other_toggles_while_running, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	unsigned int n = 20000;
	int fd;

	fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell(&self->target, OP_READ, n));
	for (int i = 0; i < 10; i++) {
		struct bpf_link *link =
			stock(self->skel, &variant->hook, STOCK_TARGET);

		ASSERT_NE(NULL, link);
		bpf_link__destroy(link);
	}
	ASSERT_TRUE(answer(&self->target));
	EXPECT_EQ(n + variant->events - READS, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	close(fd);
}

/* The same for what happens to other hooks, in the same page of text or not. */
FIXTURE(beside)
{
	struct kview_bpf *skel;
	struct target target;
	struct target neighbour;
	int fd;
};

FIXTURE_SETUP(beside)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	set_slot(self->skel, VIEW, self->target.pid, false);
	set_slot(self->skel, STOCK_TARGET, self->target.pid, true);
	set_slot(self->skel, STOCK_NEIGHBOUR, self->neighbour.pid, true);
	self->fd = view(self->skel, &raw_hook, VIEW, self->target.pid);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(beside)
{
	close(self->fd);
	kill_target(&self->target);
	kill_target(&self->neighbour);
	kview_bpf__destroy(self->skel);
}

/* Both read, and the view still sees the target's events and no others. */
static void still_right(struct __test_metadata *_metadata,
			FIXTURE_DATA(beside) * self)
{
	struct slot *slot = &self->skel->bss->slots[VIEW];
	__u64 before = slot->count;

	ASSERT_TRUE(tell(&self->target, OP_READ, READS));
	ASSERT_TRUE(tell(&self->neighbour, OP_READ, READS));
	ASSERT_TRUE(answer(&self->target));
	ASSERT_TRUE(answer(&self->neighbour));
	EXPECT_EQ(before + READS + 2, slot->count);
	EXPECT_EQ(0, slot->foreign);
}

/* System-wide attachments to other tracepoints see the target too: those whose
 * sites are in a page that the view has a copy of, and those elsewhere.
 */
TEST_F_TIMEOUT(beside, other_tracepoints, TIMEOUT)
{
	static const struct hook hooks[] = {
		{ RAW, "sys_exit" },
		{ CLASSIC, "syscalls:sys_exit_read" },
		{ CLASSIC, "syscalls:sys_enter_read" },
		{ CLASSIC, "raw_syscalls:sys_enter" },
	};
	struct slot *slot = &self->skel->bss->slots[STOCK_TARGET];

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		bool read_only = !strncmp(hooks[i].name, "syscalls:", 9);
		struct bpf_link *link =
			stock(self->skel, &hooks[i], STOCK_TARGET);

		ASSERT_NE(NULL, link);
		slot->count = 0;
		still_right(_metadata, self);
		EXPECT_EQ(READS + (read_only ? 0 : 2), slot->count)
		{
			TH_LOG("%s", hooks[i].name);
		}
		bpf_link__destroy(link);
		slot->count = 0;
		still_right(_metadata, self);
		EXPECT_EQ(0, slot->count);
	}
}

/* Everything else that can be enabled there. */
#define TRACING "/sys/kernel/tracing/"

TEST_F_TIMEOUT(beside, trace_events, TIMEOUT)
{
	static const char *const files[] = {
		TRACING "events/raw_syscalls/enable",
		TRACING "events/syscalls/enable",
		TRACING "events/sched/enable",
		TRACING "events/mmap_lock/enable",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ASSERT_TRUE(write_file(files[i], "1"))
		{
			TH_LOG("%s", files[i]);
		}
		still_right(_metadata, self);
		ASSERT_TRUE(write_file(files[i], "0"));
		still_right(_metadata, self);
	}
}

/* Enabled for all before the view comes, disabled under it. */
TEST_F_TIMEOUT(beside, trace_events_around_a_view, TIMEOUT)
{
	close(self->fd);
	ASSERT_TRUE(write_file(TRACING "events/raw_syscalls/enable", "1"));
	self->fd = view(self->skel, &raw_hook, VIEW, self->target.pid);
	ASSERT_LE(0, self->fd);
	settle(&self->target);
	still_right(_metadata, self);
	ASSERT_TRUE(write_file(TRACING "events/raw_syscalls/enable", "0"));
	still_right(_metadata, self);
}

/* ftrace changes the start of every function, in the copies too. */
TEST_F_TIMEOUT(beside, function_tracer, TIMEOUT)
{
	if (!write_file(TRACING "set_ftrace_filter", "syscall_trace_enter"))
		SKIP(return, "no function tracer");
	ASSERT_TRUE(write_file(TRACING "current_tracer", "function"));
	still_right(_metadata, self);
	ASSERT_TRUE(write_file(TRACING "current_tracer", "nop"));
	still_right(_metadata, self);
	write_file(TRACING "set_ftrace_filter", " ");
}

/* A kprobe in a function whose page the view has a copy of hits the target. */
TEST_F_TIMEOUT(beside, kprobe_in_a_copied_page, TIMEOUT)
{
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .bpf_cookie = STOCK_TARGET);
	struct slot *slot = &self->skel->bss->slots[STOCK_TARGET];
	struct bpf_link *link;

	link = bpf_program__attach_kprobe_opts(self->skel->progs.a_kprobe,
					       "syscall_trace_enter", &opts);
	ASSERT_NE(NULL, link);
	slot->count = 0;
	still_right(_metadata, self);
	EXPECT_EQ(READS + 2, slot->count);
	bpf_link__destroy(link);
	slot->count = 0;
	still_right(_metadata, self);
	EXPECT_EQ(0, slot->count);

	/* And one that was there before the view. */
	close(self->fd);
	link = bpf_program__attach_kprobe_opts(self->skel->progs.a_kprobe,
					       "syscall_trace_enter", &opts);
	ASSERT_NE(NULL, link);
	self->fd = view(self->skel, &raw_hook, VIEW, self->target.pid);
	ASSERT_LE(0, self->fd);
	settle(&self->target);
	slot->count = 0;
	still_right(_metadata, self);
	EXPECT_EQ(READS + 2, slot->count);
	bpf_link__destroy(link);
	slot->count = 0;
	still_right(_metadata, self);
	EXPECT_EQ(0, slot->count);
}

/* Static branches are switched, for all, under a view: text is the same. */
TEST_F_TIMEOUT(beside, static_branches, TIMEOUT)
{
	static const char *const files[] = {
		"/proc/sys/kernel/sched_schedstats",
		"/proc/sys/kernel/bpf_stats_enabled",
		"/proc/sys/kernel/timer_migration",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char old[8] = "";
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0 || read(fd, old, 1) != 1)
			continue;
		close(fd);
		ASSERT_TRUE(write_file(files[i], *old == '1' ? "0" : "1"));
		still_right(_metadata, self);
		ASSERT_TRUE(write_file(files[i], old));
		still_right(_metadata, self);
	}
}

/* The traced process itself changes the text that it runs on. */
TEST_F_TIMEOUT(beside, target_attaches, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[STOCK_TARGET];
	struct slot *own = &self->skel->bss->slots[VIEW_2];
	struct bpf_link *link;
	__u64 before;
	int fd;

	set_slot(self->skel, VIEW_2, getpid(), false);
	fd = view(self->skel, &classic_hook, VIEW_2, getpid());
	ASSERT_LE(0, fd);
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	/* The hook of its own view, and another one in the same page. */
	for (int i = 0; i < 2; i++) {
		const struct hook hook = { RAW, i ? "sys_exit" : "sys_enter" };

		link = stock(self->skel, &hook, STOCK_TARGET);
		ASSERT_NE(NULL, link);
		slot->count = 0;
		still_right(_metadata, self);
		EXPECT_EQ(READS + 2, slot->count);
		before = own->count;
		reads(READS);
		EXPECT_EQ(before + READS, own->count);
		bpf_link__destroy(link);
		slot->count = 0;
		still_right(_metadata, self);
		EXPECT_EQ(0, slot->count);
		before = own->count;
		reads(READS);
		EXPECT_EQ(before + READS, own->count);
	}
	ASSERT_TRUE(write_file(TRACING "events/syscalls/enable", "1"));
	before = own->count;
	reads(READS);
	EXPECT_EQ(before + READS, own->count);
	ASSERT_TRUE(write_file(TRACING "events/syscalls/enable", "0"));
	before = own->count;
	reads(READS);
	EXPECT_EQ(before + READS, own->count);
	EXPECT_EQ(0, own->foreign);
	close(fd);
}

/* --- tracepoints behind a static key that they have in common --- */

FIXTURE(behind)
{
	struct kview_bpf *skels[2];
	struct target target;
	struct target neighbour;
};

FIXTURE_SETUP(behind)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	for (int i = 0; i < 2; i++) {
		self->skels[i] = load_for(NULL);
		ASSERT_NE(NULL, self->skels[i]);
	}
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
}

FIXTURE_TEARDOWN(behind)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	for (int i = 0; i < 2; i++)
		kview_bpf__destroy(self->skels[i]);
}

#define FAULTS 50

/*
 * Each of them, for the process and for everybody, comes and goes at random: one
 * that stays sees its events, with the key and without.
 */
TEST_F_TIMEOUT(behind, page_faults, TIMEOUT)
{
	static const struct hook hooks[2] = {
		{ RAW, "page_fault_user" },
		{ RAW, "page_fault_kernel" },
	};
	struct bpf_link *stocks[2] = {};
	int views[2] = { -1, -1 };
	__u64 seen = 0;

	srand(1);
	for (int step = 0; step < 120; step++) {
		int i = rand() % 2;
		struct slot *slots[2];

		if (rand() % 2) {
			if (views[i] < 0) {
				views[i] = view(self->skels[i], &hooks[i], VIEW,
						self->target.pid);
				ASSERT_LE(0, views[i]);
			} else {
				close(views[i]);
				views[i] = -1;
			}
		} else if (!stocks[i]) {
			stocks[i] =
				stock(self->skels[i], &hooks[i], STOCK_TARGET);
			ASSERT_NE(NULL, stocks[i]);
		} else {
			bpf_link__destroy(stocks[i]);
			stocks[i] = NULL;
		}
		for (i = 0; i < 2; i++) {
			slots[i] = self->skels[i]->bss->slots;
			set_slot(self->skels[i], VIEW, self->target.pid, false);
			set_slot(self->skels[i], STOCK_TARGET, self->target.pid,
				 true);
		}
		ASSERT_TRUE(tell(&self->neighbour, OP_MMAP, FAULTS));
		ASSERT_TRUE(tell_and_wait(&self->target, OP_MMAP, FAULTS));
		ASSERT_TRUE(answer(&self->neighbour));
		for (i = 0; i < 2; i++) {
			__u64 own = slots[i][VIEW].count;

			EXPECT_EQ(0, slots[i][VIEW].foreign);
			if (views[i] < 0)
				EXPECT_EQ(0, own);
			/* Without one for everybody, the view enables the key. */
			if (views[i] >= 0 && !i)
				EXPECT_LE(FAULTS, own)
				{
					TH_LOG("%s, step %d", hooks[i].name,
					       step);
				}
			if (views[i] < 0 || !stocks[i])
				continue;
			EXPECT_EQ(slots[i][STOCK_TARGET].count, own)
			{
				TH_LOG("%s, step %d", hooks[i].name, step);
			}
			seen += own;
		}
	}
	EXPECT_LT(0, seen);
	for (int i = 0; i < 2; i++) {
		if (views[i] >= 0)
			close(views[i]);
		bpf_link__destroy(stocks[i]);
	}
}
