// SPDX-License-Identifier: GPL-2.0
/*
 * No memory: each allocation that an attach makes is let fail in its turn, and
 * the attach then fails with ENOMEM and has changed nothing. So for targets that
 * are added, and for the fork and exec of targets: they fail, or are traced.
 * Needs a kernel with fault injection.
 */
#include "func_test.h"
#include <sys/rseq.h>

#define DEBUGFS "/sys/kernel/debug/"
#define PAGE_ALLOC DEBUGFS "fail_page_alloc/"

#define MOST_ALLOCATIONS 2000

FIXTURE(fault)
{
	struct kview_bpf *skel;
	struct target target;
};

FIXTURE_VARIANT(fault)
{
	struct hook hook;
	enum op op;
	/* events of one order, if one can say */
	__u64 expected;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(fault, raw_sys_enter) {
	.hook = { RAW, "sys_enter" },
	.op = OP_READ,
	.expected = 12,
};

FIXTURE_VARIANT_ADD(fault, btf_sys_enter) {
	.hook = { BTF, "sys_enter" },
	.op = OP_READ,
	.expected = 12,
};

FIXTURE_VARIANT_ADD(fault, classic_sys_enter_read) {
	.hook = { CLASSIC, "syscalls:sys_enter_read" },
	.op = OP_READ,
	.expected = 10,
};

FIXTURE_VARIANT_ADD(fault, classic_sched_switch) {
	.hook = { CLASSIC, "sched:sched_switch" },
	.op = OP_SLEEP,
};

FIXTURE_VARIANT_ADD(fault, raw_mmap_lock_released) {
	.hook = { RAW, "mmap_lock_released" },
	.op = OP_MMAP,
};

/* clang-format on */

/* Why there is nothing to be tested, or NULL. */
static const char *no_faults(void)
{
	const char *reason = why_not();

	if (reason)
		return reason;
	if (access("/proc/thread-self/fail-nth", W_OK) ||
	    access(DEBUGFS "failslab", X_OK) ||
	    access(DEBUGFS "fail_page_alloc", X_OK))
		return "the kernel has no fault injection";
	/* Those that may wait, too, and single pages. */
	if (!write_file(DEBUGFS "failslab/ignore-gfp-wait", "N") ||
	    !write_file(PAGE_ALLOC "ignore-gfp-wait", "N") ||
	    !write_file(PAGE_ALLOC "ignore-gfp-highmem", "N") ||
	    !write_file(PAGE_ALLOC "min-order", "0") ||
	    !write_file(DEBUGFS "failslab/verbose", "0") ||
	    !write_file(PAGE_ALLOC "verbose", "0"))
		return "fault injection cannot be configured";
	return NULL;
}

FIXTURE_SETUP(fault)
{
	const char *reason = no_faults();

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(tell_and_wait(&self->target, variant->op, 10));
}

FIXTURE_TEARDOWN(fault)
{
	kill_target(&self->target);
	kview_bpf__destroy(self->skel);
}

/* Let this thread's @nth allocation from now on fail; 0: none. */
static void fail_nth(int fd, int nth)
{
	char text[12];

	snprintf(text, sizeof(text), "%d", nth);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		perror("fail-nth");
}

/* Is the failure that was asked for still to come? */
static bool not_failed_yet(int fd)
{
	char text[12] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) > 0;
}

/* Let each allocation fail, until one try needs fewer. Returns their number. */
static int fail_each(struct __test_metadata *_metadata,
		     FIXTURE_DATA(fault) * self, const struct hook *hook,
		     enum op op, const __u64 *slots_stay)
{
	char path[64];
	int nth, control, fd = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", gettid());
	control = open(path, O_RDWR | O_CLOEXEC);
	if (control < 0)
		return -1;
	for (nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		long links = nr_links();
		bool done;

		fail_nth(control, nth);
		fd = view(self->skel, hook, 0, self->target.pid);
		done = not_failed_yet(control);
		fail_nth(control, 0);
		if (fd >= 0) {
			/* An allocation that one can do without, such as a cache. */
			close(fd);
			if (done)
				break;
			continue;
		}
		EXPECT_EQ(-ENOMEM, fd)
		{
			TH_LOG("allocation %d", nth);
		}
		EXPECT_EQ(links, nr_links());
		/* Nothing is attached, and what was attached still is. */
		if (nth % 8 == 1) {
			__u64 before = slots_stay ? *slots_stay : 0;

			ASSERT_TRUE(tell_and_wait(&self->target, op, 10));
			if (slots_stay)
				EXPECT_LT(before, *slots_stay);
		}
		EXPECT_EQ(0, self->skel->bss->slots[0].count);
	}
	close(control);
	EXPECT_GT(MOST_ALLOCATIONS, nth);
	return nth;
}

static void works_now(struct __test_metadata *_metadata,
		      FIXTURE_DATA(fault) * self,
		      const FIXTURE_VARIANT(fault) * variant)
{
	int fd = view(self->skel, &variant->hook, 0, self->target.pid);
	__u64 expected;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell_and_wait(&self->target, variant->op, 10));
	EXPECT_LT(0, self->skel->bss->slots[0].count);
	expected = variant->expected ?: self->skel->bss->slots[0].count;
	EXPECT_EQ(expected, self->skel->bss->slots[0].count);
	EXPECT_EQ(0, self->skel->bss->slots[0].foreign);
	close(fd);
}

TEST_F_TIMEOUT(fault, first_attach, TIMEOUT)
{
	int n;

	set_slot(self->skel, 0, self->target.pid, false);
	n = fail_each(_metadata, self, &variant->hook, variant->op, NULL);
	TH_LOG("%d allocations", n);
	EXPECT_LT(5, n);
	works_now(_metadata, self, variant);
}

/* With a view that exists, which must stay as it is. */
TEST_F_TIMEOUT(fault, further_attach, TIMEOUT)
{
	const struct hook other = { RAW, "sys_exit" };
	int fd, n;

	set_slot(self->skel, 0, self->target.pid, false);
	set_slot(self->skel, 1, self->target.pid, false);
	fd = view(self->skel, &other, 1, self->target.pid);
	ASSERT_LE(0, fd);
	n = fail_each(_metadata, self, &variant->hook, variant->op,
		      &self->skel->bss->slots[1].count);
	TH_LOG("%d allocations", n);
	EXPECT_LT(1, n);
	works_now(_metadata, self, variant);
	close(fd);
}

/* --- functions --- */

FIXTURE(function)
{
	struct func_bpf *skel;
	struct target target;
	struct target other;
};

FIXTURE_VARIANT(function)
{
	enum family family;
	/* of the module, else of the kernel */
	bool module;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(function, kprobe) { .family = KPROBE };
FIXTURE_VARIANT_ADD(function, kretprobe) { .family = KRETPROBE };
FIXTURE_VARIANT_ADD(function, instruction) { .family = INSTRUCTION };
FIXTURE_VARIANT_ADD(function, multi) { .family = MULTI };
FIXTURE_VARIANT_ADD(function, session) { .family = SESSION };
FIXTURE_VARIANT_ADD(function, fentry) { .family = FENTRY };
FIXTURE_VARIANT_ADD(function, fexit) { .family = FEXIT };

FIXTURE_VARIANT_ADD(function, module_kprobe) {
	.family = KPROBE,
	.module = true,
};

FIXTURE_VARIANT_ADD(function, module_multi_return) {
	.family = MULTI_RETURN,
	.module = true,
};

FIXTURE_VARIANT_ADD(function, module_fexit) {
	.family = FEXIT,
	.module = true,
};

/* clang-format on */

static const char *name_of(bool module)
{
	return module ? "kview_testmod_call" : "__x64_sys_read";
}

FIXTURE_SETUP(function)
{
	const char *reason = no_faults();

	if (reason)
		SKIP(return, "%s", reason);
	if (variant->module) {
		int ret = load_module();

		ASSERT_TRUE(!ret || ret == -EEXIST);
	}
	self->skel = load_programs(name_of(variant->module), false, false);
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->other));
	settle(&self->target);
	settle(&self->other);
	set_func_slot(self->skel, 0, 0, false);
}

FIXTURE_TEARDOWN(function)
{
	kill_target(&self->target);
	kill_target(&self->other);
	func_bpf__destroy(self->skel);
	for (int i = 0; i < 100 && variant->module && unload_module(); i++)
		usleep(100000);
}

/*
 * Attach to the first process, and then to the second by a link that exists, with
 * each allocation failing: nothing is attached then, and at last all is.
 */
TEST_F_TIMEOUT(function, attach_and_add, TIMEOUT)
{
	const char *name = name_of(variant->module);
	enum op op = variant->module ? OP_CALL : OP_READ;
	struct target *targets[] = { &self->target, &self->other };
	struct slot *slot = &self->skel->bss->slots[0];
	__u32 pid = self->other.pid;
	int nth, control, fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", gettid());
	control = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, control);
	for (int add = 0; add < 2; add++) {
		for (nth = 1; nth < MOST_ALLOCATIONS; nth++) {
			long links = nr_links();
			bool done;
			int ret;

			fail_nth(control, nth);
			if (add)
				ret = link_targets(fd, BPF_LINK_TARGETS_ADD,
						   &pid, 1, 0);
			else
				ret = view_func(self->skel, variant->family,
						name, 0, self->target.pid);
			done = not_failed_yet(control);
			fail_nth(control, 0);
			if (!add)
				fd = ret;
			if (ret >= 0 && done)
				break;
			if (ret >= 0 && add)
				EXPECT_EQ(0,
					  link_targets(fd, BPF_LINK_TARGETS_DEL,
						       &pid, 1, 0));
			if (ret >= 0 && !add)
				close(fd);
			if (ret >= 0)
				continue;
			EXPECT_EQ(-ENOMEM, ret)
			{
				TH_LOG("allocation %d", nth);
			}
			EXPECT_EQ(links, nr_links());
			if (nth % 8 != 1)
				continue;
			slot->count = 0;
			ASSERT_TRUE(tell_and_wait(targets[add], op, 10));
			EXPECT_EQ(0, slot->count);
		}
		TH_LOG("%d allocations", nth);
		EXPECT_LT(5, nth);
		EXPECT_GT(MOST_ALLOCATIONS, nth);
	}
	slot->count = 0;
	ASSERT_TRUE(tell_and_wait(&self->target, op, 10));
	ASSERT_TRUE(tell_and_wait(&self->other, op, 10));
	EXPECT_EQ(20 * events_of(variant->family), slot->count);
	close(control);
	close(fd);
}

/* --- modules that come --- */

/* Two processes with a hook that has sites in the module. */
FIXTURE(coming)
{
	struct kview_bpf *skel;
	struct target targets[2];
	int fd;
	int control;
};

FIXTURE_VARIANT(coming)
{
	struct hook hook;
	/* for everybody, too */
	bool in_company;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(coming, raw) {
	.hook = { RAW, "mmap_lock_start_locking" },
};

FIXTURE_VARIANT_ADD(coming, raw_in_company) {
	.hook = { RAW, "mmap_lock_start_locking" },
	.in_company = true,
};

FIXTURE_VARIANT_ADD(coming, classic) {
	.hook = { CLASSIC, "mmap_lock:mmap_lock_released" },
};

/* clang-format on */

/*
 * Let fail only what that function of the kernel and those that it calls allocate:
 * jump labels and static calls warn if they have no memory for a module.
 */
static bool fail_below(const char *function)
{
	static const char *const attributes[] = { DEBUGFS "failslab/",
						  PAGE_ALLOC };
	__u64 start = 0, end = ULONG_MAX;
	char path[96], text[24];

	if (function) {
		start = address_of(function);
		end = start + size_of(start);
	}
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		snprintf(path, sizeof(path), "%srequire-start", attributes[i]);
		snprintf(text, sizeof(text), "0x%llx", start);
		if ((function && !start) || !write_file(path, text))
			return false;
		snprintf(path, sizeof(path), "%srequire-end", attributes[i]);
		snprintf(text, sizeof(text), "0x%llx", end);
		if (!write_file(path, text))
			return false;
	}
	return true;
}

FIXTURE_SETUP(coming)
{
	const char *reason = no_faults();
	__u32 pid;

	if (!reason && access(PAGE_ALLOC "require-start", W_OK))
		reason = "the kernel has no fault injection by function";
	if (reason)
		SKIP(return, "%s", reason);
	unload_module();
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	for (int i = 0; i < 2; i++)
		ASSERT_TRUE(start_target(&self->targets[i]));
	set_slot(self->skel, 0, 0, false);
	self->fd = view(self->skel, &variant->hook, 0, self->targets[0].pid);
	ASSERT_LE(0, self->fd);
	pid = self->targets[1].pid;
	ASSERT_EQ(0, link_targets(self->fd, BPF_LINK_TARGETS_ADD, &pid, 1, 0));
	self->control = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->control);
}

FIXTURE_TEARDOWN(coming)
{
	fail_below(NULL);
	close(self->control);
	close(self->fd);
	for (int i = 0; i < 2; i++)
		kill_target(&self->targets[i]);
	kview_bpf__destroy(self->skel);
	for (int i = 0; i < 100 && unload_module() == -EWOULDBLOCK; i++)
		usleep(100000);
}

static int pages_of_link(int fd)
{
	struct bpf_link_info info = {};

	return link_info(fd, &info) ? -1 : (int)info.kview.nr_pages;
}

/* How many events each of the processes has when the module works for it. */
static void steps_count(struct __test_metadata *_metadata,
			FIXTURE_DATA(coming) * self,
			const FIXTURE_VARIANT(coming) * variant)
{
	struct slot *slots = self->skel->bss->slots;

	for (int i = 0; i < 2; i++) {
		struct bpf_link *link = NULL;
		pid_t pid = self->targets[i].pid;

		set_slot(self->skel, 0, pid, false);
		set_slot(self->skel, 1, pid, true);
		if (variant->in_company) {
			link = stock(self->skel, &variant->hook, 1);
			ASSERT_NE(NULL, link);
		}
		ASSERT_TRUE(tell_and_wait(&self->targets[i], OP_STEP, 10));
		bpf_link__destroy(link);
		EXPECT_LE(10, slots[0].count);
		if (variant->in_company)
			EXPECT_EQ(slots[1].count, slots[0].count);
		EXPECT_EQ(0, slots[0].foreign);
	}
}

/* A module whose sites views cannot follow is not loaded; one that is has them. */
TEST_F_TIMEOUT(coming, all_sites_or_no_module, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int nth, refused = 0, pages;

	/* The first one makes the tables of the module area, which stay. */
	ASSERT_EQ(0, load_module());
	steps_count(_metadata, self, variant);
	ASSERT_EQ(0, unload_module());
	pages = pages_of_link(self->fd);
	ASSERT_LT(0, pages);
	ASSERT_TRUE(fail_below("kview_module_notify"));
	for (nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		bool done;
		int ret;

		fail_nth(self->control, nth);
		ret = load_module();
		done = not_failed_yet(self->control);
		fail_nth(self->control, 0);
		if (ret) {
			EXPECT_EQ(-ENOMEM, ret)
			{
				TH_LOG("allocation %d", nth);
			}
			EXPECT_EQ(-ENOENT, unload_module());
			refused++;
			/* The kernel's own sites are as they were. */
			for (int i = 0; i < 2; i++) {
				set_slot(self->skel, 0, self->targets[i].pid,
					 false);
				ASSERT_TRUE(tell_and_wait(&self->targets[i],
							  OP_MMAP, 2));
				EXPECT_LT(0, slots[0].count);
				EXPECT_EQ(0, slots[0].foreign);
			}
		} else {
			steps_count(_metadata, self, variant);
			EXPECT_EQ(0, unload_module());
		}
		EXPECT_EQ(pages, pages_of_link(self->fd))
		{
			TH_LOG("allocation %d: %d", nth, ret);
		}
		if (!ret && done)
			break;
	}
	TH_LOG("%d allocations, %d times not loaded", nth, refused);
	EXPECT_LT(4, nth);
	EXPECT_LT(2, refused);
	EXPECT_GT(MOST_ALLOCATIONS, nth);
	ASSERT_EQ(0, load_module());
	steps_count(_metadata, self, variant);
	EXPECT_EQ(0, unload_module());
}

/* --- targets that are added --- */

TEST_F_TIMEOUT(fault, added_target, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[0];
	struct target other, third;
	int nth, control, fd;
	char path[64];

	ASSERT_TRUE(start_target(&other));
	ASSERT_TRUE(start_target(&third));
	settle(&other);
	settle(&third);
	fd = view(self->skel, &variant->hook, 0, self->target.pid);
	ASSERT_LE(0, fd);
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", gettid());
	control = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, control);

	for (nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		__u32 pids[] = { other.pid, third.pid };
		struct bpf_link_info info = {};
		bool done;
		int ret;

		fail_nth(control, nth);
		ret = link_targets(fd, BPF_LINK_TARGETS_ADD, pids, 2, 0);
		done = not_failed_yet(control);
		fail_nth(control, 0);
		ASSERT_EQ(0, link_info(fd, &info));
		EXPECT_EQ(ret ? 1 : 3, info.kview.count);
		if (!ret) {
			EXPECT_EQ(0, link_targets(fd, BPF_LINK_TARGETS_DEL,
						  pids, 2, 0));
			if (done)
				break;
			continue;
		}
		EXPECT_EQ(-ENOMEM, ret)
		{
			TH_LOG("allocation %d", nth);
		}
		if (nth % 8 == 1) {
			slot->count = 0;
			ASSERT_TRUE(tell_and_wait(&third, variant->op, 10));
			ASSERT_TRUE(tell_and_wait(&other, variant->op, 10));
			EXPECT_EQ(0, slot->count);
		}
	}
	TH_LOG("%d allocations", nth);
	EXPECT_LT(10, nth);
	EXPECT_GT(MOST_ALLOCATIONS, nth);
	close(control);
	close(fd);
	kill_target(&other);
	kill_target(&third);
}

/* --- fork and exec of a target --- */

#define READS 10

/* What an actor has done. */
struct deed {
	int error;
	int status;
	/* The failure was not reached. */
	bool spared;
};

FIXTURE(actor)
{
	struct kview_bpf *skel;
	struct func_bpf *funcs;
	pid_t pid;
	int sock;
	int fd;
	int more;
	int func_fds[3];
};

FIXTURE_VARIANT(actor)
{
	/* Flags of the clone() by which it makes a child. */
	int clone_flags;
	/* The child executes a program, with the failure in there. */
	bool executes;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(actor, fork) {
	.clone_flags = SIGCHLD,
};

FIXTURE_VARIANT_ADD(actor, clone_vm) {
	.clone_flags = CLONE_VM | SIGCHLD,
};

FIXTURE_VARIANT_ADD(actor, exec) {
	.clone_flags = SIGCHLD,
	.executes = true,
};

/* The child shares a view with its parent, and must get one of its own. */
FIXTURE_VARIANT_ADD(actor, exec_of_vfork) {
	.clone_flags = CLONE_VM | CLONE_VFORK | SIGCHLD,
	.executes = true,
};

/* clang-format on */

static int own_control(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/fail-nth",
		 syscall(SYS_gettid));
	return open(path, O_RDWR | O_CLOEXEC);
}

static int child_nth;

static int child_of_actor(void *executes)
{
	char number[12];

	if (!executes) {
		reads(READS);
		return 0;
	}
	snprintf(number, sizeof(number), "%d", READS);
	fail_nth(own_control(), child_nth);
	execl("/proc/self/exe", "reader", "--reads", number, (char *)NULL);
	return 1;
}

static void act(int sock, int clone_flags, bool executes)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *self = __builtin_thread_pointer();
	int control = own_control(), nth;

	/* A task whose rseq area cannot be written to, as a page cannot be
	 * copied after fork, is killed.
	 */
	syscall(SYS_rseq, self + __rseq_offset, sizeof(struct rseq),
		RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
	zero_fd = open("/dev/zero", O_RDONLY);
	while (recv(sock, &nth, sizeof(nth), 0) == sizeof(nth)) {
		struct deed deed = {};
		pid_t pid;

		child_nth = nth;
		if (!executes)
			fail_nth(control, nth);
		pid = clone(child_of_actor, stack + STACK_SIZE, clone_flags,
			    executes ? stack : NULL);
		if (pid < 0)
			deed.error = errno;
		if (!executes) {
			deed.spared = not_failed_yet(control);
			fail_nth(control, 0);
		}
		if (pid > 0)
			waitpid(pid, &deed.status, 0);
		send(sock, &deed, sizeof(deed), 0);
	}
	_exit(0);
}

static const enum family actor_families[] = { MULTI, FENTRY, INSTRUCTION };

FIXTURE_SETUP(actor)
{
	const struct hook hook = { CLASSIC, "syscalls:sys_enter_read" };
	const struct hook more = { RAW, "sched_process_exit" };
	const char *reason = no_faults();
	int pair[2];

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	self->sock = pair[0];
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		act(pair[1], variant->clone_flags, variant->executes);
	}
	close(pair[1]);
	self->fd = view_program_flags(self->skel->progs.classic, &hook, 0,
				      self->pid, BPF_F_VIEW_FOLLOW_FORK);
	ASSERT_LE(0, self->fd);
	/* So that what there is to be copied can be copied in part. */
	self->more = view_program_flags(self->skel->progs.raw, &more, 1,
					self->pid, BPF_F_VIEW_FOLLOW_FORK);
	ASSERT_LE(0, self->more);
	self->funcs = load_programs("__x64_sys_read", false, false);
	ASSERT_NE(NULL, self->funcs);
	for (int i = 0; i < 3; i++) {
		enum family family = actor_families[i];
		struct bpf_program *program = func_program(self->funcs, family);

		int fd = view_func_program(program, family, "__x64_sys_read", i,
					   self->pid, BPF_F_VIEW_FOLLOW_FORK);

		ASSERT_LE(0, fd);
		self->func_fds[i] = fd;
	}
}

FIXTURE_TEARDOWN(actor)
{
	close(self->fd);
	close(self->more);
	for (int i = 0; i < 3; i++)
		close(self->func_fds[i]);
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	close(self->sock);
	kview_bpf__destroy(self->skel);
	func_bpf__destroy(self->funcs);
}

/* Whatever has run has been traced. */
TEST_F_TIMEOUT(actor, traced_or_not_at_all, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[0];
	int nth, ran = 0, failed = 0, died = 0;

	for (nth = 1; nth < MOST_ALLOCATIONS; nth++) {
		struct bpf_link_info info = {};
		struct deed deed;

		slot->count = 0;
		for (int i = 0; i < 3; i++)
			set_func_slot(self->funcs, i, 0, false);
		ASSERT_EQ(sizeof(nth), send(self->sock, &nth, sizeof(nth), 0));
		ASSERT_EQ(sizeof(deed),
			  recv(self->sock, &deed, sizeof(deed), 0))
		{
			TH_LOG("the actor is gone, allocation %d", nth);
		}
		if (deed.error) {
			EXPECT_TRUE(deed.error == ENOMEM ||
				    deed.error == EAGAIN);
			EXPECT_EQ(0, slot->count);
			failed++;
		} else if (WIFSIGNALED(deed.status)) {
			/* It was too late for exec to fail, or it was the
			 * program that had no memory.
			 */
			died++;
		} else if (WEXITSTATUS(deed.status) == 1) {
			/* exec answers ENOMEM, E2BIG, EFAULT and others. */
			failed++;
		} else if (WEXITSTATUS(deed.status) == 127) {
			/* The loader of the program had no memory. */
			died++;
		} else {
			EXPECT_LE(READS, slot->count)
			{
				TH_LOG("allocation %d", nth);
			}
			for (int i = 0; i < 3; i++) {
				EXPECT_EQ(slot->count,
					  self->funcs->bss->slots[i].count)
				{
					TH_LOG("allocation %d, %s", nth,
					       family_names[actor_families[i]]);
				}
			}
			ran++;
		}
		/* Nothing of what failed is left. */
		for (int i = 0; i < 100; i++) {
			ASSERT_EQ(0, link_info(self->fd, &info));
			if (info.kview.count == 1)
				break;
			usleep(10000);
		}
		EXPECT_EQ(1, info.kview.count);
		if (deed.spared || WEXITSTATUS(deed.status) == SPARED)
			break;
	}
	TH_LOG("%d allocations: %d failed, %d died, %d ran traced", nth, failed,
	       died, ran);
	EXPECT_GT(MOST_ALLOCATIONS, nth);
	EXPECT_LT(5, failed);
}
