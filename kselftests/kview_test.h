/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests share: attaching, counting, and target processes that do what
 * they are told.
 */
#ifndef KVIEW_TEST_H
#define KVIEW_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "kselftest_harness.h"
#include "kview_check.h"
#include "kview_slots.h"
#include "kview.skel.h"

/* Long enough for a debug kernel in an emulator. */
#define TIMEOUT 900

/* --- hooks and links --- */

enum kind { RAW, BTF, CLASSIC };

struct hook {
	enum kind kind;
	/* "sys_enter"; CATEGORY:NAME if classic */
	const char *name;
};

static inline int sys_bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* BPF_LINK_CREATE for one process, with everything to choose. A file
 * descriptor, or an error number below 0.
 */
static inline int link_create(int prog_fd, int attach_type, const char *name,
			      __u64 cookie, __u32 pid, __u32 view_flags)
{
	union bpf_attr attr = {};
	int fd;

	attr.link_create.prog_fd = prog_fd;
	attr.link_create.attach_type = attach_type;
	attr.link_create.tracepoint.name = (uintptr_t)name;
	attr.link_create.tracepoint.cookie = cookie;
	attr.link_create.view.pid = pid;
	attr.link_create.view.flags = view_flags;
	fd = sys_bpf(BPF_LINK_CREATE, &attr);
	return fd < 0 ? -errno : fd;
}

static inline bool views_supported(void)
{
	return link_create(-1, 0, NULL, 0, 1, 0) == -EBADF;
}

/* Why no test can be run, or NULL. */
static inline const char *why_not(void)
{
	if (geteuid())
		return "needs root";
	if (!views_supported())
		return "the kernel has no views";
	return NULL;
}

/* Load the programs, those of type tp_btf for @btf_hook (NULL: sys_enter). */
static inline struct kview_bpf *load_for(const char *btf_hook)
{
	struct kview_bpf *skel = kview_bpf__open();

	if (!skel)
		return NULL;
	if (!btf_hook)
		btf_hook = "sys_enter";
	if (bpf_program__set_attach_target(skel->progs.btf, 0, btf_hook) ||
	    bpf_program__set_attach_target(skel->progs.btf_cookie, 0,
					   btf_hook) ||
	    kview_bpf__load(skel)) {
		kview_bpf__destroy(skel);
		return NULL;
	}
	return skel;
}

static inline struct kview_bpf *load(void)
{
	return load_for(NULL);
}

static inline struct bpf_program *counter_of(struct kview_bpf *skel,
					     enum kind kind)
{
	switch (kind) {
	case RAW:
		return skel->progs.raw;
	case BTF:
		return skel->progs.btf;
	case CLASSIC:
		return skel->progs.classic;
	}
	return NULL;
}

/* The same program again, for what is attached beside it. */
static inline struct bpf_program *oracle_of(struct kview_bpf *skel,
					    enum kind kind)
{
	switch (kind) {
	case RAW:
		return skel->progs.raw_oracle;
	case BTF:
		return skel->progs.btf;
	case CLASSIC:
		return skel->progs.classic_oracle;
	}
	return NULL;
}

/* Attach a program to the view of a process, with flags. */
static inline int view_program_flags(struct bpf_program *program,
				     const struct hook *hook, __u64 cookie,
				     pid_t pid, __u32 flags)
{
	const char *name = hook->kind == BTF ? NULL : hook->name;
	int type = hook->kind == CLASSIC ? BPF_PERF_EVENT : BPF_TRACE_RAW_TP;
	int fd = bpf_program__fd(program);

	return link_create(fd, type, name, cookie, pid, flags);
}

static inline int view_program(struct bpf_program *program,
			       const struct hook *hook, __u64 cookie, pid_t pid)
{
	return view_program_flags(program, hook, cookie, pid, 0);
}

/* Add targets to a link, or take some away. 0 or an error number below 0. */
static inline int link_targets(int fd, __u32 op, const __u32 *pids, __u32 count,
			       __u32 flags)
{
	union bpf_attr attr = {};

	attr.link_update_targets.link_fd = fd;
	attr.link_update_targets.op = op;
	attr.link_update_targets.pids = (uintptr_t)pids;
	attr.link_update_targets.count = count;
	attr.link_update_targets.flags = flags;
	return sys_bpf(BPF_LINK_UPDATE_TARGETS, &attr) ? -errno : 0;
}

/* Count a hook's events in the view of a process; the cookie is the slot. */
static inline int view(struct kview_bpf *skel, const struct hook *hook,
		       __u64 cookie, pid_t pid)
{
	return view_program(counter_of(skel, hook->kind), hook, cookie, pid);
}

/* Attach a program for all processes, as ever. */
static inline struct bpf_link *stock_program(struct bpf_program *program,
					     const struct hook *hook,
					     __u64 cookie)
{
	char category[64];
	const char *colon;

	switch (hook->kind) {
	case RAW: {
		LIBBPF_OPTS(bpf_raw_tracepoint_opts, opts, .cookie = cookie);
		const char *name = hook->name;

		return bpf_program__attach_raw_tracepoint_opts(program, name,
							       &opts);
	}
	case BTF: {
		LIBBPF_OPTS(bpf_trace_opts, opts, .cookie = cookie);

		return bpf_program__attach_trace_opts(program, &opts);
	}
	case CLASSIC: {
		LIBBPF_OPTS(bpf_tracepoint_opts, opts, .bpf_cookie = cookie);

		colon = strchr(hook->name, ':');
		snprintf(category, sizeof(category), "%.*s",
			 (int)(colon - hook->name), hook->name);
		return bpf_program__attach_tracepoint_opts(program, category,
							   colon + 1, &opts);
	}
	}
	return NULL;
}

/* Count a hook's events with the same program, system-wide. */
static inline struct bpf_link *stock(struct kview_bpf *skel,
				     const struct hook *hook, __u64 cookie)
{
	return stock_program(oracle_of(skel, hook->kind), hook, cookie);
}

/* A slot for the events of one process; with @filter others' are expected. */
static inline void set_slot(struct kview_bpf *skel, unsigned int slot,
			    pid_t tgid, bool filter)
{
	skel->bss->slots[slot] =
		(struct slot){ .tgid = tgid, .filter = filter };
}

static inline int link_info(int fd, struct bpf_link_info *info)
{
	__u32 size = sizeof(*info);

	return bpf_link_get_info_by_fd(fd, info, &size) ? -errno : 0;
}

/* Runs of a program that did not take place because it ran already. */
static inline __u64 misses(struct bpf_program *program)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &size))
		return -1;
	return info.recursion_misses;
}

/*
 * Have two programs seen the same events of a target? One that is hit by an event
 * in an interrupt does not run again for that. What the view's program misses are
 * events of the target; what the other one misses may be anybody's.
 */
static inline bool agree(__u64 view, __u64 missed_by_view, __u64 oracle,
			 __u64 missed_by_oracle)
{
	__u64 events = view + missed_by_view;

	return oracle <= events && events - oracle <= missed_by_oracle;
}

static inline long nr_links(void)
{
	__u32 id = 0;
	long n = 0;

	while (!bpf_link_get_next_id(id, &id))
		n++;
	return n;
}

/* Write to a file of a pseudo file system: all of it, or it has failed. */
static inline bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 &&
		  write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* --- the module --- */

#define MODULE "kview_testmod"
#define MODULE_FILE "test_modules/" MODULE ".ko"
#define MODULE_DIR "/sys/kernel/debug/" MODULE "/"
/* Comes and goes beside it. */
#define OTHER_MODULE "kview_testmod_other"
#define OTHER_MODULE_DIR "/sys/kernel/debug/" OTHER_MODULE "/"
/* Puts other functions in the place of some. */
#define PATCH_MODULE "kview_testmod_patch"

/* 0 or an error number below 0: -EEXIST if it is loaded. */
static inline int load_named_module(const char *name)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "test_modules/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

static inline int load_module(void)
{
	return load_named_module(MODULE);
}

static inline int unload_named_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

static inline int unload_module(void)
{
	return unload_named_module(MODULE);
}

/* --- targets --- */

/* What a target can be told to do, @n times. It takes its orders with recv()
 * and answers with send(): one of each for an order.
 */
enum op {
	OP_READ, /* read() a byte */
	OP_MMAP, /* mmap(), touch and munmap() a page */
	OP_SLEEP, /* sleep for a tenth of a millisecond */
	OP_MIX, /* a bit of everything */
	OP_FORK, /* let a child do n times OP_READ */
	OP_VFORK, /* let a vfork()ed child do n times OP_READ */
	OP_CLONE_VM, /* let a process with the same memory do n times OP_READ */
	OP_GRANDCHILD, /* let a child of a child do n times OP_READ */
	OP_FORK_EXEC, /* let a program that a child executes do so */
	OP_VFORK_EXEC, /* the same with a vfork()ed child */
	OP_THREAD, /* let a new thread do n times OP_READ */
	OP_PARK, /* start a thread that waits */
	OP_PARKED, /* let that thread do n times OP_READ */
	OP_EXEC, /* exec this program again, as a target */
	OP_THREAD_EXEC, /* let a new thread do that */
	OP_USE_MM, /* let a kernel thread work n times on the target's memory */
	OP_STEP, /* the same work in the module, without a thread for it */
	OP_CALL, /* let the module call its functions n times, and answer with the result */
	OP_OTHER, /* load the other module, use it and unload it, n times */
	OP_RESULT, /* answer with what read() of n bytes returns */
	OP_PATCH, /* let the kernel patch its text */
	OP_CALLS, /* system calls whose results are checked, faults among them */
	OP_EXIT, /* no answer */
};

struct order {
	enum op op;
	unsigned int n;
};

struct target {
	pid_t pid;
	int sock;
	/* it may have to be waited for */
	bool reap;
};

static int zero_fd = -1;
static int parked_pipe[2] = { -1, -1 };
static int parked_done[2] = { -1, -1 };

static inline long raw_read(int fd, void *buffer, size_t size)
{
	long ret = SYS_read;

	asm volatile("syscall"
		     : "+a"(ret)
		     : "D"(fd), "S"(buffer), "d"(size)
		     : "rcx", "r11", "memory");
	return ret;
}

static inline void reads(unsigned int n)
{
	char byte;

	while (n--)
		raw_read(zero_fd, &byte, 1);
}

static inline void maps(unsigned int n)
{
	while (n--) {
		char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*page = 1;
		munmap(page, 4096);
	}
}

static inline void sleeps(unsigned int n)
{
	struct timespec time = { .tv_nsec = 100000 };

	while (n--)
		nanosleep(&time, NULL);
}

static void on_signal(int signal)
{
}

static inline void mix(unsigned int n)
{
	char buffer[4096] = "";

	signal(SIGUSR1, on_signal);
	while (n--) {
		char name[] = "/tmp/kview.XXXXXX";
		int fd = mkstemp(name);
		int pair[2];
		struct stat st;
		pid_t pid;

		if (fd >= 0) {
			if (write(fd, buffer, sizeof(buffer)) < 0 ||
			    fstat(fd, &st) || pread(fd, buffer, 100, 0) < 0)
				perror(name);
			close(fd);
			unlink(name);
		}
		if (!socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
			if (send(pair[0], buffer, 100, 0) < 0 ||
			    recv(pair[1], buffer, 100, 0) < 0)
				perror("socketpair");
			close(pair[0]);
			close(pair[1]);
		}
		maps(2);
		kill(getpid(), SIGUSR1);
		sched_yield();
		sleeps(1);
		pid = fork();
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

/* The same ones each time, or it is the end. */
static inline void checked_calls(unsigned int n)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int dir = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long size = 0;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		_exit(1);
	for (unsigned int i = 0; i < n; i++) {
		struct iovec sent = { .iov_base = &i, .iov_len = sizeof(i) };
		struct msghdr msg = { .msg_iov = &sent, .msg_iovlen = 1 };
		unsigned int received = ~i;
		int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		long ret;

		if (raw_read(fd, &received, sizeof(received)) != 4 || received)
			_exit(1);
		close(fd);
		if (sendmsg(pair[0], &msg, 0) != sizeof(i) ||
		    recv(pair[1], &received, sizeof(received), 0) != 4 ||
		    received != i)
			_exit(1);
		/* Into a page that is not there yet, and to nowhere. */
		madvise(page, 4096, MADV_DONTNEED);
		lseek(dir, 0, SEEK_SET);
		ret = syscall(SYS_getdents64, dir, page, 4096);
		if (ret <= 0 || (size && ret != size))
			_exit(1);
		size = ret;
		lseek(dir, 0, SEEK_SET);
		if (syscall(SYS_getdents64, dir, 8, 4096) != -1 ||
		    errno != EFAULT)
			_exit(1);
	}
	close(pair[0]);
	close(pair[1]);
	close(dir);
	munmap(page, 4096);
}

static inline void *reading_thread(void *n)
{
	reads((uintptr_t)n);
	return NULL;
}

static inline void *parked_thread(void *unused)
{
	unsigned int n;

	while (recv(parked_pipe[0], &n, sizeof(n), 0) == sizeof(n)) {
		reads(n);
		send(parked_done[1], &n, sizeof(n), 0);
	}
	return NULL;
}

static inline void write_number(const char *path, unsigned int n)
{
	char number[12];

	snprintf(number, sizeof(number), "%u", n);
	if (!write_file(path, number))
		_exit(1);
}

/* If the module is there. Returns what its calls return. */
static inline int module_calls(unsigned int n)
{
	int fd = open(MODULE_DIR "call", O_WRONLY | O_CLOEXEC);
	char number[12];
	int ret;

	if (fd < 0)
		return -errno;
	snprintf(number, sizeof(number), "%u", n);
	ret = write(fd, number, strlen(number));
	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static inline int clone_vm_child(void *n)
{
	reads((uintptr_t)n);
	return 0;
}

#define STACK_SIZE 65536

static inline void child_reads(enum op op, unsigned int n)
{
	char *stack, number[12];
	int status;
	pid_t pid;

	switch (op) {
	case OP_FORK:
		pid = fork();
		break;
	case OP_VFORK:
		pid = vfork();
		break;
	case OP_GRANDCHILD:
		pid = fork();
		if (!pid) {
			child_reads(OP_FORK, n);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		return;
	case OP_FORK_EXEC:
	case OP_VFORK_EXEC:
		snprintf(number, sizeof(number), "%u", n);
		pid = op == OP_FORK_EXEC ? fork() : vfork();
		if (!pid) {
			execl("/proc/self/exe", "reader", "--reads", number,
			      (char *)NULL);
			_exit(1);
		}
		waitpid(pid, &status, 0);
		return;
	default:
		stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pid = clone(clone_vm_child, stack + STACK_SIZE,
			    CLONE_VM | SIGCHLD, (void *)(uintptr_t)n);
		waitpid(pid, &status, 0);
		munmap(stack, STACK_SIZE);
		return;
	}
	if (!pid) {
		reads(n);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static inline void exec_target(int sock)
{
	char number[12];

	snprintf(number, sizeof(number), "%d", sock);
	execl("/proc/self/exe", "target", "--target", number, (char *)NULL);
	_exit(1);
}

static inline void *exec_thread(void *sock)
{
	exec_target((intptr_t)sock);
	return NULL;
}

static inline void obey(struct order *order, int sock)
{
	unsigned int n = order->n;
	char buffer[64];
	pthread_t thread;

	switch (order->op) {
	case OP_READ:
		return reads(n);
	case OP_MMAP:
		return maps(n);
	case OP_SLEEP:
		return sleeps(n);
	case OP_MIX:
		return mix(n);
	case OP_FORK:
	case OP_VFORK:
	case OP_CLONE_VM:
	case OP_GRANDCHILD:
	case OP_FORK_EXEC:
	case OP_VFORK_EXEC:
		return child_reads(order->op, n);
	case OP_THREAD:
		pthread_create(&thread, NULL, reading_thread,
			       (void *)(uintptr_t)n);
		pthread_join(thread, NULL);
		return;
	case OP_PARK:
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, parked_pipe) ||
		    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, parked_done))
			_exit(1);
		pthread_create(&thread, NULL, parked_thread, NULL);
		return;
	case OP_PARKED:
		send(parked_pipe[1], &n, sizeof(n), 0);
		recv(parked_done[0], &n, sizeof(n), 0);
		return;
	case OP_EXEC:
		return exec_target(sock);
	case OP_THREAD_EXEC:
		pthread_create(&thread, NULL, exec_thread,
			       (void *)(intptr_t)sock);
		pthread_join(thread, NULL);
		return;
	case OP_USE_MM:
		return write_number(MODULE_DIR "use_mm", n);
	case OP_STEP:
		return write_number(MODULE_DIR "step", n);
	case OP_CALL:
		order->n = module_calls(n);
		return;
	case OP_OTHER:
		while (n--) {
			if (load_named_module(OTHER_MODULE))
				_exit(1);
			write_number(OTHER_MODULE_DIR "call", 10);
			if (unload_named_module(OTHER_MODULE))
				_exit(1);
		}
		return;
	case OP_RESULT:
		order->n = raw_read(zero_fd, buffer,
				    n < sizeof(buffer) ? n : sizeof(buffer));
		return;
	case OP_PATCH:
		/* A static branch, on and off again. */
		while (n--) {
			write_number("/proc/sys/kernel/bpf_stats_enabled", 1);
			write_number("/proc/sys/kernel/bpf_stats_enabled", 0);
		}
		return;
	case OP_CALLS:
		return checked_calls(n);
	case OP_EXIT:
		_exit(0);
	}
}

static inline void target_loop(int sock, bool executed)
{
	struct order order = {};

	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	/* The answer to the order to exec. */
	if (executed)
		send(sock, &order, sizeof(order), 0);
	while (recv(sock, &order, sizeof(order), 0) == sizeof(order)) {
		obey(&order, sock);
		send(sock, &order, sizeof(order), 0);
	}
	_exit(0);
}

/* Are all threads of the process asleep? */
static inline bool asleep(pid_t pid)
{
	char path[64], line[512], *state;
	bool all = true;
	int fd, n;

	/* Targets have two threads at most, with neighbouring IDs if at all. */
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return true;
	line[n] = 0;
	state = strrchr(line, ')');
	if (state && state[2] != 'S' && state[2] != 'Z')
		all = false;
	return all;
}

/* Wait until the target sleeps in recv(), and has had time to be switched out
 * after saying so: no more events until it is told something.
 */
static inline void settle(struct target *target)
{
	for (int i = 0; i < 10000 && !asleep(target->pid); i++)
		usleep(200);
	usleep(2000);
}

static inline bool start_target(struct target *target)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return false;
	target->pid = fork();
	if (!target->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		close(pair[0]);
		target_loop(pair[1], false);
	}
	close(pair[1]);
	target->sock = pair[0];
	target->reap = true;
	fcntl(target->sock, F_SETFD, FD_CLOEXEC);
	if (target->pid < 0)
		return false;
	/* What it does on its way there are no events of a test. */
	settle(target);
	return true;
}

static inline void kill_target(struct target *target)
{
	if (!target->reap)
		return;
	/* The end of a test; what it has attached is there, if it has failed. */
	check_copies();
	kill(target->pid, SIGKILL);
	waitpid(target->pid, NULL, 0);
	close(target->sock);
	target->reap = false;
}

static inline bool tell(struct target *target, enum op op, unsigned int n)
{
	struct order order = { .op = op, .n = n };

	return send(target->sock, &order, sizeof(order), MSG_NOSIGNAL) ==
	       sizeof(order);
}

static inline bool answer(struct target *target)
{
	struct order order;

	if (recv(target->sock, &order, sizeof(order), 0) != sizeof(order))
		return false;
	settle(target);
	return true;
}

static inline bool tell_and_wait(struct target *target, enum op op,
				 unsigned int n)
{
	return tell(target, op, n) && answer(target);
}

/* What the target answers, to those orders that have a result. */
static inline int result_of(struct target *target, enum op op, unsigned int n)
{
	struct order order = {};

	if (!tell(target, op, n) ||
	    recv(target->sock, &order, sizeof(order), 0) != sizeof(order))
		return INT_MIN;
	settle(target);
	return order.n;
}

/* What the target's read() of @n bytes returns. */
static inline int result_of_read(struct target *target, unsigned int n)
{
	return result_of(target, OP_RESULT, n);
}

/* Of a program that was executed with a failure ahead: it has not happened. */
#define SPARED 42

static inline bool allocation_spared(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	char text[12] = "";
	bool spared;

	if (fd < 0)
		return false;
	spared = pread(fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) > 0;
	if (pwrite(fd, "0", 1, 0) < 0)
		perror("fail-nth");
	close(fd);
	return spared;
}

/* Of each test: a target that is executed is the same program. */
int main(int argc, char **argv)
{
	pid_t checker;
	int ret;

	if (argc == 3 && !strcmp(argv[1], "--target"))
		target_loop(atoi(argv[2]), true);
	if (argc == 3 && !strcmp(argv[1], "--reads")) {
		/* The start of the program has its own reads. */
		bool spared = allocation_spared();

		zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		reads(atoi(argv[2]));
		return spared ? SPARED : 0;
	}
	checker = start_checks();
	ret = test_harness_run(argc, argv);
	return end_checks(checker) ? ret : KSFT_FAIL;
}

#endif
