// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * What a system call, a page fault, a switch, or a new process, thread or
 * program costs a process while a tracing program is attached for another one,
 * or for itself.
 *
 * Two workers, T and U, are forked at the start, so that they are alike; both
 * and the parent are bound to one CPU. The parent attaches the program for T in
 * the way asked for, then has the workers make system calls, one worker at a
 * time, while the others sleep. Each call is timed by itself with the time
 * stamp counter, less what reading it costs: under qemu/vm --clock icount the
 * unit is instructions. What a call needs to be repeatable, such as emptying
 * the socket, is done between the calls. The cost of an interrupt counts, if
 * it hits a call.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/bpf.h>
#include <linux/futex.h>
#include "attach.h"
#include "functions.h"

#define MAX_RUNS 1000
#define MAX_CALLS 1000000
#define WARM_UP 2000
/* Of a call that makes a process or a thread. */
#define WARM_UP_LIFE 200

/* What is timed; the program is on the entry to event_of[], or to func_of[]. */
enum call {
	CALL_READ,
	CALL_TCP,
	CALL_SENDMSG,
	CALL_FAULT,
	CALL_SWITCH,
	CALL_FORK,
	CALL_THREAD,
	CALL_EXEC,
};

static const char *const call_names[] = { "read",   "tcp",  "sendmsg", "fault",
					  "switch", "fork", "thread",  "exec" };
static const char *const event_of[] = { "sys_enter_read",    "sys_enter_read",
					"sys_enter_sendmsg", "sys_enter_read",
					"sys_enter_read",    "sys_enter_read",
					"sys_enter_read",    "sys_enter_read" };
/* Of /dev/zero only: whoever waits in the function of all reads occupies a return
 * probe of it, of which there are few.
 */
static const char *const func_of[] = { "read_zero",	"tcp_recvmsg",
				       "__sys_sendmsg", "read_zero",
				       "read_zero",	"read_zero",
				       "read_zero",	"read_zero" };

/* Who makes the calls, and when. */
enum role {
	ROLE_UNTRACED, /* U */
	ROLE_TRACED, /* T */
	ROLE_CHILD, /* a child of T, forked after the attach */
	ROLE_EXEC, /* T, after an exec that follows the attach */
	ROLE_DETACHED, /* T, after the detach */
};
static const char *const role_names[] = { "untraced", "traced", "child", "exec",
					  "detached" };

#define MAX_COPIES 64

static struct {
	enum filter filter;
	bool global_too;
	enum program program;
	unsigned int calls;
	unsigned int runs;
	unsigned int roles;
	unsigned int copies;
	unsigned int hooks;
	const char **functions; /* NULL: chosen by the call */
	unsigned int nr_functions;
	bool list_functions;
	bool no_jumps;
	bool follow_fork;
	double per_ns; /* time stamps a nanosecond; 0: costs are time stamps */
} options = { .calls = 10000, .runs = 10, .copies = 1, .hooks = 1 };

/* Parent to worker. */
struct command {
	enum call call;
	unsigned int calls;
	unsigned int runs;
	bool in_child; /* let a child do it */
	bool exec; /* exec this program first */
};

/* Worker to parent. */
struct result {
	double average; /* of the runs' averages */
	double deviation;
	uint32_t usual; /* the most frequent cost of one call */
	double share; /* of the calls that cost that */
	uint32_t median;
	uint64_t calls; /* that were made, those to warm up included */
};

struct worker {
	pid_t pid;
	int to;
	int from;
};

/* --- the worker --- */

static uint32_t *costs;

static long raw_syscall(long nr, long a, long b, long c)
{
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return ret;
}

static inline uint32_t timed_call(long nr, long a, long b, long c,
				  long expected)
{
	uint64_t start = __rdtsc();
	long ret = raw_syscall(nr, a, b, c);
	uint64_t end = __rdtsc();

	if (ret != expected)
		errx(1, "system call %ld returned %ld", nr, ret);
	return end - start;
}

/* What an empty measurement costs. */
static uint32_t overhead(void)
{
	uint32_t least = UINT32_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t start = __rdtsc();
		uint32_t cost = __rdtsc() - start;

		if (cost < least)
			least = cost;
	}
	return least;
}

static void calls_of_read(uint32_t *out, unsigned int calls)
{
	static int fd = -1;
	char byte;

	if (fd < 0)
		fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/zero");
	for (unsigned int i = 0; i < calls; i++)
		out[i] = timed_call(SYS_read, fd, (long)&byte, 1, 1);
}

/* Two ends of one connection over loopback. */
static void connect_tcp(int pair[2])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	socklen_t size = sizeof(address);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || pair[0] < 0 ||
	    bind(listener, (struct sockaddr *)&address, size) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &size) ||
	    connect(pair[0], (struct sockaddr *)&address, size))
		err(1, "connection over loopback");
	pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (pair[1] < 0 ||
	    setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		err(1, "connection over loopback");
	close(listener);
}

/* A read() of a TCP connection that empties it, and says so to the sender. */
static void calls_of_tcp(uint32_t *out, unsigned int calls)
{
	static int pair[2] = { -1, -1 };
	char byte = 0;

	if (pair[0] < 0)
		connect_tcp(pair);
	for (unsigned int i = 0; i < calls; i++) {
		if (send(pair[0], &byte, 1, 0) != 1)
			err(1, "send");
		out[i] = timed_call(SYS_read, pair[1], (long)&byte, 1, 1);
	}
}

static void calls_of_sendmsg(uint32_t *out, unsigned int calls)
{
	static int pair[2] = { -1, -1 };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (pair[0] < 0 &&
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		err(1, "socketpair");
	for (unsigned int i = 0; i < calls; i++) {
		out[i] = timed_call(SYS_sendmsg, pair[0], (long)&msg, 0, 1);
		if (recv(pair[1], &byte, 1, 0) != 1)
			err(1, "recv");
	}
}

/* A write to a page that is not there. */
static void calls_of_fault(uint32_t *out, unsigned int calls)
{
	static volatile char *page;

	if (!page)
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		err(1, "mmap");
	for (unsigned int i = 0; i < calls; i++) {
		uint64_t start, end;

		if (madvise((void *)page, 4096, MADV_DONTNEED))
			err(1, "madvise");
		start = __rdtsc();
		*page = 1;
		end = __rdtsc();
		out[i] = end - start;
	}
}

/* A message to a process on the same CPU, and its answer: two switches. */
static void calls_of_switch(uint32_t *out, unsigned int calls)
{
	int there[2], back[2], status;
	char byte = 0;
	pid_t pid;

	if (pipe(there) || pipe(back))
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		close(there[1]);
		close(back[0]);
		while (raw_syscall(SYS_read, there[0], (long)&byte, 1) == 1)
			raw_syscall(SYS_write, back[1], (long)&byte, 1);
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	for (unsigned int i = 0; i < calls; i++) {
		uint64_t start = __rdtsc(), end;

		raw_syscall(SYS_write, there[1], (long)&byte, 1);
		if (raw_syscall(SYS_read, back[0], (long)&byte, 1) != 1)
			errx(1, "no answer");
		end = __rdtsc();
		out[i] = end - start;
	}
	close(there[1]);
	close(back[0]);
	waitpid(pid, &status, 0);
}

/* A child that ends at once, and is waited for. */
static void calls_of_fork(uint32_t *out, unsigned int calls)
{
	for (unsigned int i = 0; i < calls; i++) {
		uint64_t start = __rdtsc(), end;
		long pid = raw_syscall(SYS_fork, 0, 0, 0);

		if (!pid)
			raw_syscall(SYS_exit_group, 0, 0, 0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			errx(1, "fork");
		end = __rdtsc();
		out[i] = end - start;
	}
}

#define STACK_SIZE 16384

/* A thread that ends at once, and is waited for. */
static void calls_of_thread(uint32_t *out, unsigned int calls)
{
	const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			   CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
			   CLONE_CHILD_CLEARTID;
	static volatile int tid;
	static char *stack;

	if (!stack)
		stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (stack == MAP_FAILED)
		err(1, "mmap");
	for (unsigned int i = 0; i < calls; i++) {
		register long r10 asm("r10") = (long)&tid;
		register long r8 asm("r8") = 0;
		uint64_t start = __rdtsc(), end;
		long ret;
		int seen;

		asm volatile("syscall\n\t"
			     "test %%rax, %%rax\n\t"
			     "jnz 1f\n\t"
			     "mov %[exit], %%eax\n\t"
			     "xor %%edi, %%edi\n\t"
			     "syscall\n"
			     "1:"
			     : "=a"(ret)
			     : "a"(SYS_clone), "D"(flags),
			       "S"(stack + STACK_SIZE), "d"(&tid), "r"(r10),
			       "r"(r8), [exit] "i"(SYS_exit)
			     : "rcx", "r11", "memory");
		if (ret < 0)
			errx(1, "clone");
		while ((seen = tid))
			syscall(SYS_futex, &tid, FUTEX_WAIT, seen, NULL);
		end = __rdtsc();
		out[i] = end - start;
	}
}

/* A program that does nothing but end, by a child that is waited for. */
static void calls_of_exec(uint32_t *out, unsigned int calls)
{
	static const unsigned char code[] = {
		0xb8, SYS_exit_group, 0, 0, 0, /* mov $SYS_exit_group, %eax */
		0x31, 0xff, /* xor %edi, %edi */
		0x0f, 0x05, /* syscall */
	};
	static int fd = -1;

	if (fd < 0) {
		struct {
			Elf64_Ehdr header;
			Elf64_Phdr program;
			unsigned char code[sizeof(code)];
		} image = {};

		memcpy(image.header.e_ident, ELFMAG, SELFMAG);
		image.header.e_ident[EI_CLASS] = ELFCLASS64;
		image.header.e_ident[EI_DATA] = ELFDATA2LSB;
		image.header.e_ident[EI_VERSION] = EV_CURRENT;
		image.header.e_type = ET_EXEC;
		image.header.e_machine = EM_X86_64;
		image.header.e_version = EV_CURRENT;
		image.header.e_entry =
			0x400000 + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
		image.header.e_phoff = sizeof(Elf64_Ehdr);
		image.header.e_ehsize = sizeof(Elf64_Ehdr);
		image.header.e_phentsize = sizeof(Elf64_Phdr);
		image.header.e_phnum = 1;
		image.program.p_type = PT_LOAD;
		image.program.p_flags = PF_R | PF_X;
		image.program.p_vaddr = 0x400000;
		image.program.p_filesz = sizeof(image);
		image.program.p_memsz = sizeof(image);
		image.program.p_align = 4096;
		memcpy(image.code, code, sizeof(code));
		fd = memfd_create("program", 0);
		if (fd < 0 || write(fd, &image, sizeof(image)) != sizeof(image))
			err(1, "memfd_create");
	}
	for (unsigned int i = 0; i < calls; i++) {
		char *argv[] = { "program", NULL }, *envp[] = { NULL };
		uint64_t start = __rdtsc(), end;
		long pid = raw_syscall(SYS_fork, 0, 0, 0);
		int status;

		if (!pid) {
			syscall(SYS_execveat, fd, "", argv, envp,
				AT_EMPTY_PATH);
			_exit(1);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			errx(1, "exec");
		end = __rdtsc();
		out[i] = end - start;
	}
}

static void make_calls(enum call call, uint32_t *out, unsigned int calls)
{
	switch (call) {
	case CALL_READ:
		return calls_of_read(out, calls);
	case CALL_TCP:
		return calls_of_tcp(out, calls);
	case CALL_SENDMSG:
		return calls_of_sendmsg(out, calls);
	case CALL_FAULT:
		return calls_of_fault(out, calls);
	case CALL_SWITCH:
		return calls_of_switch(out, calls);
	case CALL_FORK:
		return calls_of_fork(out, calls);
	case CALL_THREAD:
		return calls_of_thread(out, calls);
	case CALL_EXEC:
		return calls_of_exec(out, calls);
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void find_usual(uint32_t *sorted, size_t n, struct result *result)
{
	size_t best = 0;

	qsort(sorted, n, sizeof(*sorted), compare);
	for (size_t i = 0, j; i < n; i = j) {
		for (j = i; j < n && sorted[j] == sorted[i];)
			j++;
		if (j - i > best) {
			best = j - i;
			result->usual = sorted[i];
		}
	}
	result->share = (double)best / n;
	result->median = sorted[n / 2];
}

static struct result measure(const struct command *command)
{
	unsigned int warm_up = command->call < CALL_FORK ? WARM_UP :
							   WARM_UP_LIFE;
	uint32_t *out = costs, less = overhead();
	double sum = 0, squares = 0;
	struct result result = {};

	result.calls = warm_up + (uint64_t)command->calls * command->runs;
	make_calls(command->call, out, warm_up);
	for (unsigned int run = 0; run < command->runs; run++) {
		double average = 0;

		make_calls(command->call, out, command->calls);
		for (unsigned int i = 0; i < command->calls; i++) {
			out[i] -= less;
			average += out[i];
		}
		average /= command->calls;
		sum += average;
		squares += average * average;
		out += command->calls;
	}
	result.average = sum / command->runs;
	if (command->runs > 1) {
		double variance = (squares - sum * sum / command->runs) /
				  (command->runs - 1);

		result.deviation = variance > 0 ? sqrt(variance) : 0;
	}
	find_usual(costs, (size_t)command->calls * command->runs, &result);
	return result;
}

/* Room for the costs, in memory before it is needed. */
static void prepare(unsigned int calls, unsigned int runs)
{
	size_t size = ((size_t)calls * runs + WARM_UP) * sizeof(*costs);

	costs = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (costs == MAP_FAILED)
		err(1, "mmap");
}

static void do_command(const struct command *command, int to)
{
	struct result result;
	int status;
	pid_t pid;

	if (!command->in_child) {
		result = measure(command);
		if (write(to, &result, sizeof(result)) != sizeof(result))
			err(1, "write");
		return;
	}
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		/* Its own copy of the pages that will be written. */
		memset(costs, 0,
		       (size_t)command->calls * command->runs * sizeof(*costs));
		result = measure(command);
		_exit(write(to, &result, sizeof(result)) != sizeof(result));
	}
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "the child failed");
}

static void worker_loop(int from, int to)
{
	struct command command;

	while (read(from, &command, sizeof(command)) == sizeof(command)) {
		if (command.exec) {
			char a[3][12];

			snprintf(a[0], sizeof(a[0]), "%d", from);
			snprintf(a[1], sizeof(a[1]), "%d", to);
			execl("/proc/self/exe", "worker", "--worker", a[0],
			      a[1], (char *)NULL);
			err(1, "exec");
		}
		if (!costs)
			prepare(command.calls, command.runs);
		do_command(&command, to);
	}
	exit(0);
}

/* --- the parent --- */

static struct worker start_worker(void)
{
	struct worker worker;
	int down[2], up[2];

	/* The ends of the other worker stay open here: it ends with us anyway. */
	if (pipe(down) || pipe(up))
		err(1, "pipe");
	worker.pid = fork();
	if (worker.pid < 0)
		err(1, "fork");
	if (!worker.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(down[1]);
		close(up[0]);
		worker_loop(down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	fcntl(down[1], F_SETFD, FD_CLOEXEC);
	fcntl(up[0], F_SETFD, FD_CLOEXEC);
	worker.to = down[1];
	worker.from = up[0];
	return worker;
}

static void send_command(struct worker *worker, const struct command *command)
{
	if (write(worker->to, command, sizeof(*command)) != sizeof(*command))
		err(1, "a worker is gone");
}

static struct result run_command(struct worker *worker,
				 const struct command *command)
{
	struct result result;

	send_command(worker, command);
	if (read(worker->from, &result, sizeof(result)) != sizeof(result))
		errx(1, "a worker failed");
	return result;
}

static struct attachment *attach(enum call call, pid_t pid)
{
	const char *first = func_of[call];
	struct plan plan = {
		.filter = options.filter,
		.program = options.program,
		.hook = { .event = event_of[call],
			  .funcs = &first,
			  .nr_funcs = 1 },
		.target = pid,
		.view_flags = options.follow_fork ? BPF_F_VIEW_FOLLOW_FORK : 0,
		.copies = options.copies,
		.global_too = options.global_too,
	};

	if (options.functions) {
		plan.hook.funcs = options.functions;
		plan.hook.nr_funcs = options.hooks;
		if (options.hooks > options.nr_functions)
			errx(1, "only %u functions are named",
			     options.nr_functions);
	} else if (options.hooks > 1) {
		plan.hook.funcs = choose_functions(first, options.hooks);
		plan.hook.nr_funcs = options.hooks;
	}
	return attach_plan(&plan);
}

static void print_result(enum call call, enum role role,
			 const struct result *result, uint64_t events)
{
	double unit = options.per_ns ? options.per_ns : 1;

	printf("%s%s\t%s\t%s\t%.2f\t%.2f\t%.0f\t%.3f\t%.1f\t%lu\t%lu\n",
	       filter_names[options.filter], options.global_too ? "+post" : "",
	       call_names[call], role_names[role], result->average / unit,
	       result->deviation / unit, result->usual / unit, result->share,
	       result->median / unit, result->calls, events);
	fflush(stdout);
}

/* Let traced events happen, or not, as the role wants it, and measure. */
static void bench(struct worker *t, struct worker *u, enum call call)
{
	struct command command = { .call = call,
				   .calls = options.calls,
				   .runs = options.runs };
	struct attachment *at = attach(call, t->pid);

	/* A kprobe of everybody becomes a jump a while later. */
	if (options.program == PROGRAM_INSTRUCTION)
		usleep(500000);
	for (enum role role = 0; role < ARRAY_SIZE(role_names); role++) {
		struct worker *worker = role == ROLE_UNTRACED ? u : t;
		struct result result;
		uint64_t before;

		if (role == ROLE_DETACHED) {
			detach_all(at);
			at = NULL;
			/* Freeing takes a while: it is not the worker's cost. */
			usleep(200000);
		}
		if (!(options.roles & 1U << role))
			continue;
		command.in_child = role == ROLE_CHILD;
		if (role == ROLE_EXEC) {
			struct command exec = { .exec = true };

			send_command(t, &exec);
		}
		before = at ? count_events(at) : 0;
		result = run_command(worker, &command);
		print_result(call, role, &result,
			     at ? count_events(at) - before : 0);
	}
}

/* Time stamps a nanosecond, by the kernel's clock, within 1/10000 or better. */
static double stamps_per_ns(void)
{
	struct timespec start, end;
	uint64_t first, last;

	clock_gettime(CLOCK_MONOTONIC_RAW, &start);
	first = __rdtsc();
	usleep(500000);
	clock_gettime(CLOCK_MONOTONIC_RAW, &end);
	last = __rdtsc();
	return (last - first) / ((end.tv_sec - start.tv_sec) * 1e9 +
				 (end.tv_nsec - start.tv_nsec));
}

/* The functions that a call passes each time, and nothing else is done. */
static void list_functions(enum call call)
{
	const unsigned int calls = 8;

	prepare(WARM_UP, 1);
	make_calls(call, costs, WARM_UP);
	trace_functions(true);
	make_calls(call, costs, calls);
	trace_functions(false);
	print_traced_functions(call == CALL_SENDMSG ? "__x64_sys_sendmsg" :
						      "__x64_sys_read",
			       calls);
}

/* --- options --- */

static unsigned int parse_roles(char *arg)
{
	unsigned int roles = 0;

	for (char *name = strtok(arg, ","); name; name = strtok(NULL, ","))
		roles |= 1U << index_of(role_names, ARRAY_SIZE(role_names),
					name, "role");
	return roles;
}

static void forbid_jumps(void)
{
	FILE *file = fopen("/proc/sys/debug/kprobes-optimization", "we");

	if (!file || fputs("0", file) < 0 || fclose(file))
		err(1, "debug.kprobes-optimization");
}

static const struct argp_option argp_options[] = {
	{ "calls", 'c', "N", 0, "calls of one run (10000)", 0 },
	{ "runs", 'r', "N", 0, "runs (10)", 0 },
	{ "filter", 'f', "none|post|in|pre|view", 0,
	  "what keeps the program to process T (none: attach nothing)", 0 },
	{ "global-too", 'g', NULL, 0,
	  "with --filter view: attach for all processes as well", 0 },
	{ "program", 'p', PROGRAM_CHOICE, 0,
	  "bpf_printk() or a counter on syscalls:sys_enter_*, or a counter on sys_enter, or on a function of the call, or on its second instruction",
	  0 },
	{ "copies", 'n', "N", 0, "attach so many programs (1)", 0 },
	{ "hooks", 'H', "N", 0,
	  "with a program on a function: on so many functions (1)", 0 },
	{ "functions", 'F', "NAME,...|FILE", 0,
	  "those functions, in this order (a FILE has a / in its name)", 0 },
	{ "list-functions", 'l', NULL, 0,
	  "attach nothing, print the functions that a call passes", 0 },
	{ "follow-fork", 'k', NULL, 0,
	  "with --filter view: children of T are targets, too", 0 },
	{ "nanoseconds", 't', NULL, 0,
	  "print nanoseconds instead of time stamp counts", 0 },
	{ "no-jumps", 'J', NULL, 0,
	  "keep kprobes of everybody from becoming jumps", 0 },
	{ "roles", 'R', "untraced,traced,child,exec,detached", 0,
	  "who makes the calls (untraced,traced)", 0 },
	{}
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	(void)state;
	switch (key) {
	case 'c':
		options.calls = number_of(arg, 1, MAX_CALLS, "--calls");
		break;
	case 'r':
		options.runs = number_of(arg, 1, MAX_RUNS, "--runs");
		break;
	case 'f':
		options.filter = index_of(
			filter_names, ARRAY_SIZE(filter_names), arg, "filter");
		break;
	case 'g':
		options.global_too = true;
		break;
	case 'p':
		options.program = index_of(program_names,
					   ARRAY_SIZE(program_names), arg,
					   "program");
		break;
	case 'n':
		options.copies = number_of(arg, 1, MAX_COPIES, "--copies");
		break;
	case 'H':
		options.hooks = number_of(arg, 1, MAX_HOOKS, "--hooks");
		break;
	case 'F':
		options.functions = parse_functions(arg, &options.nr_functions);
		break;
	case 'l':
		options.list_functions = true;
		break;
	case 'k':
		options.follow_fork = true;
		break;
	case 't':
		options.per_ns = stamps_per_ns();
		break;
	case 'J':
		options.no_jumps = true;
		break;
	case 'R':
		options.roles = parse_roles(arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "read|tcp|sendmsg|fault|switch|fork|thread|exec...",
	.doc = "What a system call, a page fault, two switches between processes, or the life of a process, thread or program cost "
	       "while a BPF program is attached.\v"
	       "Prints, separated by tabs: filter, call, role, average cost of a call, "
	       "standard deviation of the runs' averages, the most frequent cost, "
	       "the share of the calls that cost that, the median cost, the calls "
	       "that were made, and the events that the program has seen meanwhile.",
};

int main(int argc, char **argv)
{
	struct worker t, u;
	cpu_set_t set;
	int cpu = 0;
	int first;

	if (argc == 4 && !strcmp(argv[1], "--worker"))
		worker_loop(atoi(argv[2]), atoi(argv[3]));

	options.roles = 1U << ROLE_UNTRACED | 1U << ROLE_TRACED;
	argp_parse(&argp, argc, argv, 0, &first, NULL);
	if (options.global_too && options.filter != FILTER_VIEW)
		errx(2, "--global-too goes with --filter view");
	if (options.follow_fork && options.filter != FILTER_VIEW)
		errx(2, "--follow-fork goes with --filter view");
	if ((options.hooks > 1 || options.functions) &&
	    !program_is_on_function(options.program))
		errx(2,
		     "--hooks and --functions go with programs on functions");
	if (options.list_functions) {
		for (int i = first; i < argc; i++)
			list_functions(index_of(call_names,
						ARRAY_SIZE(call_names), argv[i],
						"call"));
		return 0;
	}

	if (options.no_jumps)
		forbid_jumps();

	/* One CPU: the first that we may use. */
	if (sched_getaffinity(0, sizeof(set), &set))
		err(1, "sched_getaffinity");
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "sched_setaffinity");
	t = start_worker();
	u = start_worker();
	for (int i = first; i < argc; i++)
		bench(&t, &u,
		      index_of(call_names, ARRAY_SIZE(call_names), argv[i],
			       "call"));
	kill(t.pid, SIGKILL);
	kill(u.pid, SIGKILL);
	return 0;
}
