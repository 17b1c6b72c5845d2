// SPDX-License-Identifier: GPL-2.0
/*
 * Each event of the target is seen once, no event of any other process is: what
 * a program sees in a view is compared with what the same program sees that is
 * attached system-wide at the same time and compares the PID.
 */
#include "kview_test.h"

#define READS 500

/* The cookies that are used here. */
enum { VIEW, ORACLE };

FIXTURE(exact)
{
	struct kview_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(exact)
{
	struct hook hook;
	enum op op;
	unsigned int n;
	/* The number of events, if one can say. */
	int expected;
};

/* clang-format off */

/* One recv() more is left, and one is entered, than the order asks for. */
FIXTURE_VARIANT_ADD(exact, raw_sys_enter) {
	.hook = { RAW, "sys_enter" },
	.op = OP_READ,
	.n = READS,
	.expected = READS + 2,
};

FIXTURE_VARIANT_ADD(exact, raw_sys_exit) {
	.hook = { RAW, "sys_exit" },
	.op = OP_READ,
	.n = READS,
	.expected = READS + 2,
};

FIXTURE_VARIANT_ADD(exact, btf_sys_enter) {
	.hook = { BTF, "sys_enter" },
	.op = OP_READ,
	.n = READS,
	.expected = READS + 2,
};

FIXTURE_VARIANT_ADD(exact, btf_sys_exit) {
	.hook = { BTF, "sys_exit" },
	.op = OP_READ,
	.n = READS,
	.expected = READS + 2,
};

FIXTURE_VARIANT_ADD(exact, classic_sys_enter_read) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
	.op = OP_READ,
	.n = READS,
	.expected = READS,
};

FIXTURE_VARIANT_ADD(exact, classic_sys_exit_read) {
	.hook = { CLASSIC, "syscalls:sys_exit_read" },
	.op = OP_READ,
	.n = READS,
	.expected = READS,
};

FIXTURE_VARIANT_ADD(exact, classic_raw_syscalls) {
	.hook = { CLASSIC, "raw_syscalls:sys_enter" },
	.op = OP_READ,
	.n = READS,
	.expected = READS + 2,
};

FIXTURE_VARIANT_ADD(exact, raw_sched_switch) {
	.hook = { RAW, "sched_switch" },
	.op = OP_SLEEP,
	.n = 100,
};

FIXTURE_VARIANT_ADD(exact, btf_sched_switch) {
	.hook = { BTF, "sched_switch" },
	.op = OP_SLEEP,
	.n = 100,
};

FIXTURE_VARIANT_ADD(exact, classic_sched_switch) {
	.hook = { CLASSIC, "sched:sched_switch" },
	.op = OP_SLEEP,
	.n = 100,
};

/* Not sched_wakeup, which another CPU may see to. */
FIXTURE_VARIANT_ADD(exact, raw_sched_waking) {
	.hook = { RAW, "sched_waking" },
	.op = OP_MIX,
	.n = 10,
};

/* Tracepoints with sites in dozens of pages. */
FIXTURE_VARIANT_ADD(exact, raw_mmap_lock_released) {
	.hook = { RAW, "mmap_lock_released" },
	.op = OP_MMAP,
	.n = 200,
};

FIXTURE_VARIANT_ADD(exact, raw_mmap_lock_acquire_returned) {
	.hook = { RAW, "mmap_lock_acquire_returned" },
	.op = OP_MIX,
	.n = 20,
};

FIXTURE_VARIANT_ADD(exact, classic_mmap_lock_released) {
	.hook = { CLASSIC, "mmap_lock:mmap_lock_released" },
	.op = OP_MIX,
	.n = 20,
};

FIXTURE_VARIANT_ADD(exact, raw_kmalloc) {
	.hook = { RAW, "kmalloc" },
	.op = OP_MIX,
	.n = 20,
};

FIXTURE_VARIANT_ADD(exact, classic_kmem_cache_alloc) {
	.hook = { CLASSIC, "kmem:kmem_cache_alloc" },
	.op = OP_MIX,
	.n = 20,
};

FIXTURE_VARIANT_ADD(exact, btf_signal_deliver) {
	.hook = { BTF, "signal_deliver" },
	.op = OP_MIX,
	.n = 20,
	.expected = 20,
};

FIXTURE_VARIANT_ADD(exact, classic_signal_generate) {
	.hook = { CLASSIC, "signal:signal_generate" },
	.op = OP_MIX,
	.n = 20,
};

FIXTURE_VARIANT_ADD(exact, raw_sched_process_fork) {
	.hook = { RAW, "sched_process_fork" },
	.op = OP_MIX,
	.n = 20,
	.expected = 20,
};

/* clang-format on */

FIXTURE_SETUP(exact)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel =
		load_for(variant->hook.kind == BTF ? variant->hook.name : NULL);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	/* Let them do for the first time what is done only once. */
	ASSERT_TRUE(tell_and_wait(&self->target, variant->op, 1));
	ASSERT_TRUE(tell_and_wait(&self->neighbour, variant->op, 1));
}

FIXTURE_TEARDOWN(exact)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	kview_bpf__destroy(self->skel);
}

TEST_F_TIMEOUT(exact, as_the_program_with_a_filter, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link *oracle;
	__u64 expected;
	int fd;

	set_slot(self->skel, VIEW, self->target.pid, false);
	set_slot(self->skel, ORACLE, self->target.pid, true);
	oracle = stock(self->skel, &variant->hook, ORACLE);
	ASSERT_NE(NULL, oracle);
	fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	ASSERT_LE(0, fd);

	for (int i = 0; i < 5; i++) {
		ASSERT_TRUE(tell(&self->target, variant->op, variant->n));
		ASSERT_TRUE(tell(&self->neighbour, variant->op, variant->n));
		ASSERT_TRUE(answer(&self->target));
		ASSERT_TRUE(answer(&self->neighbour));
	}
	close(fd);
	bpf_link__destroy(oracle);

	EXPECT_LT(0, slots[VIEW].count);
	EXPECT_TRUE(agree(slots[VIEW].count,
			  misses(counter_of(self->skel, variant->hook.kind)),
			  slots[ORACLE].count,
			  misses(oracle_of(self->skel, variant->hook.kind))))
	{
		TH_LOG("view %llu, oracle %llu", slots[VIEW].count,
		       slots[ORACLE].count);
	}
	expected = variant->expected ? 5 * variant->expected :
				       slots[VIEW].count;
	EXPECT_EQ(expected, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	EXPECT_EQ(0, self->skel->bss->strays);
}

/* Alone: no tracepoint is enabled but in the view. */
TEST_F_TIMEOUT(exact, alone, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	__u64 before, expected;
	int fd;

	set_slot(self->skel, VIEW, self->target.pid, false);
	fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	for (int i = 0; i < 5; i++) {
		ASSERT_TRUE(tell(&self->target, variant->op, variant->n));
		ASSERT_TRUE(tell(&self->neighbour, variant->op, variant->n));
		ASSERT_TRUE(answer(&self->target));
		ASSERT_TRUE(answer(&self->neighbour));
	}
	close(fd);
	EXPECT_LT(0, slots[VIEW].count);
	expected = variant->expected ? 5 * variant->expected :
				       slots[VIEW].count;
	EXPECT_EQ(expected, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);

	/* Over means over. */
	before = slots[VIEW].count;
	ASSERT_TRUE(tell_and_wait(&self->target, variant->op, variant->n));
	EXPECT_EQ(before, slots[VIEW].count);
}

/* Every number of programs, hooks and targets from one to three. */
#define MOST 3

static const struct hook three_hooks[MOST] = {
	{ CLASSIC, "syscalls:sys_enter_read" },
	{ RAW, "sys_exit" },
	{ BTF, "sys_enter" },
};

/* Events of @n reads on these. */
static __u64 events_of(int hook, unsigned int n)
{
	return hook ? n + 2 : n;
}

FIXTURE(combinations)
{
	struct kview_bpf *skels[MOST];
	struct target targets[MOST];
	struct target neighbour;
};

FIXTURE_SETUP(combinations)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	for (int i = 0; i < MOST; i++) {
		self->skels[i] = load();
		ASSERT_NE(NULL, self->skels[i]);
		ASSERT_TRUE(start_target(&self->targets[i]));
	}
	ASSERT_TRUE(start_target(&self->neighbour));
}

FIXTURE_TEARDOWN(combinations)
{
	for (int i = 0; i < MOST; i++) {
		kill_target(&self->targets[i]);
		kview_bpf__destroy(self->skels[i]);
	}
	kill_target(&self->neighbour);
}

/* All targets and the neighbour read at the same time. */
static bool all_read(FIXTURE_DATA(combinations) * self, unsigned int n)
{
	for (int i = 0; i < MOST; i++)
		if (!tell(&self->targets[i], OP_READ, n + i))
			return false;
	if (!tell(&self->neighbour, OP_READ, n))
		return false;
	for (int i = 0; i < MOST; i++)
		if (!answer(&self->targets[i]))
			return false;
	return answer(&self->neighbour);
}

static void combine(struct __test_metadata *_metadata,
		    FIXTURE_DATA(combinations) * self, int programs, int hooks,
		    int targets)
{
	int fds[MOST][MOST][MOST];

	for (int p = 0; p < programs; p++)
		for (int h = 0; h < hooks; h++)
			for (int t = 0; t < targets; t++) {
				int slot = h * MOST + t;

				set_slot(self->skels[p], slot,
					 self->targets[t].pid, false);
				fds[p][h][t] = view(self->skels[p],
						    &three_hooks[h], slot,
						    self->targets[t].pid);
				ASSERT_LE(0, fds[p][h][t]);
			}
	ASSERT_TRUE(all_read(self, 50));

	/* Take one link in two away, and look at the others again. */
	for (int p = 0; p < programs; p++)
		for (int h = 0; h < hooks; h++)
			for (int t = 0; t < targets; t++)
				if ((p + h + t) % 2 == 0)
					close(fds[p][h][t]);
	for (int t = 0; t < targets; t++)
		settle(&self->targets[t]);
	ASSERT_TRUE(all_read(self, 70));

	for (int p = 0; p < programs; p++) {
		struct slot *slots = self->skels[p]->bss->slots;

		for (int h = 0; h < hooks; h++)
			for (int t = 0; t < targets; t++) {
				struct slot *slot = &slots[h * MOST + t];
				__u64 expected = events_of(h, 50 + t);
				bool closed = (p + h + t) % 2 == 0;

				if (!closed)
					expected += events_of(h, 70 + t);
				EXPECT_EQ(expected, slot->count)
				{
					TH_LOG("program %d of %d, hook %d of %d, target %d of %d",
					       p, programs, h, hooks, t,
					       targets);
				}
				EXPECT_EQ(0, slot->foreign);
				if (!closed)
					close(fds[p][h][t]);
			}
		EXPECT_EQ(0, self->skels[p]->bss->strays);
	}
}

TEST_F_TIMEOUT(combinations, programs_hooks_targets, TIMEOUT)
{
	for (int programs = 1; programs <= MOST; programs++)
		for (int hooks = 1; hooks <= MOST; hooks++)
			for (int targets = 1; targets <= MOST; targets++)
				combine(_metadata, self, programs, hooks,
					targets);
}

/* The programs' contexts are those of a system-wide attachment. */
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
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 1));
}

FIXTURE_TEARDOWN(context)
{
	kill_target(&self->target);
	kview_bpf__destroy(self->skel);
}

/* Both see the same; @last: a field of the last event. */
static void compare_contexts(struct __test_metadata *_metadata,
			     FIXTURE_DATA(context) * self,
			     struct bpf_program *program, struct hook hook,
			     enum op op, __s64 last)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link *link;
	int fd;

	set_slot(self->skel, VIEW, self->target.pid, false);
	set_slot(self->skel, ORACLE, self->target.pid, true);
	link = stock_program(program, &hook, ORACLE);
	ASSERT_NE(NULL, link);
	fd = view_program(program, &hook, VIEW, self->target.pid);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell_and_wait(&self->target, op, 20));
	close(fd);
	bpf_link__destroy(link);

	/* A short sleep may be over before the task is switched out. */
	EXPECT_LE(op == OP_SLEEP ? 1 : 20, slots[VIEW].count);
	EXPECT_EQ(slots[ORACLE].count, slots[VIEW].count);
	EXPECT_NE(0, slots[VIEW].hash);
	EXPECT_EQ(slots[ORACLE].hash, slots[VIEW].hash);
	EXPECT_EQ(last, (__s64)slots[VIEW].last);
	EXPECT_EQ(last, (__s64)slots[ORACLE].last);
}

TEST_F_TIMEOUT(context, raw, TIMEOUT)
{
	compare_contexts(_metadata, self, self->skel->progs.raw_ctx,
			 (struct hook){ RAW, "sys_enter" }, OP_READ,
			 SYS_recvfrom);
}

TEST_F_TIMEOUT(context, btf, TIMEOUT)
{
	compare_contexts(_metadata, self, self->skel->progs.btf_ctx,
			 (struct hook){ BTF, "sys_enter" }, OP_READ,
			 SYS_recvfrom);
}

TEST_F_TIMEOUT(context, classic_syscall_enter, TIMEOUT)
{
	compare_contexts(_metadata, self, self->skel->progs.syscall_enter_ctx,
			 (struct hook){ CLASSIC, "syscalls:sys_enter_read" },
			 OP_READ, 1);
}

TEST_F_TIMEOUT(context, classic_syscall_exit, TIMEOUT)
{
	compare_contexts(_metadata, self, self->skel->progs.syscall_exit_ctx,
			 (struct hook){ CLASSIC, "syscalls:sys_exit_read" },
			 OP_READ, 1);
}

TEST_F_TIMEOUT(context, classic_raw_syscalls, TIMEOUT)
{
	/* The exit from recv() comes with the next order. */
	compare_contexts(_metadata, self, self->skel->progs.syscall_exit_ctx,
			 (struct hook){ CLASSIC, "raw_syscalls:sys_exit" },
			 OP_READ, sizeof(struct order));
}

TEST_F_TIMEOUT(context, classic_sched_switch, TIMEOUT)
{
	compare_contexts(_metadata, self, self->skel->progs.sched_switch_ctx,
			 (struct hook){ CLASSIC, "sched:sched_switch" },
			 OP_SLEEP, self->target.pid);
}

TEST_F_TIMEOUT(context, classic_stack, TIMEOUT)
{
	compare_contexts(_metadata, self, self->skel->progs.classic_stack,
			 (struct hook){ CLASSIC, "syscalls:sys_enter_read" },
			 OP_READ, 16);
}

TEST_F_TIMEOUT(context, cookie, TIMEOUT)
{
	const struct {
		struct bpf_program *program;
		struct hook hook;
	} cases[] = {
		{ self->skel->progs.raw_cookie, { RAW, "sys_enter" } },
		{ self->skel->progs.btf_cookie, { BTF, "sys_enter" } },
		{ self->skel->progs.classic_cookie,
		  { CLASSIC, "syscalls:sys_enter_read" } },
		{ self->skel->progs.classic_cookie,
		  { CLASSIC, "sched:sched_switch" } },
	};
	struct slot *slot = &self->skel->bss->slots[0];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		__u64 cookie = 0xfedcba9876543210ULL + i;
		int fd = view_program(cases[i].program, &cases[i].hook, cookie,
				      self->target.pid);

		ASSERT_LE(0, fd);
		slot->count = 0;
		slot->last = 0;
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 20));
		close(fd);
		EXPECT_LT(0, slot->count);
		EXPECT_EQ(cookie, slot->last);
	}
}

/* Every tracepoint of the kernel image. */
#define BATCH 8

FIXTURE(every)
{
	struct kview_bpf *skels[BATCH];
	struct target target;
	struct target neighbour;
};

FIXTURE_SETUP(every)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	for (int i = 0; i < BATCH; i++) {
		self->skels[i] = load();
		ASSERT_NE(NULL, self->skels[i]);
	}
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_MIX, 1));
}

FIXTURE_TEARDOWN(every)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	for (int i = 0; i < BATCH; i++)
		kview_bpf__destroy(self->skels[i]);
}

/* The only ones that a view need not serve: but then it must say so. */
static bool may_be_refused(const char *name)
{
	static const char *const names[] = {
		/* In a switch between processes, these fire when the page tables
		 * are those of one and current is the other.
		 */
		"tlb_flush", "x86_fpu_regs_deactivated",
		"read_msr",  "write_msr",
		"rdpmc",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

struct attached {
	const char *name;
	struct bpf_link *oracle;
	int fd;
	__u64 missed_oracle;
	__u64 missed_view;
};

static void run_batch(struct __test_metadata *_metadata,
		      FIXTURE_DATA(every) * self, struct attached *batch, int n,
		      int *with_events)
{
	for (int i = 0; i < n; i++) {
		batch[i].missed_oracle =
			misses(self->skels[i]->progs.raw_oracle);
		batch[i].missed_view = misses(self->skels[i]->progs.raw);
	}
	ASSERT_TRUE(tell(&self->neighbour, OP_MIX, 2));
	ASSERT_TRUE(tell(&self->target, OP_MIX, 2));
	ASSERT_TRUE(answer(&self->target));
	ASSERT_TRUE(answer(&self->neighbour));
	for (int i = 0; i < n; i++)
		close(batch[i].fd);
	for (int i = 0; i < n; i++) {
		struct slot *slots = self->skels[i]->bss->slots;
		__u64 oracle, seen;

		bpf_link__destroy(batch[i].oracle);
		oracle = slots[ORACLE].count;
		seen = slots[VIEW].count;
		EXPECT_TRUE(agree(seen,
				  misses(self->skels[i]->progs.raw) -
					  batch[i].missed_view,
				  oracle,
				  misses(self->skels[i]->progs.raw_oracle) -
					  batch[i].missed_oracle))
		{
			TH_LOG("tracepoint %s: view %llu, oracle %llu",
			       batch[i].name, seen, oracle);
		}
		EXPECT_EQ(0, slots[VIEW].foreign)
		{
			TH_LOG("tracepoint %s", batch[i].name);
		}
		*with_events += seen > 0;
	}
}

TEST_F_TIMEOUT(every, tracepoint, TIMEOUT)
{
	static const char prefix[] = "btf_trace_";
	struct attached batch[BATCH];
	struct btf *btf = btf__load_vmlinux_btf();
	int n = 0, served = 0, refused = 0, with_events = 0;

	ASSERT_NE(NULL, btf);
	for (__u32 id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off);
		struct hook hook = { RAW, name + strlen(prefix) };
		struct kview_bpf *skel = self->skels[n];

		if (!btf_is_typedef(type) ||
		    strncmp(name, prefix, strlen(prefix)))
			continue;
		set_slot(skel, ORACLE, self->target.pid, true);
		set_slot(skel, VIEW, self->target.pid, false);
		batch[n].name = hook.name;
		batch[n].oracle =
			stock_program(skel->progs.raw_oracle, &hook, ORACLE);
		/* A type without a tracepoint. */
		if (!batch[n].oracle)
			continue;
		batch[n].fd = view(skel, &hook, VIEW, self->target.pid);
		if (batch[n].fd < 0) {
			EXPECT_EQ(-EOPNOTSUPP, batch[n].fd);
			EXPECT_TRUE(may_be_refused(hook.name))
			{
				TH_LOG("tracepoint %s", hook.name);
			}
			bpf_link__destroy(batch[n].oracle);
			refused++;
			continue;
		}
		served++;
		if (++n < BATCH)
			continue;
		run_batch(_metadata, self, batch, n, &with_events);
		n = 0;
	}
	run_batch(_metadata, self, batch, n, &with_events);
	btf__free(btf);
	TH_LOG("%d tracepoints, of which %d had events; %d refused", served,
	       with_events, refused);
	EXPECT_LT(300, served);
	EXPECT_LT(50, with_events);
}
