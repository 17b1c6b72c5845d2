// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks in modules, and modules that come and go while processes have views: what
 * is in one of them is counted exactly, those that hold a module keep it, and the
 * others let it go.
 */
#include "func_test.h"
#include "test_modules/kview_testmod.h"

#define FUNCTION "kview_testmod_call"
#define CROSSING "kview_testmod_crossing"
#define CALLS 200

static int load_testmod(void)
{
	int ret = load_module();

	return ret == -EEXIST ? 0 : ret;
}

/* --- functions --- */

FIXTURE(function)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(function)
{
	enum family family;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(function, kprobe) { .family = KPROBE };
FIXTURE_VARIANT_ADD(function, kretprobe) { .family = KRETPROBE };
FIXTURE_VARIANT_ADD(function, multi) { .family = MULTI };
FIXTURE_VARIANT_ADD(function, multi_return) { .family = MULTI_RETURN };
FIXTURE_VARIANT_ADD(function, session) { .family = SESSION };
FIXTURE_VARIANT_ADD(function, fentry) { .family = FENTRY };
FIXTURE_VARIANT_ADD(function, fexit) { .family = FEXIT };
FIXTURE_VARIANT_ADD(function, fmod_ret) { .family = FMOD_RET };

/* clang-format on */

static void start_both(struct __test_metadata *_metadata,
		       struct func_bpf **skel, struct target *target,
		       struct target *neighbour)
{
	ASSERT_EQ(0, load_testmod());
	*skel = load_programs(FUNCTION, true, false);
	ASSERT_NE(NULL, *skel);
	ASSERT_TRUE(start_target(target));
	ASSERT_TRUE(start_target(neighbour));
	settle(target);
	settle(neighbour);
	set_func_slot(*skel, VIEW, target->pid, false);
	set_func_slot(*skel, ORACLE, target->pid, true);
}

static void end_both(struct func_bpf *skel, struct target *target,
		     struct target *neighbour)
{
	kill_target(target);
	kill_target(neighbour);
	func_bpf__destroy(skel);
	/* What was attached may hold it for a moment yet. */
	for (int i = 0; i < 100 && unload_module(); i++)
		usleep(100000);
}

static void both_call(struct __test_metadata *_metadata, struct target *target,
		      struct target *neighbour)
{
	ASSERT_TRUE(tell(neighbour, OP_CALL, CALLS / 2));
	ASSERT_TRUE(tell_and_wait(target, OP_CALL, CALLS));
	ASSERT_TRUE(answer(neighbour));
}

FIXTURE_SETUP(function)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	start_both(_metadata, &self->skel, &self->target, &self->neighbour);
}

FIXTURE_TEARDOWN(function)
{
	end_both(self->skel, &self->target, &self->neighbour);
}

TEST_F_TIMEOUT(function, exact, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	enum family family = variant->family;
	__u64 expected = 0;

	for (int i = 0; i < 6; i++) {
		struct bpf_link *link = NULL;
		int fd = -1;

		/* Beside what others have, in each order, and alone. */
		if (i % 3 == 1)
			link = stock_func(self->skel, family, FUNCTION, ORACLE);
		fd = view_func(self->skel, family, FUNCTION, VIEW,
			       self->target.pid);
		ASSERT_LE(0, fd);
		if (i % 3 == 2)
			link = stock_func(self->skel, family, FUNCTION, ORACLE);
		ASSERT_TRUE(i % 3 == 0 || link);
		both_call(_metadata, &self->target, &self->neighbour);
		expected += CALLS * events_of(family);
		EXPECT_EQ(expected, slots[VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
		if (i < 3)
			bpf_link__destroy(link);
		close(fd);
		if (i >= 3)
			bpf_link__destroy(link);
		both_call(_metadata, &self->target, &self->neighbour);
		EXPECT_EQ(expected, slots[VIEW].count);
	}
	EXPECT_EQ(4 * CALLS * events_of(family), slots[ORACLE].count);
}

TEST_F_TIMEOUT(function, contexts, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link *link;
	int fd;

	fd = view_func(self->skel, variant->family, FUNCTION, VIEW,
		       self->target.pid);
	ASSERT_LE(0, fd);
	link = stock_func(self->skel, variant->family, FUNCTION, ORACLE);
	ASSERT_NE(NULL, link);
	both_call(_metadata, &self->target, &self->neighbour);
	bpf_link__destroy(link);
	close(fd);
	EXPECT_EQ(slots[ORACLE].count, slots[VIEW].count);
	/* With fexit, others see its trampoline as the caller, and it theirs. */
	if (!is_tracing(variant->family))
		same_contexts(_metadata, self->skel, VIEW, ORACLE,
			      family_names[variant->family]);
}

/* As it is for everybody: a kprobe lets the module go, the others hold it. */
TEST_F_TIMEOUT(function, unload, TIMEOUT)
{
	bool holds = variant->family != KPROBE && variant->family != KRETPROBE;
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link_info info = {};
	__u32 pid;
	int fd, ret;

	/* A program for the function holds the module as long as it is loaded. */
	if (is_tracing(variant->family)) {
		EXPECT_EQ(-EWOULDBLOCK, unload_module());
		return;
	}
	/* So do those of this skeleton that are not attached, and the targets have
	 * its file descriptors.
	 */
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	self->skel = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->skel);
	slots = self->skel->bss->slots;
	set_func_slot(self->skel, VIEW, self->target.pid, false);
	fd = view_func(self->skel, variant->family, FUNCTION, VIEW,
		       self->target.pid);
	ASSERT_LE(0, fd);
	both_call(_metadata, &self->target, &self->neighbour);
	EXPECT_EQ(CALLS * events_of(variant->family), slots[VIEW].count);

	for (int i = 0; !holds && i < 50; i++) {
		ret = unload_module();
		if (ret != -EWOULDBLOCK)
			break;
		usleep(100000);
	}
	if (holds)
		ret = unload_module();
	EXPECT_EQ(holds ? -EWOULDBLOCK : 0, ret);
	ASSERT_EQ(0, link_info(fd, &info));
	EXPECT_EQ(holds ? 0 : BPF_F_KVIEW_DEFUNCT,
		  info.kview.flags & BPF_F_KVIEW_DEFUNCT);
	pid = self->neighbour.pid;
	if (!holds) {
		EXPECT_EQ(-ENOLINK,
			  link_targets(fd, BPF_LINK_TARGETS_ADD, &pid, 1, 0));
		/* Another module in its place has nothing to do with it. */
		ASSERT_EQ(0, load_testmod());
	}
	both_call(_metadata, &self->target, &self->neighbour);
	EXPECT_EQ((holds ? 2 : 1) * CALLS * events_of(variant->family),
		  slots[VIEW].count);
	close(fd);
	fd = view_func(self->skel, variant->family, FUNCTION, VIEW,
		       self->target.pid);
	ASSERT_LE(0, fd);
	both_call(_metadata, &self->target, &self->neighbour);
	EXPECT_EQ((holds ? 3 : 2) * CALLS * events_of(variant->family),
		  slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	close(fd);
}

/*
 * The view has tables of its own for the module area: what is mapped there, and
 * what is unmapped, is so for the target, which runs it.
 */
TEST_F_TIMEOUT(function, others_come_and_go, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int fd = view_func(self->skel, variant->family, FUNCTION, VIEW,
			   self->target.pid);

	ASSERT_LE(0, fd);
	for (int i = 0; i < 5; i++) {
		struct func_bpf *more;

		ASSERT_TRUE(tell_and_wait(&self->target, OP_OTHER, 3));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_OTHER, 1));
		/* BPF programs are there, too, and their trampolines. */
		more = load_programs(FUNCTION, true, false);
		ASSERT_NE(NULL, more);
		set_func_slot(more, SECOND_VIEW, self->target.pid, false);
		set_func_slot(more, ORACLE, self->target.pid, true);
		for (int j = 0; j < 2; j++) {
			enum family family = j ? FENTRY : MULTI;
			struct bpf_link *link;
			int second;

			second = view_func(more, family, FUNCTION, SECOND_VIEW,
					   self->target.pid);
			ASSERT_LE(0, second);
			link = stock_func(more, family, FUNCTION, ORACLE);
			ASSERT_NE(NULL, link);
			both_call(_metadata, &self->target, &self->neighbour);
			bpf_link__destroy(link);
			close(second);
		}
		EXPECT_EQ(2 * CALLS, more->bss->slots[SECOND_VIEW].count);
		EXPECT_EQ(2 * CALLS, more->bss->slots[ORACLE].count);
		func_bpf__destroy(more);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_PATCH, 2));
	}
	EXPECT_EQ(10 * CALLS * events_of(variant->family), slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	close(fd);
}

/* --- modules in the same 2 MB, for which the view has a table of its own --- */

#define MODULES_START 0xffffffffc0000000
#define MODULES_END 0xffffffffff000000
#define PAGE_TABLES "/sys/kernel/debug/page_tables/"

/*
 * What a dump of page tables has in the module area: the same sum for the same
 * pages with the same rights, whatever the sizes of the entries. 0: no dump.
 */
static __u64 module_area(const char *path)
{
	FILE *file = fopen(path, "r");
	__u64 start, end, sum = 0;
	char line[256], *rest;

	while (file && fgets(line, sizeof(line), file)) {
		bool writable, executable;

		if (sscanf(line, "%llx-%llx", &start, &end) != 2)
			continue;
		rest = strchr(line, ' ');
		if (start < MODULES_START || end > MODULES_END || !rest)
			continue;
		writable = strstr(rest, " RW ");
		executable = !strstr(rest, " NX ");
		if (!writable && !strstr(rest, " ro "))
			continue;
		for (; start < end; start += 4096) {
			__u64 page = start + 2 * writable + executable;

			page *= 0x9e3779b97f4a7c15;
			sum += page ^ page >> 32;
		}
	}
	if (file)
		fclose(file);
	return sum;
}

/* Has this process, which is a target, there what everybody has? */
static bool same_module_area(void)
{
	/* What others have freed may go meanwhile. */
	for (int i = 0; i < 20; i++) {
		__u64 all = module_area(PAGE_TABLES "kernel");
		__u64 own = module_area(PAGE_TABLES "current_kernel");

		if (all && all == own)
			return true;
		usleep(20000);
	}
	return false;
}

/* Which 2 MB a module's text is in, or 0. */
static __u64 region_of(const char *module)
{
	FILE *file = fopen("/proc/modules", "r");
	char line[256], name[64];
	__u64 addr = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %*u %*u %*s %*s %llx", name, &addr) ==
			    2 &&
		    !strcmp(name, module))
			break;
		addr = 0;
	}
	if (file)
		fclose(file);
	return addr >> 21;
}

#define FILLERS 16

FIXTURE(region)
{
	struct func_bpf *skel;
	struct func_bpf *filler;
	struct bpf_link *fillers[FILLERS];
};

/*
 * Load both so that they are in the same 2 MB. If a border is between them in either
 * order, what is free in front of it takes one of them but not both: fill it up with
 * what ftrace has for each of its users.
 */
static bool load_both(struct func_bpf *filler, struct bpf_link **fillers)
{
	const char *const orders[][2] = { { MODULE, OTHER_MODULE },
					  { OTHER_MODULE, MODULE } };

	for (int i = 0; i < FILLERS; i++) {
		for (int j = 0; j < 2; j++) {
			if (load_named_module(orders[i % 2][j]))
				return false;
		}
		if (region_of(MODULE) == region_of(OTHER_MODULE))
			return region_of(MODULE);
		for (int j = 0; j < 2; j++) {
			if (unload_named_module(orders[i % 2][j]))
				return false;
		}
		fillers[i] = stock_func(filler, MULTI, "__x64_sys_getppid", 0);
		if (!fillers[i])
			return false;
	}
	return false;
}

FIXTURE_SETUP(region)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->filler = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->filler);
	ASSERT_TRUE(load_both(self->filler, self->fillers));
	/* Programs come behind both. */
	self->skel = load_programs(FUNCTION, true, false);
	ASSERT_NE(NULL, self->skel);
	ASSERT_EQ(0, unload_named_module(OTHER_MODULE));
	set_func_slot(self->skel, VIEW, getpid(), false);
}

FIXTURE_TEARDOWN(region)
{
	func_bpf__destroy(self->skel);
	for (int i = 0; i < FILLERS; i++)
		bpf_link__destroy(self->fillers[i]);
	func_bpf__destroy(self->filler);
	unload_named_module(OTHER_MODULE);
	for (int i = 0; i < 100 && unload_module(); i++)
		usleep(100000);
}

/*
 * A hook in a module, and another module that comes and goes next to it, where it
 * has been before.
 */
TEST_F_TIMEOUT(region, shared_with_another_module, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	__u64 expected = 0;
	int fd;

	fd = view_func(self->skel, KPROBE, FUNCTION, VIEW, getpid());
	ASSERT_LE(0, fd);
	EXPECT_TRUE(same_module_area());
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, load_named_module(OTHER_MODULE));
		ASSERT_EQ(region_of(MODULE), region_of(OTHER_MODULE));
		EXPECT_TRUE(same_module_area());
		EXPECT_TRUE(write_file(OTHER_MODULE_DIR "call", "10"));
		EXPECT_EQ(1, module_calls(7));
		expected += 7;
		ASSERT_EQ(0, unload_named_module(OTHER_MODULE));
		EXPECT_TRUE(same_module_area());
	}
	EXPECT_EQ(expected, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	close(fd);
}

/* --- a call across two pages, and kprobes at instructions --- */

FIXTURE(code)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_SETUP(code)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	start_both(_metadata, &self->skel, &self->target, &self->neighbour);
}

FIXTURE_TEARDOWN(code)
{
	end_both(self->skel, &self->target, &self->neighbour);
}

/* The families that need no type of the function, and its second instruction. */
static const enum family crossing_families[] = {
	KPROBE, KRETPROBE, MULTI, MULTI_RETURN, SESSION,
};

/* KVIEW_ROUNDS: how often, where all of them would take long. */
TEST_F_TIMEOUT(code, crossing, TIMEOUT)
{
	const char *rounds = getenv("KVIEW_ROUNDS");
	struct slot *slots = self->skel->bss->slots;
	__u64 expected = 0, oracle = 0;

	srand(1);
	for (int i = 0; i < (rounds ? atoi(rounds) : 60); i++) {
		enum family family = crossing_families[rand() % 5];
		enum family other = crossing_families[rand() % 5];
		struct bpf_link *link = NULL;
		bool first = rand() % 2;
		int fd;

		if (first)
			link = stock_func(self->skel, other, CROSSING, ORACLE);
		fd = view_func(self->skel, family, CROSSING, VIEW,
			       self->target.pid);
		ASSERT_LE(0, fd);
		if (!first)
			link = stock_func(self->skel, other, CROSSING, ORACLE);
		ASSERT_NE(NULL, link);
		both_call(_metadata, &self->target, &self->neighbour);
		expected += CALLS * events_of(family);
		oracle += CALLS * events_of(other);
		EXPECT_EQ(expected, slots[VIEW].count)
		{
			TH_LOG("%s beside %s", family_names[family],
			       family_names[other]);
		}
		EXPECT_EQ(oracle, slots[ORACLE].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
		/* While it runs. */
		ASSERT_TRUE(tell(&self->target, OP_CALL, 20 * CALLS));
		if (rand() % 2) {
			bpf_link__destroy(link);
			close(fd);
		} else {
			close(fd);
			bpf_link__destroy(link);
		}
		ASSERT_TRUE(answer(&self->target));
		expected = slots[VIEW].count;
		oracle = slots[ORACLE].count;
		both_call(_metadata, &self->target, &self->neighbour);
		EXPECT_EQ(expected, slots[VIEW].count);
	}
}

/* Instructions of a module, for the process and for everybody. */
TEST_F_TIMEOUT(code, instructions, TIMEOUT)
{
	static const char *const functions[] = { FUNCTION, CROSSING };
	__u64 offset = behind_call("__x64_sys_read");
	struct slot *slots = self->skel->bss->slots;

	ASSERT_NE(0, offset);
	for (int i = 0; i < 8; i++) {
		const char *name = functions[i % 2];
		struct bpf_link *link = NULL;
		int fd;

		set_func_slot(self->skel, VIEW, self->target.pid, false);
		set_func_slot(self->skel, ORACLE, self->target.pid, true);
		if (i / 2 % 2)
			link = stock_at(self->skel->progs.on_kprobe_oracle,
					name, offset, ORACLE);
		fd = view_at(bpf_program__fd(self->skel->progs.on_kprobe), name,
			     offset, 0, VIEW, self->target.pid);
		ASSERT_LE(0, fd);
		if (!link)
			link = stock_at(self->skel->progs.on_kprobe_oracle,
					name, offset, ORACLE);
		ASSERT_NE(NULL, link);
		/* Long enough for everybody's to become a jump. */
		if (i >= 4)
			usleep(300000);
		both_call(_metadata, &self->target, &self->neighbour);
		bpf_link__destroy(link);
		close(fd);
		EXPECT_EQ(CALLS, slots[VIEW].count);
		EXPECT_EQ(CALLS, slots[ORACLE].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
	}
}

/* --- live patches --- */

#define LIVEPATCH "/sys/kernel/livepatch/"
#define READ_LENGTH 8

/*
 * A target for each family, and one process that is none: all of them run the
 * function that there is in the place of a hooked one.
 */
FIXTURE(livepatch)
{
	struct func_bpf *skel;
	struct target targets[FAMILIES];
	struct target neighbour;
	int fds[FAMILIES];
	struct bpf_link *links[FAMILIES];
	bool patched;
	/* events of the views, and of everybody's */
	__u64 expected[FAMILIES];
	__u64 everybody[FAMILIES];
};

FIXTURE_VARIANT(livepatch)
{
	const char *function;
	enum op op;
	unsigned int n;
	/* what it returns, without the patch and with it */
	int result;
	int patched_result;
	/* for everybody, too */
	bool in_company;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(livepatch, kernel) {
	.function = "read_zero",
	.op = OP_RESULT,
	.n = READ_LENGTH,
	.result = READ_LENGTH,
	.patched_result = KVIEW_TESTMOD_PATCHED_READ,
};

FIXTURE_VARIANT_ADD(livepatch, kernel_in_company) {
	.function = "read_zero",
	.op = OP_RESULT,
	.n = READ_LENGTH,
	.result = READ_LENGTH,
	.patched_result = KVIEW_TESTMOD_PATCHED_READ,
	.in_company = true,
};

FIXTURE_VARIANT_ADD(livepatch, module) {
	.function = FUNCTION,
	.op = OP_CALL,
	.n = 1,
	.result = 1,
	.patched_result = KVIEW_TESTMOD_PATCHED_CALL,
};

FIXTURE_VARIANT_ADD(livepatch, module_in_company) {
	.function = FUNCTION,
	.op = OP_CALL,
	.n = 1,
	.result = 1,
	.patched_result = KVIEW_TESTMOD_PATCHED_CALL,
	.in_company = true,
};

/* clang-format on */

/* It is complete when no task runs what was there before. */
static bool patch_is_complete(void)
{
	char text[4] = "";
	int fd = open(LIVEPATCH PATCH_MODULE "/transition", O_RDONLY);

	/* Gone, when it has been disabled. */
	if (fd < 0)
		return true;
	if (read(fd, text, sizeof(text) - 1) < 1)
		text[0] = 0;
	close(fd);
	return text[0] == '0';
}

static void set_patch(struct __test_metadata *_metadata, bool *patched, bool on)
{
	bool done;
	int ret = -1;

	done = on ? !load_named_module(PATCH_MODULE) :
		    write_file(LIVEPATCH PATCH_MODULE "/enabled", "0");
	ASSERT_TRUE(done);
	*patched = on;
	for (int i = 0; i < 600 && !patch_is_complete(); i++)
		usleep(100000);
	ASSERT_TRUE(patch_is_complete());
	for (int i = 0; !on && ret && i < 100; i++) {
		ret = unload_named_module(PATCH_MODULE);
		if (ret)
			usleep(100000);
	}
	ASSERT_EQ(on ? -1 : 0, ret);
}

FIXTURE_SETUP(livepatch)
{
	bool injectable = variant->op == OP_CALL;
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	if (access(LIVEPATCH, X_OK))
		SKIP(return, "the kernel has no live patches");
	ASSERT_EQ(0, load_testmod());
	self->skel = load_programs(variant->function, injectable, false);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->neighbour));
	for (int i = 0; i < FAMILIES; i++) {
		self->fds[i] = -1;
		if (i == FMOD_RET && !injectable)
			continue;
		ASSERT_TRUE(start_target(&self->targets[i]));
		set_func_slot(self->skel, i, self->targets[i].pid, false);
		/* The same events of everybody's, by the PID. */
		set_func_slot(self->skel, FAMILIES + i, self->targets[i].pid,
			      true);
	}
	if (!variant->in_company)
		return;
	for (int i = 0; i < FAMILIES; i++) {
		struct bpf_program *program = func_oracle(self->skel, i);
		const char *name = variant->function;
		int slot = FAMILIES + i;

		if (!self->targets[i].pid)
			continue;
		if (i == INSTRUCTION)
			self->links[i] = stock_at(program, name,
						  behind_call("__x64_sys_read"),
						  slot);
		else
			self->links[i] = stock_func(self->skel, i, name, slot);
		ASSERT_NE(NULL, self->links[i])
		{
			TH_LOG("%s for everybody", family_names[i]);
		}
	}
}

FIXTURE_TEARDOWN(livepatch)
{
	for (int i = 0; i < FAMILIES; i++) {
		bpf_link__destroy(self->links[i]);
		kill_target(&self->targets[i]);
	}
	kill_target(&self->neighbour);
	func_bpf__destroy(self->skel);
	/* If the test has failed. */
	if (self->patched)
		set_patch(_metadata, &self->patched, false);
	for (int i = 0; i < 100 && unload_module(); i++)
		usleep(100000);
}

static void hook_all(struct __test_metadata *_metadata,
		     FIXTURE_DATA(livepatch) * self, const char *function)
{
	for (int i = 0; i < FAMILIES; i++) {
		int prog = bpf_program__fd(self->skel->progs.on_kprobe);
		__u64 offset = behind_call("__x64_sys_read");
		pid_t pid = self->targets[i].pid;

		if (!pid)
			continue;
		if (i == INSTRUCTION)
			self->fds[i] =
				view_at(prog, function, offset, 0, i, pid);
		else
			self->fds[i] =
				view_func(self->skel, i, function, i, pid);
		ASSERT_LE(0, self->fds[i])
		{
			TH_LOG("%s", family_names[i]);
		}
	}
}

static void unhook_all(FIXTURE_DATA(livepatch) * self)
{
	for (int i = 0; i < FAMILIES; i++) {
		if (self->fds[i] >= 0)
			close(self->fds[i]);
		self->fds[i] = -1;
	}
}

/* Everybody runs the function that is the right one now, and only hooks count. */
static void right_function(struct __test_metadata *_metadata,
			   FIXTURE_DATA(livepatch) * self,
			   const FIXTURE_VARIANT(livepatch) * variant)
{
	int result = self->patched ? variant->patched_result : variant->result;
	struct slot *slots = self->skel->bss->slots;

	for (int n = 0; n < 5; n++) {
		EXPECT_EQ(result,
			  result_of(&self->neighbour, variant->op, variant->n));
		for (int i = 0; i < FAMILIES; i++) {
			struct target *target = &self->targets[i];

			if (!target->pid)
				continue;
			EXPECT_EQ(result,
				  result_of(target, variant->op, variant->n))
			{
				TH_LOG("%s, patched: %d, hooked: %d",
				       family_names[i], self->patched,
				       self->fds[i] >= 0);
			}
			/* The instruction is in the function that is not run. */
			if (i == INSTRUCTION && self->patched)
				continue;
			if (self->fds[i] >= 0)
				self->expected[i] += events_of(i);
			if (self->links[i])
				self->everybody[i] += events_of(i);
		}
	}
	for (int i = 0; i < FAMILIES; i++) {
		EXPECT_EQ(self->expected[i], slots[i].count)
		{
			TH_LOG("%s, patched: %d, hooked: %d", family_names[i],
			       self->patched, self->fds[i] >= 0);
		}
		EXPECT_EQ(0, slots[i].foreign);
		EXPECT_EQ(self->everybody[i], slots[FAMILIES + i].count)
		{
			TH_LOG("%s for everybody, patched: %d, hooked: %d",
			       family_names[i], self->patched,
			       self->fds[i] >= 0);
		}
	}
}

/* In both orders of patch and hook, and of their ends. */
TEST_F_TIMEOUT(livepatch, and_hooks, TIMEOUT)
{
	static const char *const steps[] = {
		"hook",	  "patch", "unhook", "hook",	"unpatch",
		"unhook", "hook",  "patch",  "unpatch", "unhook",
		"patch",  "hook",  "unhook", "unpatch",
	};

	right_function(_metadata, self, variant);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (!strcmp(steps[i], "hook"))
			hook_all(_metadata, self, variant->function);
		else if (!strcmp(steps[i], "unhook"))
			unhook_all(self);
		else
			set_patch(_metadata, &self->patched,
				  !strcmp(steps[i], "patch"));
		right_function(_metadata, self, variant);
	}
}

/* --- tracepoints --- */

FIXTURE(tracepoint)
{
	struct kview_bpf *skel;
	struct target target;
	struct target neighbour;
};

FIXTURE_VARIANT(tracepoint)
{
	struct hook hook;
	/* of the module itself, so that it holds it */
	bool own;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(tracepoint, raw) {
	.hook = { RAW, "kview_testmod_step" },
	.own = true,
};

FIXTURE_VARIANT_ADD(tracepoint, btf) {
	.hook = { BTF, "kview_testmod_step" },
	.own = true,
};

FIXTURE_VARIANT_ADD(tracepoint, classic) {
	.hook = { CLASSIC, "kview_testmod:kview_testmod_step" },
	.own = true,
};

/* Built-in ones, with sites in the modules. */
FIXTURE_VARIANT_ADD(tracepoint, raw_mmap_lock) {
	.hook = { RAW, "mmap_lock_start_locking" },
};

FIXTURE_VARIANT_ADD(tracepoint, classic_mmap_lock) {
	.hook = { CLASSIC, "mmap_lock:mmap_lock_released" },
};

/* clang-format on */

FIXTURE_SETUP(tracepoint)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_EQ(0, load_testmod());
	self->skel =
		load_for(variant->hook.kind == BTF ? variant->hook.name : NULL);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	set_slot(self->skel, VIEW, self->target.pid, false);
	set_slot(self->skel, ORACLE, self->target.pid, true);
}

FIXTURE_TEARDOWN(tracepoint)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	kview_bpf__destroy(self->skel);
	for (int i = 0; i < 100 && unload_module(); i++)
		usleep(100000);
}

static void both_step(struct __test_metadata *_metadata,
		      FIXTURE_DATA(tracepoint) * self)
{
	ASSERT_TRUE(tell(&self->neighbour, OP_STEP, CALLS / 2));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_STEP, CALLS));
	ASSERT_TRUE(answer(&self->neighbour));
}

TEST_F_TIMEOUT(tracepoint, exact, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;

	for (int i = 0; i < 6; i++) {
		struct bpf_link *link = NULL;
		__u64 events;
		int fd;

		set_slot(self->skel, VIEW, self->target.pid, false);
		set_slot(self->skel, ORACLE, self->target.pid, true);
		if (i % 3 == 1)
			link = stock(self->skel, &variant->hook, ORACLE);
		fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
		ASSERT_LE(0, fd);
		if (i % 3 == 2)
			link = stock(self->skel, &variant->hook, ORACLE);
		ASSERT_TRUE(i % 3 == 0 || link);
		both_step(_metadata, self);
		if (i < 3) {
			bpf_link__destroy(link);
			close(fd);
		} else {
			close(fd);
			bpf_link__destroy(link);
		}
		events = slots[VIEW].count;
		if (variant->own)
			EXPECT_EQ(CALLS, events);
		EXPECT_LE(CALLS, events);
		if (link)
			EXPECT_EQ(slots[ORACLE].count, events);
		EXPECT_EQ(0, slots[VIEW].foreign);
		both_step(_metadata, self);
		EXPECT_EQ(events, slots[VIEW].count);
	}
}

/* Of how much the direct map is by small pages, in KiB; -1: it is not known. */
static long small_pages(void)
{
	char line[128];
	long kb = -1;
	FILE *file;

	file = fopen("/proc/meminfo", "r");
	while (file && kb < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "DirectMap4k: %ld", &kb);
	if (file)
		fclose(file);
	return kb;
}

/* Pages of modules become non-global, for which no large page is split. */
TEST_F_TIMEOUT(tracepoint, no_large_page_is_split, TIMEOUT)
{
	static const struct hook first = { RAW, "sys_enter" };
	/* Copies of text are taken from a large page, which is split once. */
	int image = view(self->skel, &first, ORACLE, self->target.pid);
	long before = small_pages();

	ASSERT_LE(0, image);
	ASSERT_LT(0, before);
	for (int i = 0; i < 3; i++) {
		int fd = view(self->skel, &variant->hook, VIEW,
			      self->target.pid);

		ASSERT_LE(0, fd);
		EXPECT_EQ(before, small_pages());
		close(fd);
		EXPECT_EQ(before, small_pages());
	}
	close(image);
}

TEST_F_TIMEOUT(tracepoint, unload, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
	__u64 events;

	ASSERT_LE(0, fd);
	both_step(_metadata, self);
	EXPECT_EQ(variant->own ? -EWOULDBLOCK : 0, unload_module());
	ASSERT_EQ(0, load_testmod());
	events = slots[VIEW].count;
	both_step(_metadata, self);
	EXPECT_LE(events + CALLS, slots[VIEW].count);
	EXPECT_EQ(0, slots[VIEW].foreign);
	close(fd);
	events = slots[VIEW].count;
	both_step(_metadata, self);
	EXPECT_EQ(events, slots[VIEW].count);
}

/* A module that comes has its sites in the views that there are, at once. */
TEST_F_TIMEOUT(tracepoint, comes_and_goes, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;

	for (int i = 0; i < 6; i++) {
		struct bpf_link *link = NULL;
		int fd;

		set_slot(self->skel, VIEW, self->target.pid, false);
		set_slot(self->skel, ORACLE, self->target.pid, true);
		if (i % 2)
			link = stock(self->skel, &variant->hook, ORACLE);
		fd = view(self->skel, &variant->hook, VIEW, self->target.pid);
		ASSERT_LE(0, fd);
		if (i % 2 == 0 && i)
			link = stock(self->skel, &variant->hook, ORACLE);
		ASSERT_TRUE(!i || link);
		/* Also of what they do when they start. */
		ASSERT_TRUE(tell_and_wait(&self->target, OP_OTHER, 3));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_OTHER, 2));
		both_step(_metadata, self);
		close(fd);
		bpf_link__destroy(link);
		EXPECT_LE(CALLS, slots[VIEW].count);
		if (link)
			EXPECT_EQ(slots[ORACLE].count, slots[VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
	}
}
