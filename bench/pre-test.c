// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/* Test prctl(PR_SET_BPF_TRACED) of the pre-eBPF kernel; prints TAP. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "demo_printk.skel.h"

#ifndef PR_SET_BPF_TRACED
#define PR_SET_BPF_TRACED 0x6b765057
#endif

#define READS 100

static int zero, number, failed;
static struct demo_printk_bpf *skel;

static void is(const char *what, long expected, long value)
{
	bool ok = expected == value;

	printf("%sok %d %s\n", ok ? "" : "not ", ++number, what);
	if (!ok) {
		printf("# expected %ld, not %ld\n", expected, value);
		failed++;
	}
	fflush(stdout);
}

static long set_traced(unsigned long tgid, unsigned long on, unsigned long a,
		       unsigned long b)
{
	return prctl(PR_SET_BPF_TRACED, tgid, on, a, b) ? -errno : 0;
}

static void *reads(void *unused)
{
	char byte;

	(void)unused;
	for (int i = 0; i < READS; i++)
		if (read(zero, &byte, 1) != 1)
			err(1, "read");
	return NULL;
}

/* Events of READS reads here. */
static long events(void)
{
	__u64 before = skel->bss->count;

	reads(NULL);
	return skel->bss->count - before;
}

static long events_of_child(void)
{
	__u64 before = skel->bss->count;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		reads(NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return skel->bss->count - before;
}

static long events_of_thread(void)
{
	__u64 before = skel->bss->count;
	pthread_t thread;

	if (pthread_create(&thread, NULL, reads, NULL))
		errx(1, "pthread_create");
	pthread_join(thread, NULL);
	return skel->bss->count - before;
}

static long without_capabilities(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		err(1, "fork");
	if (!pid)
		_exit(setresuid(65534, 65534, 65534) ? 0 :
						       -set_traced(0, 1, 0, 0));
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void with(struct bpf_link *link, const char *what)
{
	char text[100];

	if (!link)
		err(1, "attach %s", what);
	snprintf(text, sizeof(text), "%s: not run at first", what);
	is(text, 0, events());
	is("switched on", 0, set_traced(getpid(), 1, 0, 0));
	snprintf(text, sizeof(text), "%s: run for each event", what);
	is(text, READS, events());
	snprintf(text, sizeof(text), "%s: run for a new thread", what);
	/* The other system calls of a thread's life are no read()s. */
	is(text, READS, events_of_thread());
	snprintf(text, sizeof(text), "%s: not run for a child", what);
	is(text, 0, events_of_child());
	is("switched off", 0, set_traced(0, 0, 0, 0));
	snprintf(text, sizeof(text), "%s: not run again", what);
	is(text, 0, events());
	bpf_link__destroy(link);
}

/* Of the programs, the ones below; others are for functions yet to be named. */
static void load_programs(void)
{
	struct bpf_program *program;

	skel = demo_printk_bpf__open();
	if (!skel)
		err(1, "BPF programs");
	bpf_object__for_each_program(program, skel->obj)
		bpf_program__set_autoload(program, false);
	bpf_program__set_autoload(skel->progs.count_event, true);
	bpf_program__set_autoload(skel->progs.count_read, true);
	bpf_program__set_autoload(skel->progs.count_kprobe, true);
	if (demo_printk_bpf__load(skel))
		err(1, "load BPF programs");
}

int main(void)
{
	zero = open("/dev/zero", O_RDONLY);
	if (zero < 0)
		err(1, "/dev/zero");
	load_programs();
	printf("TAP version 13\n1..%d\n", 6 + 3 * 7);

	is("EINVAL: neither on nor off", -EINVAL, set_traced(0, 2, 0, 0));
	is("EINVAL: fourth argument", -EINVAL, set_traced(0, 1, 1, 0));
	is("EINVAL: fifth argument", -EINVAL, set_traced(0, 1, 0, 1));
	is("ESRCH: no such process", -ESRCH, set_traced(1 << 30, 1, 0, 0));
	is("EPERM: without capabilities", EPERM, without_capabilities());
	is("back to off", 0, set_traced(0, 0, 0, 0));

	with(bpf_program__attach_tracepoint(skel->progs.count_event, "syscalls",
					    "sys_enter_read"),
	     "syscall tracepoint");
	with(bpf_program__attach_raw_tracepoint(skel->progs.count_read,
						"sys_enter"),
	     "raw tracepoint");
	with(bpf_program__attach_kprobe(skel->progs.count_kprobe, false,
					"__x64_sys_read"),
	     "kprobe");
	return failed ? 1 : 0;
}
