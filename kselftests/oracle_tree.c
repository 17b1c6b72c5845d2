// SPDX-License-Identifier: GPL-2.0
/* Processes that do what a number says, see oracle_tree.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "oracle_tree.h"

#define PAGE 4096
#define STACK 65536
#define MAX_THREADS 3
#define MAX_DEPTH 4

/* --- numbers --- */

uint64_t draw(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

unsigned int below(uint64_t *state, unsigned int limit)
{
	return (draw(state) >> 32) * limit >> 32;
}

uint64_t mixed(uint64_t a, uint64_t b)
{
	uint64_t state = a * 0xd6e8feb86659fd93ULL ^ b;

	return draw(&state);
}

/* --- what every process has --- */

static int zero_fd = -1;
static int null_fd = -1;

static void on_signal(int number)
{
	(void)number;
}

static void handle(int number, void (*handler)(int))
{
	struct sigaction action = {
		.sa_handler = handler,
		.sa_flags = SA_RESTART,
	};

	sigaction(number, &action, NULL);
}

static void prepare(void)
{
	struct rlimit none = {};

	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	setrlimit(RLIMIT_CORE, &none);
	handle(SIGALRM, on_signal);
	handle(SIGPROF, on_signal);
	handle(SIGUSR1, on_signal);
	handle(SIGUSR2, on_signal);
	handle(SIGPIPE, SIG_IGN);
}

/* --- operations that any task can do, also one that shares memory --- */

/* What they return is of no interest. */
static inline void ignore(long result)
{
	(void)result;
}

static void nap(unsigned int microseconds)
{
	struct timespec time = { .tv_nsec = microseconds * 1000L };

	nanosleep(&time, NULL);
}

static void do_reads(unsigned int n)
{
	char byte;

	while (n--)
		ignore(read(zero_fd, &byte, 1));
}

static void do_writes(unsigned int n)
{
	while (n--)
		ignore(write(null_fd, "w", 1));
}

static void do_opens(unsigned int n)
{
	while (n--)
		close(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void do_maps(unsigned int n)
{
	while (n--) {
		char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED)
			return;
		page[0] = 1;
		page[PAGE] = 1;
		mprotect(page, PAGE, PROT_READ);
		madvise(page, PAGE, MADV_DONTNEED);
		munmap(page, 2 * PAGE);
	}
}

static void do_socket(unsigned int n)
{
	char buffer[64] = "";
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return;
	while (n--) {
		ignore(send(pair[0], buffer, sizeof(buffer), 0));
		ignore(recv(pair[1], buffer, sizeof(buffer), MSG_DONTWAIT));
	}
	close(pair[0]);
	close(pair[1]);
}

static void do_pipe(unsigned int n)
{
	char buffer[64] = "";
	int pair[2];

	if (pipe2(pair, O_CLOEXEC))
		return;
	while (n--) {
		ignore(write(pair[1], buffer, sizeof(buffer)));
		ignore(read(pair[0], buffer, sizeof(buffer)));
	}
	close(pair[0]);
	close(pair[1]);
}

static void do_prctl(unsigned int n)
{
	char name[16];

	while (n--) {
		prctl(PR_GET_NAME, name);
		getppid();
	}
}

static void do_sleeps(uint64_t *random, unsigned int n)
{
	while (n--)
		nap(20 + below(random, 300));
}

/* Long enough for interrupts to come. */
static void do_spin(uint64_t *random)
{
	unsigned int n = 20000 + below(random, 1000000);

	while (n--)
		asm volatile("");
}

static void do_waits(unsigned int n)
{
	struct timespec time = { .tv_nsec = 100000 };
	uint32_t word = 0;

	while (n--) {
		poll(NULL, 0, 0);
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time);
	}
}

/* To another processor. */
static void do_move(uint64_t *random)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(below(random, processors), &set);
	sched_setaffinity(0, sizeof(set), &set);
	sched_yield();
	CPU_ZERO(&set);
	for (int i = 0; i < processors; i++)
		CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void do_simple(uint64_t *random)
{
	unsigned int n = 1 + below(random, 30);

	switch (below(random, 12)) {
	case 0:
	case 1:
		return do_reads(n);
	case 2:
		return do_writes(n);
	case 3:
		return do_opens(n);
	case 4:
		return do_maps(n);
	case 5:
		return do_socket(n);
	case 6:
		return do_pipe(n);
	case 7:
		return do_prctl(n);
	case 8:
		return do_sleeps(random, 1 + n / 8);
	case 9:
		return do_spin(random);
	case 10:
		return do_waits(1 + n / 8);
	case 11:
		return do_move(random);
	}
}

/* --- meeting the controller --- */

void meeting_place(char *name, size_t size, pid_t controller)
{
	snprintf(name, size, "kview-oracle-%d", controller);
}

/* Sleep in recvfrom(), along with all threads that the process has. */
static void meet(struct node *node, bool last)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct hello hello = {};
	char byte;
	int fd;

	if (node->restless)
		return;
	meeting_place(address.sun_path + 1, sizeof(address.sun_path) - 1,
		      node->controller);
	hello.id = node->id;
	hello.meeting = node->meetings++;
	hello.last = last;
	hello.guest = node->guest;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address,
		    offsetof(struct sockaddr_un, sun_path) + 1 +
			    strlen(address.sun_path + 1)) ||
	    send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello) ||
	    recv(fd, &byte, 1, 0) != 1)
		_exit(3);
	close(fd);
}

/* --- threads --- */

struct work {
	uint64_t random;
	unsigned int n;
};

static void *work_thread(void *argument)
{
	struct work *work = argument;

	for (unsigned int i = 0; i < work->n; i++)
		do_simple(&work->random);
	return NULL;
}

/* A thread that sleeps in recvfrom() between the works that it is given. */
struct helper {
	pthread_t thread;
	int pair[2];
	/* It has not answered yet. */
	bool busy;
};

static struct helper helpers[MAX_THREADS];
static unsigned int nr_helpers;

static void *helper_thread(void *argument)
{
	struct helper *helper = argument;
	struct work work;

	while (recv(helper->pair[1], &work, sizeof(work), 0) == sizeof(work)) {
		work_thread(&work);
		send(helper->pair[1], &work, 1, MSG_NOSIGNAL);
	}
	return NULL;
}

static void add_helper(void)
{
	struct helper *helper = &helpers[nr_helpers];

	if (nr_helpers == MAX_THREADS ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, helper->pair))
		return;
	helper->busy = false;
	if (!pthread_create(&helper->thread, NULL, helper_thread, helper))
		nr_helpers++;
}

static void rest_helper(struct helper *helper)
{
	char byte;

	if (helper->busy)
		ignore(recv(helper->pair[0], &byte, 1, 0));
	helper->busy = false;
}

/* A quiesced process has all threads in recvfrom(). */
static void rest_helpers(void)
{
	for (unsigned int i = 0; i < nr_helpers; i++)
		rest_helper(&helpers[i]);
}

static void use_helper(struct node *node)
{
	struct helper *helper = &helpers[below(&node->random, nr_helpers)];
	struct work work = {
		.random = draw(&node->random),
		.n = 1 + below(&node->random, 4),
	};

	rest_helper(helper);
	send(helper->pair[0], &work, sizeof(work), MSG_NOSIGNAL);
	helper->busy = true;
}

/* Its end, in its own time. A child may have the socket open, too. */
static void dismiss_helper(struct helper *helper)
{
	shutdown(helper->pair[0], SHUT_RDWR);
}

static void drop_helper(void)
{
	struct helper *helper = &helpers[nr_helpers - 1];

	rest_helper(helper);
	dismiss_helper(helper);
	pthread_join(helper->thread, NULL);
	close(helper->pair[0]);
	close(helper->pair[1]);
	nr_helpers--;
}

static void do_threads(struct node *node)
{
	struct work works[2];
	pthread_t threads[2];
	unsigned int n;

	for (n = 0; n < 2; n++) {
		works[n].random = draw(&node->random);
		works[n].n = 1 + below(&node->random, 3);
		if (pthread_create(&threads[n], NULL, work_thread, &works[n]))
			break;
	}
	do_simple(&node->random);
	while (n--)
		pthread_join(threads[n], NULL);
}

/* --- exec --- */

#define NODE_FORMAT "%llx:%x:%d:%u:%u:%u:%u:%u:%d"

static void exec_node(struct node *node)
{
	char text[128];

	snprintf(text, sizeof(text), NODE_FORMAT,
		 (unsigned long long)node->random, node->id, node->controller,
		 node->budget, node->depth, node->steps, node->children,
		 node->meetings, node->restless);
	execl("/proc/self/exe", "oracle", "--node", text, (char *)NULL);
	_exit(4);
}

void run_executed(char **argv)
{
	struct node node = {};
	unsigned long long random;
	int restless;

	if (sscanf(argv[2], NODE_FORMAT, &random, &node.id, &node.controller,
		   &node.budget, &node.depth, &node.steps, &node.children,
		   &node.meetings, &restless) != 9)
		_exit(5);
	node.random = random;
	node.restless = restless;
	run_node(&node);
}

static void *exec_thread(void *node)
{
	exec_node(node);
	return NULL;
}

/* --- children --- */

/* Half of what is left of the budget, on average, goes with a child. */
static struct node child_of(struct node *parent)
{
	struct node child = {
		.random = draw(&parent->random),
		.id = mixed(parent->id, ++parent->children),
		.controller = parent->controller,
		.depth = parent->depth + 1,
		.steps = 3 + below(&parent->random, 10),
	};

	child.budget = below(&parent->random, parent->budget);
	parent->budget -= 1 + child.budget;
	return child;
}

static bool may_have_children(struct node *node)
{
	return node->budget && node->depth < MAX_DEPTH;
}

/* Threads do not come along. */
static void run_forked(struct node *node)
{
	nr_helpers = 0;
	run_node(node);
}

static void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static void wait_for_all(void)
{
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
}

static void do_fork(struct node *node)
{
	struct node child = child_of(node);
	pid_t pid = fork();

	if (!pid)
		run_forked(&child);
	if (pid > 0 && below(&node->random, 2))
		wait_for(pid);
}

static void do_clone(struct node *node, unsigned long flags)
{
	struct node child = child_of(node);
	pid_t pid;

	/* Without the library's help: there must be nothing that it would have
	 * to do in the child.
	 */
	pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		run_forked(&child);
	if (pid > 0 && !(flags & CLONE_PARENT) && below(&node->random, 2))
		wait_for(pid);
}

/* As the guest of a process that waits, or does not: no memory is allocated, and
 * nothing is changed that is not on the own stack.
 */
static void run_guest(struct node *node)
{
	unsigned int n = 1 + below(&node->random, 4);

	node->guest = true;
	if (below(&node->random, 2))
		meet(node, false);
	while (n--)
		do_simple(&node->random);
	switch (below(&node->random, 3)) {
	case 0:
		node->guest = false;
		exec_node(node);
		break;
	case 1:
		meet(node, true);
		break;
	}
	_exit(0);
}

/* The child runs on the stack of the parent, below this frame. */
static pid_t vfork_guest(struct node *child)
{
	pid_t pid = vfork();

	if (!pid)
		run_guest(child);
	return pid;
}

static int cloned_guest(void *node)
{
	run_guest(node);
	return 0;
}

static void do_vfork(struct node *node)
{
	struct node child = child_of(node);
	pid_t pid = vfork_guest(&child);

	if (pid > 0)
		wait_for(pid);
}

static void do_clone_vm(struct node *node, unsigned long flags)
{
	struct node child = child_of(node);
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (stack == MAP_FAILED)
		return;
	pid = clone(cloned_guest, stack + STACK, CLONE_VM | SIGCHLD | flags,
		    &child);
	if (pid > 0) {
		do_simple(&node->random);
		/* A meeting while somebody else uses the memory. */
		rest_helpers();
		if (!below(&node->random, 3))
			meet(node, false);
		wait_for(pid);
	}
	munmap(stack, STACK);
}

/* A child that is killed in the middle of things, with all threads. It is
 * restless: it must not be killed when it meets the controller.
 */
static void do_kill(struct node *node)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGSEGV };
	struct node child = child_of(node);
	struct work work = { .random = draw(&node->random), .n = 1000 };
	pid_t pid = fork();
	pthread_t thread;

	if (!pid) {
		if (below(&child.random, 2))
			pthread_create(&thread, NULL, work_thread, &work);
		for (int i = 0; i < 1000; i++)
			do_simple(&child.random);
		_exit(0);
	}
	if (pid < 0)
		return;
	nap(below(&node->random, 900));
	kill(pid, signals[below(&node->random, 3)]);
	wait_for(pid);
}

/* A child whose death is the end of the file. */
static void do_orphaned_pipe(struct node *node)
{
	struct node child = child_of(node);
	int pair[2];
	pid_t pid;
	char byte;

	if (pipe2(pair, O_CLOEXEC))
		return;
	pid = fork();
	if (!pid) {
		close(pair[0]);
		do_simple(&child.random);
		_exit(0);
	}
	close(pair[1]);
	while (read(pair[0], &byte, 1) < 0 && errno == EINTR)
		;
	close(pair[0]);
	if (pid > 0)
		wait_for(pid);
}

/* --- signals and timers --- */

static void do_signals(struct node *node)
{
	unsigned int n = 1 + below(&node->random, 5);

	while (n--) {
		kill(getpid(), below(&node->random, 2) ? SIGUSR1 : SIGUSR2);
		do_reads(1);
	}
}

/* Off when this returns: no timer disturbs a meeting. */
static void do_itimer(struct node *node)
{
	int which = below(&node->random, 4) ? ITIMER_REAL : ITIMER_PROF;
	struct itimerval time = {
		.it_value.tv_usec = 100 + below(&node->random, 400),
		.it_interval.tv_usec = 200 + below(&node->random, 400),
	};
	unsigned int n = 1 + below(&node->random, 3);

	setitimer(which, &time, NULL);
	while (n--) {
		do_spin(&node->random);
		do_sleeps(&node->random, 1);
	}
	memset(&time, 0, sizeof(time));
	setitimer(which, &time, NULL);
}

static void do_timer(struct node *node)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGUSR2,
	};
	struct itimerspec time = {
		.it_value.tv_nsec = 50000 + below(&node->random, 300000),
		.it_interval.tv_nsec = 100000 + below(&node->random, 300000),
	};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		return;
	timer_settime(timer, 0, &time, NULL);
	do_simple(&node->random);
	do_spin(&node->random);
	timer_delete(timer);
}

/* To the other control group and back. */
static void do_cgroup(struct node *node)
{
	static const char *const groups[] = {
		"/sys/fs/cgroup/kview-oracle/cgroup.procs",
		"/sys/fs/cgroup/cgroup.procs",
	};
	int fd = open(groups[below(&node->random, 2)], O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ignore(write(fd, "0", 1));
	close(fd);
}

/* --- io_uring --- */

/* Requests that a worker does, a thread of the process that comes from the
 * kernel. It stays for a while, so this process has no more meetings.
 */
static void do_uring(struct node *node)
{
	struct io_uring_params params = {};
	unsigned int n = 1 + below(&node->random, 3);
	struct io_uring_sqe *entries;
	char *ring, *map;
	char bytes[4];
	int fd;

	node->restless = true;
	fd = syscall(SYS_io_uring_setup, 4, &params);
	if (fd < 0)
		return;
	ring = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    IORING_OFF_SQ_RING);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   IORING_OFF_SQES);
	if (ring == MAP_FAILED || map == MAP_FAILED)
		goto out;
	entries = (struct io_uring_sqe *)map;
	for (unsigned int i = 0; i < n; i++) {
		entries[i] = (struct io_uring_sqe){
			.opcode = IORING_OP_READ,
			.flags = IOSQE_ASYNC,
			.fd = zero_fd,
			.addr = (uintptr_t)&bytes[i],
			.len = 1,
		};
		((uint32_t *)(ring + params.sq_off.array))[i] = i;
	}
	__atomic_store_n((uint32_t *)(ring + params.sq_off.tail), n,
			 __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, fd, n, n, IORING_ENTER_GETEVENTS, NULL, 0);
out:
	if (ring != MAP_FAILED)
		munmap(ring, PAGE);
	if (map != MAP_FAILED)
		munmap(map, PAGE);
	close(fd);
}

/* --- ends --- */

static void *late_thread(void *argument)
{
	work_thread(argument);
	return NULL;
}

static void *ending_thread(void *argument)
{
	work_thread(argument);
	_exit(0);
}

static void run_late(struct node *node, void *(*thread)(void *), unsigned int n)
{
	static struct work works[2];
	pthread_t unused;

	for (unsigned int i = 0; i < n; i++) {
		works[i].random = draw(&node->random);
		works[i].n = 1 + below(&node->random, 5);
		if (pthread_create(&unused, NULL, thread, &works[i]))
			_exit(0);
	}
}

static void __noreturn end(struct node *node)
{
	switch (below(&node->random, 8)) {
	case 0: /* the leader goes first */
		run_late(node, late_thread, 2);
		for (unsigned int i = 0; i < nr_helpers; i++)
			dismiss_helper(&helpers[i]);
		syscall(SYS_exit, 0);
		break;
	case 1: /* another thread ends all */
		run_late(node, ending_thread, 1);
		for (;;)
			do_simple(&node->random);
	case 2: /* threads are in the middle of things */
		run_late(node, late_thread, 2);
		nap(below(&node->random, 300));
		_exit(0);
	case 3:
		kill(getpid(), SIGKILL);
		break;
	case 4:
		kill(getpid(), SIGSEGV);
		break;
	}
	_exit(0);
}

/* --- all --- */

static void step(struct node *node)
{
	unsigned int what = below(&node->random, 34);
	pthread_t thread;

	if (what >= 8 && what < 17 && !may_have_children(node))
		what = 31;
	switch (what) {
	case 0:
		return do_signals(node);
	case 1:
		return do_itimer(node);
	case 2:
		return do_timer(node);
	case 3:
	case 4:
	case 5:
		rest_helpers();
		return meet(node, false);
	case 6:
		if (!below(&node->random, 3))
			return do_uring(node);
		break;
	case 7:
		if (!below(&node->random, 3))
			return do_cgroup(node);
		break;
	case 8:
	case 9:
		return do_fork(node);
	case 10:
		return do_clone(node, CLONE_FILES);
	case 11:
		return do_clone(node, CLONE_PARENT);
	case 12:
		return do_vfork(node);
	case 13:
		return do_clone_vm(node, CLONE_VFORK);
	case 14:
		return do_clone_vm(node, 0);
	case 15:
		return do_kill(node);
	case 16:
		return do_orphaned_pipe(node);
	case 17:
		return do_threads(node);
	case 18:
	case 19:
		return add_helper();
	case 20:
	case 21:
	case 22:
		if (nr_helpers)
			return use_helper(node);
		break;
	case 23:
		if (nr_helpers)
			return drop_helper();
		break;
	case 24:
		exec_node(node);
		break;
	case 25:
		if (!pthread_create(&thread, NULL, exec_thread, node))
			pthread_join(thread, NULL);
		break;
	}
	do_simple(&node->random);
}

void run_node(struct node *node)
{
	prepare();
	if (!node->meetings && (!node->depth || below(&node->random, 2)))
		meet(node, false);
	while (node->steps) {
		/* Before the step, which may be exec. */
		node->steps--;
		step(node);
	}
	rest_helpers();
	if (below(&node->random, 4))
		wait_for_all();
	if (below(&node->random, 2))
		meet(node, true);
	end(node);
}
