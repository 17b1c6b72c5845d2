// SPDX-License-Identifier: GPL-2.0
/*
 * The system-call interface: each error, in the order in which they are looked
 * for; what a link says about itself; the ways to name a target and to end a
 * link.
 */
#include "kview_test.h"
#include <linux/capability.h>
#include <sys/resource.h>

#define CAP(cap) (1ULL << (cap))

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

static const struct hook raw_hook = { RAW, "sys_enter" };
static const struct hook btf_hook = { BTF, "sys_enter" };
static const struct hook classic_hook = { CLASSIC, "syscalls:sys_enter_read" };

/* Make these the capabilities that count. */
static int set_capabilities(__u64 capabilities)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[0].effective = capabilities;
	data[1].effective = capabilities >> 32;
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* A kernel thread. */
static pid_t kthreadd(void)
{
	return 2;
}

FIXTURE(attach)
{
	struct kview_bpf *skel;
	struct target target;
	pid_t pid;
	long links;
};

FIXTURE_SETUP(attach)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	self->links = nr_links();
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	ASSERT_TRUE(start_target(&self->target));
	self->pid = self->target.pid;
	settle(&self->target);
}

FIXTURE_TEARDOWN(attach)
{
	kill_target(&self->target);
	kview_bpf__destroy(self->skel);
}

#define FD(program) bpf_program__fd(self->skel->progs.program)

/* --- errors --- */

TEST_F_TIMEOUT(attach, einval_unknown_view_flag, TIMEOUT)
{
	for (int bit = 3; bit < 32; bit++)
		EXPECT_EQ(-EINVAL,
			  link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0,
				      self->pid, 1U << bit));
	/* Looked at first. */
	EXPECT_EQ(-EINVAL, link_create(-1, BPF_TRACE_RAW_TP, "sys_enter", 0,
				       self->pid, 8));
}

TEST_F_TIMEOUT(attach, einval_link_create_flags_and_target, TIMEOUT)
{
	const char *name = "sys_enter";
	union bpf_attr attr = {};

	attr.link_create.prog_fd = FD(raw);
	attr.link_create.attach_type = BPF_TRACE_RAW_TP;
	attr.link_create.tracepoint.name = (uintptr_t)name;
	attr.link_create.view.pid = self->pid;
	attr.link_create.flags = 1;
	EXPECT_EQ(-1, sys_bpf(BPF_LINK_CREATE, &attr));
	EXPECT_EQ(EINVAL, errno);
	attr.link_create.prog_fd = -1;
	EXPECT_EQ(-1, sys_bpf(BPF_LINK_CREATE, &attr));
	EXPECT_EQ(EINVAL, errno);

	attr.link_create.prog_fd = FD(raw);
	attr.link_create.flags = 0;
	attr.link_create.target_fd = 1;
	EXPECT_EQ(-1, sys_bpf(BPF_LINK_CREATE, &attr));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F_TIMEOUT(attach, ebadf_program, TIMEOUT)
{
	int map = bpf_map__fd(self->skel->maps.bss);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	EXPECT_EQ(-EBADF, link_create(-1, BPF_TRACE_RAW_TP, "sys_enter", 0,
				      self->pid, 0));
	/* As ever: a file that is no program. */
	EXPECT_EQ(-EINVAL, link_create(fd, BPF_TRACE_RAW_TP, "sys_enter", 0,
				       self->pid, 0));
	EXPECT_EQ(-EINVAL, link_create(map, BPF_TRACE_RAW_TP, "sys_enter", 0,
				       self->pid, 0));
	/* Before all that concerns hook and target. */
	EXPECT_EQ(-EBADF, link_create(-1, 0, "no such", 0, 1 << 30, 0));
	close(fd);
}

TEST_F_TIMEOUT(attach, eperm, TIMEOUT)
{
	const struct {
		__u64 capabilities;
		bool enough;
	} cases[] = {
		{ 0, false },
		{ CAP(CAP_BPF), false },
		{ CAP(CAP_PERFMON), false },
		{ CAP(CAP_BPF) | CAP(CAP_PERFMON), true },
		{ CAP(CAP_SYS_ADMIN), true },
		{ ~(CAP(CAP_SYS_ADMIN) | CAP(CAP_BPF)) &
			  (CAP(CAP_LAST_CAP + 1) - 1),
		  false },
	};
	const struct hook *hooks[] = { &raw_hook, &btf_hook, &classic_hook };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid = fork();
		int status;

		ASSERT_LE(0, pid);
		if (!pid) {
			if (set_capabilities(cases[i].capabilities))
				_exit(100);
			for (size_t h = 0; h < ARRAY_SIZE(hooks); h++) {
				int fd = view(self->skel, hooks[h], 0,
					      self->pid);

				if (cases[i].enough && fd < 0)
					_exit(1 + h);
				if (!cases[i].enough && fd != -EPERM)
					_exit(1 + h);
			}
			/* Looked at before type, hook and target. */
			if (!cases[i].enough &&
			    (link_create(FD(a_uprobe), 0, "no such", 0, 1 << 30,
					 0) != -EPERM ||
			     link_create(FD(raw), BPF_TRACE_RAW_TP, "no such",
					 0, 1 << 30, 0) != -EPERM))
				_exit(10);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status)
		{
			TH_LOG("case %zu", i);
		}
	}
}

TEST_F_TIMEOUT(attach, eopnotsupp_program_type, TIMEOUT)
{
	EXPECT_EQ(-EOPNOTSUPP,
		  link_create(FD(a_uprobe), BPF_TRACE_UPROBE_MULTI,
			      "sched:sched_switch", 0, self->pid, 0));
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(an_iterator), BPF_TRACE_ITER,
					   NULL, 0, self->pid, 0));
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(a_perf_event), BPF_PERF_EVENT,
					   NULL, 0, self->pid, 0));
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(a_socket_filter), 0, "sys_enter",
					   0, self->pid, 0));
	/* Before hook and target. */
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(a_uprobe), BPF_PERF_EVENT,
					   "no such", 0, 1 << 30, 0));
}

TEST_F_TIMEOUT(attach, einval_attach_type, TIMEOUT)
{
	const struct {
		int fd;
		int right;
		const char *name;
	} cases[] = {
		{ FD(raw), BPF_TRACE_RAW_TP, "sys_enter" },
		{ FD(btf), BPF_TRACE_RAW_TP, NULL },
		{ FD(classic), BPF_PERF_EVENT, "syscalls:sys_enter_read" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int type = 0; type < __MAX_BPF_ATTACH_TYPE; type++) {
			int fd;

			if (type == cases[i].right)
				continue;
			fd = link_create(cases[i].fd, type, cases[i].name, 0,
					 self->pid, 0);
			EXPECT_EQ(-EINVAL, fd)
			{
				TH_LOG("program %zu, attach type %d", i, type);
			}
		}
		EXPECT_EQ(-EINVAL, link_create(cases[i].fd, -1, cases[i].name,
					       0, self->pid, 0));
		/* Before hook and target. */
		EXPECT_EQ(-EINVAL, link_create(cases[i].fd, BPF_TRACE_FENTRY,
					       "no such", 0, 1 << 30, 0));
	}
}

TEST_F_TIMEOUT(attach, efault_name, TIMEOUT)
{
	EXPECT_EQ(-EFAULT, link_create(FD(raw), BPF_TRACE_RAW_TP, (char *)8, 0,
				       self->pid, 0));
	EXPECT_EQ(-EFAULT, link_create(FD(classic), BPF_PERF_EVENT, (char *)8,
				       0, self->pid, 0));
	EXPECT_EQ(-EFAULT, link_create(FD(raw), BPF_TRACE_RAW_TP,
				       (char *)-4096L, 0, self->pid, 0));
	EXPECT_EQ(-EFAULT, link_create(FD(raw), BPF_TRACE_RAW_TP, NULL, 0,
				       self->pid, 0));
	EXPECT_EQ(-EFAULT, link_create(FD(raw), BPF_TRACE_RAW_TP, (char *)8, 0,
				       1 << 30, 0));
}

TEST_F_TIMEOUT(attach, enoent_name, TIMEOUT)
{
	char *endless = malloc(1 << 16);

	memset(endless, 'x', 1 << 16);
	endless[(1 << 16) - 1] = 0;
	EXPECT_EQ(-ENOENT, link_create(FD(raw), BPF_TRACE_RAW_TP, "no_such", 0,
				       self->pid, 0));
	EXPECT_EQ(-ENOENT,
		  link_create(FD(raw), BPF_TRACE_RAW_TP, "", 0, self->pid, 0));
	EXPECT_EQ(-ENOENT, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_ente", 0,
				       self->pid, 0));
	EXPECT_EQ(-ENOENT, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter_",
				       0, self->pid, 0));
	EXPECT_EQ(-ENOENT, link_create(FD(classic), BPF_PERF_EVENT, "no:such",
				       0, self->pid, 0));
	EXPECT_EQ(-ENOENT,
		  link_create(FD(classic), BPF_PERF_EVENT,
			      "sched:sys_enter_read", 0, self->pid, 0));
	EXPECT_EQ(-ENOENT, link_create(FD(classic), BPF_PERF_EVENT,
				       "syscalls:no_such", 0, self->pid, 0));
	EXPECT_EQ(-ENOENT, link_create(FD(classic), BPF_PERF_EVENT, "syscalls",
				       0, self->pid, 0));
	EXPECT_EQ(-ENOENT, link_create(FD(raw), BPF_TRACE_RAW_TP, endless, 0,
				       self->pid, 0));
	EXPECT_EQ(-ENOENT, link_create(FD(raw), BPF_TRACE_RAW_TP, "no_such", 0,
				       1 << 30, 0));
	free(endless);
}

TEST_F_TIMEOUT(attach, einval_name_for_tp_btf, TIMEOUT)
{
	EXPECT_EQ(-EINVAL, link_create(FD(btf), BPF_TRACE_RAW_TP, "sys_enter",
				       0, self->pid, 0));
	EXPECT_EQ(-EINVAL, link_create(FD(btf), BPF_TRACE_RAW_TP, "sys_enter",
				       0, 1 << 30, 0));
}

TEST_F_TIMEOUT(attach, eopnotsupp_hook, TIMEOUT)
{
	/* In the middle of a switch between processes. */
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(raw), BPF_TRACE_RAW_TP,
					   "tlb_flush", 0, self->pid, 0));
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(classic), BPF_PERF_EVENT,
					   "tlb:tlb_flush", 0, self->pid, 0));
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(raw), BPF_TRACE_RAW_TP,
					   "tlb_flush", 0, 1 << 30, 0));
}

/* The kernel log says which hook could not be served. */
TEST_F_TIMEOUT(attach, refused_hook_is_named, TIMEOUT)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char line[8192];
	bool named = false;
	ssize_t n;

	ASSERT_LE(0, fd);
	lseek(fd, 0, SEEK_END);
	EXPECT_EQ(-EOPNOTSUPP, link_create(FD(raw), BPF_TRACE_RAW_TP,
					   "tlb_flush", 0, self->pid, 0));
	while ((n = read(fd, line, sizeof(line) - 1)) > 0) {
		line[n] = 0;
		named |= !!strstr(line, "tlb_flush");
	}
	EXPECT_TRUE(named);
	close(fd);
}

/* A program that reads beyond the context is refused as it is elsewhere. */
TEST_F_TIMEOUT(attach, context_too_short, TIMEOUT)
{
	const char *name = "sys_enter";
	union bpf_attr attr = {};
	struct bpf_link *link;

	attr.raw_tracepoint.prog_fd = FD(raw_far);
	attr.raw_tracepoint.name = (uintptr_t)name;
	EXPECT_EQ(-1, sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &attr));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-EINVAL, link_create(FD(raw_far), BPF_TRACE_RAW_TP,
				       "sys_enter", 0, self->pid, 0));

	libbpf_set_print(NULL);
	link = bpf_program__attach_tracepoint(self->skel->progs.classic_far,
					      "sched", "sched_switch");
	EXPECT_EQ(NULL, link);
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-EACCES, link_create(FD(classic_far), BPF_PERF_EVENT,
				       "sched:sched_switch", 0, self->pid, 0));
	EXPECT_EQ(-EACCES,
		  link_create(FD(classic_far), BPF_PERF_EVENT,
			      "syscalls:sys_enter_read", 0, self->pid, 0));
	EXPECT_EQ(-EACCES,
		  link_create(FD(syscall_enter_ctx), BPF_PERF_EVENT,
			      "syscalls:sys_enter_close", 0, self->pid, 0));
}

TEST_F_TIMEOUT(attach, esrch_no_such_process, TIMEOUT)
{
	const struct hook *hooks[] = { &raw_hook, &btf_hook, &classic_hook };

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		EXPECT_EQ(-ESRCH, view(self->skel, hooks[i], 0, 1 << 30));
		EXPECT_EQ(-ESRCH, view(self->skel, hooks[i], 0, -1));
		EXPECT_EQ(-ESRCH, view(self->skel, hooks[i], 0, -self->pid));
	}
}

TEST_F_TIMEOUT(attach, esrch_zombie, TIMEOUT)
{
	siginfo_t info;
	int pidfd = syscall(SYS_pidfd_open, self->pid, 0);

	ASSERT_LE(0, pidfd);
	ASSERT_TRUE(tell(&self->target, OP_EXIT, 0));
	ASSERT_EQ(0, waitid(P_PID, self->pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(-ESRCH, view(self->skel, &raw_hook, 0, self->pid));
	EXPECT_EQ(-ESRCH, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0,
				      pidfd, BPF_F_VIEW_PIDFD));
	waitpid(self->pid, NULL, 0);
	EXPECT_EQ(-ESRCH, view(self->skel, &raw_hook, 0, self->pid));
	EXPECT_EQ(-ESRCH, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0,
				      pidfd, BPF_F_VIEW_PIDFD));
	self->target.reap = false;
	close(pidfd);
}

static void *say_tid(void *pipe)
{
	pid_t tid = gettid();

	if (write(((int *)pipe)[1], &tid, sizeof(tid)) < 0)
		return pipe;
	pause();
	return NULL;
}

TEST_F_TIMEOUT(attach, esrch_not_the_leader, TIMEOUT)
{
	int fds[2], fd;
	pid_t pid, tid;

	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, say_tid, fds);
		pause();
		_exit(0);
	}
	ASSERT_EQ(sizeof(tid), read(fds[0], &tid, sizeof(tid)));
	EXPECT_NE(pid, tid);
	EXPECT_EQ(-ESRCH, view(self->skel, &raw_hook, 0, tid));
	fd = view(self->skel, &raw_hook, 0, pid);
	EXPECT_LE(0, fd);
	close(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST_F_TIMEOUT(attach, ebadf_pidfd, TIMEOUT)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	EXPECT_EQ(-EBADF, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0,
				      null, BPF_F_VIEW_PIDFD));
	EXPECT_EQ(-EBADF, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0,
				      1000000, BPF_F_VIEW_PIDFD));
	EXPECT_EQ(-EBADF, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0,
				      -1, BPF_F_VIEW_PIDFD));
	close(null);
}

TEST_F_TIMEOUT(attach, einval_kernel_thread, TIMEOUT)
{
	int pidfd = syscall(SYS_pidfd_open, kthreadd(), 0);

	ASSERT_LE(0, pidfd);
	EXPECT_EQ(-EINVAL, view(self->skel, &raw_hook, 0, kthreadd()));
	EXPECT_EQ(-EINVAL, view(self->skel, &btf_hook, 0, kthreadd()));
	EXPECT_EQ(-EINVAL, view(self->skel, &classic_hook, 0, kthreadd()));
	EXPECT_EQ(-EINVAL, link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter",
				       0, pidfd, BPF_F_VIEW_PIDFD));
	close(pidfd);
}

/* 64 programs on a hook of a process, no more; others are not concerned. */
#define MAX_PROGRAMS 64

TEST_F_TIMEOUT(attach, e2big, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int fds[MAX_PROGRAMS], other;
	struct target second;

	ASSERT_TRUE(start_target(&second));
	for (int i = 0; i < MAX_PROGRAMS; i++) {
		set_slot(self->skel, i, self->pid, false);
		fds[i] = view(self->skel, &raw_hook, i, self->pid);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-E2BIG, view(self->skel, &raw_hook, MAX_PROGRAMS, self->pid));
	/* The same hook, another type of program. */
	EXPECT_EQ(-E2BIG, view(self->skel, &btf_hook, MAX_PROGRAMS, self->pid));

	other = view(self->skel, &(struct hook){ RAW, "sys_exit" },
		     MAX_PROGRAMS, self->pid);
	EXPECT_LE(0, other);
	close(other);
	other = view(self->skel, &raw_hook, MAX_PROGRAMS, second.pid);
	EXPECT_LE(0, other);
	close(other);

	/* What was refused has changed nothing. */
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	for (int i = 0; i < MAX_PROGRAMS; i++) {
		EXPECT_EQ(12, slots[i].count);
		EXPECT_EQ(0, slots[i].foreign);
	}

	/* One less makes room for one more. */
	close(fds[17]);
	fds[17] = view(self->skel, &raw_hook, MAX_PROGRAMS, self->pid);
	EXPECT_LE(0, fds[17]);
	for (int i = 0; i < MAX_PROGRAMS; i++)
		close(fds[i]);
	kill_target(&second);
}

/* Many of these are loaded: only the program that is needed. */
static struct kview_bpf *load_classic(void)
{
	struct kview_bpf *skel = kview_bpf__open();
	struct bpf_program *program;

	if (!skel)
		return NULL;
	bpf_object__for_each_program(program, skel->obj)
		bpf_program__set_autoload(program,
					  program == skel->progs.classic);
	if (!kview_bpf__load(skel))
		return skel;
	kview_bpf__destroy(skel);
	return NULL;
}

TEST_F_TIMEOUT(attach, e2big_classic, TIMEOUT)
{
	const struct rlimit many_files = { .rlim_cur = 8192, .rlim_max = 8192 };
	struct kview_bpf *skels[MAX_PROGRAMS + 1];
	int fds[MAX_PROGRAMS];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &many_files));
	for (int i = 0; i <= MAX_PROGRAMS; i++) {
		skels[i] = load_classic();
		ASSERT_NE(NULL, skels[i]);
		set_slot(skels[i], 0, self->pid, false);
		if (i == MAX_PROGRAMS)
			break;
		fds[i] = view(skels[i], &classic_hook, 0, self->pid);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-E2BIG,
		  view(skels[MAX_PROGRAMS], &classic_hook, 0, self->pid));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	for (int i = 0; i < MAX_PROGRAMS; i++) {
		EXPECT_EQ(10, skels[i]->bss->slots[0].count);
		close(fds[i]);
	}
	for (int i = 0; i <= MAX_PROGRAMS; i++)
		kview_bpf__destroy(skels[i]);
}

/* As for a perf event, a classic program is attached to a tracepoint once. */
TEST_F_TIMEOUT(attach, eexist_classic_twice, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[0];
	int fd = view(self->skel, &classic_hook, 0, self->pid), other;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EEXIST, view(self->skel, &classic_hook, 0, self->pid));
	EXPECT_EQ(-EEXIST, view(self->skel, &classic_hook, 1, self->pid));
	/* Elsewhere it may be. */
	other = view(self->skel,
		     &(struct hook){ CLASSIC, "syscalls:sys_exit_read" }, 1,
		     self->pid);
	EXPECT_LE(0, other);
	close(other);
	other = view(self->skel, &classic_hook, 1, getpid());
	EXPECT_LE(0, other);
	close(other);
	set_slot(self->skel, 0, self->pid, false);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(10, slot->count);
	close(fd);
	fd = view(self->skel, &classic_hook, 0, self->pid);
	EXPECT_LE(0, fd);
	close(fd);
}

static int pause_in_child(void *unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pause();
	return 0;
}

/* Two processes that share their memory are two targets. */
TEST_F_TIMEOUT(attach, shared_memory, TIMEOUT)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid = clone(pause_in_child, stack + STACK_SIZE,
			  CLONE_VM | SIGCHLD, NULL);
	struct slot *slots = self->skel->bss->slots;
	const pid_t pids[2] = { getpid(), pid };
	struct bpf_link_info infos[2];
	int fds[2], both;

	ASSERT_LT(0, pid);
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	set_slot(self->skel, 0, getpid(), false);
	set_slot(self->skel, 1, pid, false);
	for (int first = 0; first < 2; first++) {
		fds[first] =
			view(self->skel, &classic_hook, first, pids[first]);
		ASSERT_LE(0, fds[first]);
		fds[!first] =
			view(self->skel, &classic_hook, !first, pids[!first]);
		ASSERT_LE(0, fds[!first]);
		/* Their view is one, and its pages are counted once. */
		both = view(self->skel, &raw_hook, 2, pids[first]);
		ASSERT_LE(0, both);
		ASSERT_EQ(0, link_targets(both, BPF_LINK_TARGETS_ADD,
					  (__u32[]){ pids[!first] }, 1, 0));
		memset(infos, 0, sizeof(infos));
		ASSERT_EQ(0, link_info(both, &infos[0]));
		ASSERT_EQ(0, link_info(fds[0], &infos[1]));
		EXPECT_EQ(2, infos[0].kview.count);
		EXPECT_EQ(1, infos[1].kview.count);
		EXPECT_LT(0, infos[1].kview.nr_pages);
		EXPECT_EQ(infos[1].kview.nr_pages, infos[0].kview.nr_pages);
		close(both);
		slots[0].count = 0;
		reads(10);
		EXPECT_EQ(10, slots[0].count);
		close(fds[first]);
		reads(10);
		EXPECT_EQ(first ? 20 : 10, slots[0].count);
		close(fds[!first]);
	}
	EXPECT_EQ(0, slots[0].foreign);
	EXPECT_EQ(0, slots[1].foreign);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Whatever was refused above has left no link behind. */
TEST_F_TIMEOUT(attach, refusals_leave_nothing, TIMEOUT)
{
	link_create(FD(raw), BPF_TRACE_RAW_TP, "no_such", 0, self->pid, 0);
	link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0, 1 << 30, 0);
	link_create(FD(classic), BPF_PERF_EVENT, "tlb:tlb_flush", 0, self->pid,
		    0);
	link_create(FD(classic_far), BPF_PERF_EVENT, "sched:sched_switch", 0,
		    self->pid, 0);
	link_create(FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 0, kthreadd(), 0);
	EXPECT_EQ(self->links, nr_links());
}

/* --- what a link says --- */

struct info_case {
	struct hook hook;
	__u32 family;
	const char *name;
};

static const struct info_case info_cases[] = {
	{ { RAW, "sys_enter" }, BPF_KVIEW_HOOK_RAW_TRACEPOINT, "sys_enter" },
	{ { BTF, "sys_enter" }, BPF_KVIEW_HOOK_TP_BTF, "sys_enter" },
	{ { CLASSIC, "syscalls:sys_enter_read" },
	  BPF_KVIEW_HOOK_TRACEPOINT,
	  "syscalls:sys_enter_read" },
	{ { CLASSIC, "sched:sched_switch" },
	  BPF_KVIEW_HOOK_TRACEPOINT,
	  "sched:sched_switch" },
};

static int program_info(struct bpf_program *program, struct bpf_prog_info *info)
{
	__u32 size = sizeof(*info);

	return bpf_prog_get_info_by_fd(bpf_program__fd(program), info, &size);
}

TEST_F_TIMEOUT(attach, link_info, TIMEOUT)
{
	for (size_t i = 0; i < ARRAY_SIZE(info_cases); i++) {
		struct bpf_prog_info prog_info = {};
		struct bpf_link_info info = {};
		struct bpf_program *program;
		char name[64] = "";
		int fd = view(self->skel, &info_cases[i].hook, 100 + i,
			      self->pid);

		ASSERT_LE(0, fd);
		program = counter_of(self->skel, info_cases[i].hook.kind);
		ASSERT_EQ(0, program_info(program, &prog_info));
		info.kview.name = (uintptr_t)name;
		info.kview.name_len = sizeof(name);
		ASSERT_EQ(0, link_info(fd, &info));
		EXPECT_EQ(BPF_LINK_TYPE_KVIEW, info.type);
		EXPECT_EQ(prog_info.id, info.prog_id);
		EXPECT_STREQ(info_cases[i].name, name);
		EXPECT_EQ(info_cases[i].family, info.kview.hook);
		EXPECT_EQ(100 + i, info.kview.cookie);
		EXPECT_EQ(self->pid, info.kview.pid);
		EXPECT_EQ(0, info.kview.flags);
		/* Page tables, and a page of text at least. */
		EXPECT_LE(4, info.kview.nr_pages);
		EXPECT_GT(200, info.kview.nr_pages);
		close(fd);
	}
}

TEST_F_TIMEOUT(attach, link_info_name_buffer, TIMEOUT)
{
	struct bpf_link_info info = {};
	char name[64];
	int fd = view(self->skel, &raw_hook, 0, self->pid);

	ASSERT_LE(0, fd);
	/* Without a buffer: how long the name is, with its end. */
	ASSERT_EQ(0, link_info(fd, &info));
	EXPECT_EQ(sizeof("sys_enter"), info.kview.name_len);

	/* Too short: what fits, with an end, and an error that says so. */
	memset(&info, 0, sizeof(info));
	memset(name, 'x', sizeof(name));
	info.kview.name = (uintptr_t)name;
	info.kview.name_len = 4;
	EXPECT_EQ(-ENOSPC, link_info(fd, &info));
	EXPECT_STREQ("sys", name);
	EXPECT_EQ('x', name[4]);

	/* A buffer without a length, or a length without a buffer. */
	memset(&info, 0, sizeof(info));
	info.kview.name = (uintptr_t)name;
	EXPECT_EQ(-EINVAL, link_info(fd, &info));
	memset(&info, 0, sizeof(info));
	info.kview.name_len = 4;
	EXPECT_EQ(-EINVAL, link_info(fd, &info));

	memset(&info, 0, sizeof(info));
	info.kview.name = 8;
	info.kview.name_len = 64;
	EXPECT_EQ(-EFAULT, link_info(fd, &info));
	close(fd);
}

/* The value of a line of fdinfo, or NULL. */
static const char *fdinfo_value(int fd, const char *key, char *text,
				size_t size)
{
	char path[64], *line;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	if (!file)
		return NULL;
	while ((line = fgets(text, size, file))) {
		size_t length = strlen(key);

		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, key, length) && line[length] == ':') {
			fclose(file);
			return line + length + 1 +
			       strspn(line + length + 1, " \t");
		}
	}
	fclose(file);
	return NULL;
}

TEST_F_TIMEOUT(attach, fdinfo, TIMEOUT)
{
	struct bpf_link_info info = {};
	char text[256], number[16];
	int fd = view(self->skel, &classic_hook, 0, self->pid);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, link_info(fd, &info));
	ASSERT_NE(NULL, fdinfo_value(fd, "link_type", text, sizeof(text)));
	EXPECT_STREQ("kview",
		     fdinfo_value(fd, "link_type", text, sizeof(text)));
	snprintf(number, sizeof(number), "%d", self->pid);
	ASSERT_NE(NULL, fdinfo_value(fd, "pid", text, sizeof(text)));
	EXPECT_STREQ(number, fdinfo_value(fd, "pid", text, sizeof(text)));
	ASSERT_NE(NULL, fdinfo_value(fd, "name", text, sizeof(text)));
	EXPECT_STREQ("syscalls:sys_enter_read",
		     fdinfo_value(fd, "name", text, sizeof(text)));
	ASSERT_NE(NULL, fdinfo_value(fd, "hook", text, sizeof(text)));
	snprintf(number, sizeof(number), "%u", info.kview.nr_pages);
	ASSERT_NE(NULL, fdinfo_value(fd, "nr_pages", text, sizeof(text)));
	EXPECT_STREQ(number, fdinfo_value(fd, "nr_pages", text, sizeof(text)));
	close(fd);
}

/* The link is found by its ID, and says the same. */
TEST_F_TIMEOUT(attach, link_by_id, TIMEOUT)
{
	struct bpf_link_info info = {}, again = {};
	int fd = view(self->skel, &raw_hook, 5, self->pid), other;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, link_info(fd, &info));
	other = bpf_link_get_fd_by_id(info.id);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, link_info(other, &again));
	EXPECT_EQ(0, memcmp(&info, &again, sizeof(info)));
	close(fd);
	/* It lives on by the other descriptor. */
	set_slot(self->skel, 5, self->pid, false);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(12, self->skel->bss->slots[5].count);
	close(other);
	settle(&self->target);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(12, self->skel->bss->slots[5].count);
}

/* A target that is gone. */
TEST_F_TIMEOUT(attach, defunct, TIMEOUT)
{
	struct bpf_link_info info = {};
	int fd = view(self->skel, &raw_hook, 0, self->pid);

	ASSERT_LE(0, fd);
	kill_target(&self->target);
	/* Its memory may be freed a little later than it is reaped. */
	for (int i = 0; i < 500; i++) {
		memset(&info, 0, sizeof(info));
		ASSERT_EQ(0, link_info(fd, &info));
		if (info.kview.flags & BPF_F_KVIEW_DEFUNCT)
			break;
		usleep(10000);
	}
	EXPECT_EQ(BPF_F_KVIEW_DEFUNCT, info.kview.flags);
	EXPECT_EQ(0, info.kview.nr_pages);
	EXPECT_EQ(0, close(fd));
}

TEST_F_TIMEOUT(attach, no_update, TIMEOUT)
{
	int fd = view(self->skel, &raw_hook, 0, self->pid);

	ASSERT_LE(0, fd);
	EXPECT_GT(0, bpf_link_update(fd, FD(raw_oracle), NULL));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

/* --- ways to name the target, and to end a link --- */

TEST_F_TIMEOUT(attach, by_pidfd, TIMEOUT)
{
	const struct {
		int program;
		int type;
		const char *name;
		__u64 events;
	} cases[] = {
		{ FD(raw), BPF_TRACE_RAW_TP, "sys_enter", 12 },
		{ FD(btf), BPF_TRACE_RAW_TP, NULL, 12 },
		{ FD(classic), BPF_PERF_EVENT, "syscalls:sys_enter_read", 10 },
	};
	int pidfd = syscall(SYS_pidfd_open, self->pid, 0);
	int fds[ARRAY_SIZE(cases)];

	ASSERT_LE(0, pidfd);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set_slot(self->skel, i, self->pid, false);
		fds[i] = link_create(cases[i].program, cases[i].type,
				     cases[i].name, i, pidfd, BPF_F_VIEW_PIDFD);
		ASSERT_LE(0, fds[i]);
	}
	/* Not needed any more. */
	close(pidfd);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bpf_link_info info = {};

		EXPECT_EQ(cases[i].events, self->skel->bss->slots[i].count);
		EXPECT_EQ(0, link_info(fds[i], &info));
		EXPECT_EQ(self->pid, info.kview.pid);
		close(fds[i]);
	}
}

/* Itself. */
TEST_F_TIMEOUT(attach, own_process, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[0];
	int fd = view(self->skel, &classic_hook, 0, getpid());

	ASSERT_LE(0, fd);
	set_slot(self->skel, 0, getpid(), false);
	zero_fd = open("/dev/zero", O_RDONLY);
	reads(100);
	EXPECT_EQ(100, slot->count);
	close(fd);
	reads(100);
	EXPECT_EQ(100, slot->count);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(0, slot->foreign);
}

/* PIDs are those of the caller's namespace. */
static int in_namespace(struct kview_bpf *skel, pid_t outer)
{
	struct bpf_link_info info = {};
	int outside, fd;

	/* A new namespace has no other process. */
	if (getpid() != 1)
		return 1;
	if (view(skel, &raw_hook, 0, outer) != -ESRCH)
		return 2;
	fd = view(skel, &classic_hook, 0, 1);
	if (fd < 0)
		return 3;
	if (link_info(fd, &info) || info.kview.pid != 1)
		return 4;
	zero_fd = open("/dev/zero", O_RDONLY);
	reads(50);
	if (skel->bss->slots[0].count != 50)
		return 5;

	/* The link of a process that cannot be seen from here. */
	outside = bpf_link_get_fd_by_id(skel->bss->slots[1].last);
	if (outside < 0)
		return 6;
	memset(&info, 0, sizeof(info));
	if (link_info(outside, &info) || info.kview.pid || info.kview.flags)
		return 7;
	return 0;
}

TEST_F_TIMEOUT(attach, pid_namespace, TIMEOUT)
{
	struct bpf_link_info info = {};
	int fd, status;
	pid_t pid;

	fd = view(self->skel, &raw_hook, 1, self->pid);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, link_info(fd, &info));
	self->skel->bss->slots[1].last = info.id;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(100);
		pid = fork();
		if (!pid)
			_exit(in_namespace(self->skel, self->pid));
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 101);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_TRUE(WIFEXITED(status));
	close(fd);
}

TEST_F_TIMEOUT(attach, detach_command, TIMEOUT)
{
	const struct hook *hooks[] = { &raw_hook, &btf_hook, &classic_hook };

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		struct slot *slot = &self->skel->bss->slots[i];
		struct bpf_link_info info = {};
		int fd = view(self->skel, hooks[i], i, self->pid);
		__u64 before;

		ASSERT_LE(0, fd);
		set_slot(self->skel, i, self->pid, false);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		EXPECT_LE(10, slot->count);
		EXPECT_EQ(0, bpf_link_detach(fd));
		before = slot->count;
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
		EXPECT_EQ(before, slot->count);

		/* The link is still there, with nothing to do. */
		EXPECT_EQ(0, link_info(fd, &info));
		EXPECT_EQ(BPF_LINK_TYPE_KVIEW, info.type);
		bpf_link_detach(fd);
		EXPECT_EQ(0, close(fd));
	}
}

TEST_F_TIMEOUT(attach, pinned, TIMEOUT)
{
	const char *path = "/sys/fs/bpf/kview_attach_test";
	struct slot *slot = &self->skel->bss->slots[0];
	struct bpf_link_info info = {};
	int fd = view(self->skel, &raw_hook, 0, self->pid);

	ASSERT_LE(0, fd);
	set_slot(self->skel, 0, self->pid, false);
	unlink(path);
	ASSERT_EQ(0, bpf_obj_pin(fd, path));
	close(fd);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(12, slot->count);

	fd = bpf_obj_get(path);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, link_info(fd, &info));
	EXPECT_EQ(self->pid, info.kview.pid);
	EXPECT_EQ(0, unlink(path));
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(24, slot->count);
	close(fd);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(24, slot->count);
}

/* A pinned link outlives its target without keeping anything of it. */
TEST_F_TIMEOUT(attach, pinned_defunct, TIMEOUT)
{
	const char *path = "/sys/fs/bpf/kview_attach_test";
	int fd = view(self->skel, &raw_hook, 0, self->pid);

	ASSERT_LE(0, fd);
	unlink(path);
	ASSERT_EQ(0, bpf_obj_pin(fd, path));
	close(fd);
	kill_target(&self->target);
	fd = bpf_obj_get(path);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, unlink(path));
}

/* --- libbpf --- */

static struct bpf_link *attach_raw(struct kview_bpf *skel,
				   struct bpf_raw_tracepoint_opts *opts)
{
	struct bpf_program *raw = skel->progs.raw;

	return bpf_program__attach_raw_tracepoint_opts(raw, "sys_enter", opts);
}

static struct bpf_link *attach_classic(struct kview_bpf *skel,
				       struct bpf_tracepoint_opts *opts)
{
	struct bpf_program *classic = skel->progs.classic;

	return bpf_program__attach_tracepoint_opts(classic, "syscalls",
						   "sys_enter_read", opts);
}

TEST_F_TIMEOUT(attach, libbpf_options, TIMEOUT)
{
	LIBBPF_OPTS(bpf_raw_tracepoint_opts, raw, .cookie = 0,
		    .pid = self->pid);
	LIBBPF_OPTS(bpf_trace_opts, btf, .cookie = 1, .pid = self->pid);
	LIBBPF_OPTS(bpf_tracepoint_opts, classic, .bpf_cookie = 2,
		    .pid = self->pid);
	struct slot *slots = self->skel->bss->slots;
	struct bpf_link *links[3];

	for (int i = 0; i < 3; i++)
		set_slot(self->skel, i, self->pid, false);
	links[0] = attach_raw(self->skel, &raw);
	links[1] = bpf_program__attach_trace_opts(self->skel->progs.btf, &btf);
	links[2] = attach_classic(self->skel, &classic);
	for (int i = 0; i < 3; i++) {
		struct bpf_link_info info = {};

		ASSERT_NE(NULL, links[i]);
		EXPECT_EQ(0, link_info(bpf_link__fd(links[i]), &info));
		EXPECT_EQ(BPF_LINK_TYPE_KVIEW, info.type);
		EXPECT_EQ(self->pid, info.kview.pid);
	}
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(12, slots[0].count);
	EXPECT_EQ(12, slots[1].count);
	EXPECT_EQ(10, slots[2].count);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, slots[i].foreign);
		bpf_link__destroy(links[i]);
	}
}

TEST_F_TIMEOUT(attach, libbpf_pidfd, TIMEOUT)
{
	LIBBPF_OPTS(bpf_tracepoint_opts, opts, .bpf_cookie = 0,
		    .view_flags = BPF_F_VIEW_PIDFD);
	int pidfd = syscall(SYS_pidfd_open, self->pid, 0);
	struct bpf_link *link;

	ASSERT_LE(0, pidfd);
	opts.pid = pidfd;
	set_slot(self->skel, 0, self->pid, false);
	link = attach_classic(self->skel, &opts);
	ASSERT_NE(NULL, link);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	EXPECT_EQ(10, self->skel->bss->slots[0].count);
	bpf_link__destroy(link);
	close(pidfd);

	libbpf_set_print(NULL);
	opts.pid = 1 << 30;
	opts.view_flags = 0;
	EXPECT_EQ(NULL, attach_classic(self->skel, &opts));
	EXPECT_EQ(ESRCH, errno);
}

/* No perf event, and no tracepoint enabled for all, on the way. */
TEST_F_TIMEOUT(attach, nothing_system_wide, TIMEOUT)
{
	struct slot *slot = &self->skel->bss->slots[0];
	struct target neighbour;

	/* Any event at all, of whomever. */
	set_slot(self->skel, 0, self->pid, false);
	ASSERT_TRUE(start_target(&neighbour));
	ASSERT_TRUE(tell(&neighbour, OP_READ, 50000));
	for (int i = 0; i < 50; i++) {
		int fd = view(self->skel, i % 2 ? &raw_hook : &classic_hook, 0,
			      self->pid);

		ASSERT_LE(0, fd);
		close(fd);
	}
	EXPECT_EQ(0, slot->foreign);
	ASSERT_TRUE(answer(&neighbour));
	EXPECT_EQ(0, slot->foreign);
	kill_target(&neighbour);
}
