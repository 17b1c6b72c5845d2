// SPDX-License-Identifier: GPL-2.0
/*
 * Does a view deliver exactly the events that the same program with a check of
 * the PID would have delivered? Here that is tried on processes, hooks, links and
 * changes that are all drawn from a number, the seed.
 *
 * A run has a tree of processes (oracle_tree.c), this program as the controller,
 * which makes links and decides who are their targets, and at times a process
 * that disturbs. Each link has two programs that do the same, one attached in
 * views, and one, the oracle, that is attached for everybody and looks the
 * process up in a table of targets. In the end the counts of both must be the
 * same, process by process, and zero for those that never were targets.
 *
 * A view and a table cannot be changed in one instant. So they are changed only
 * when no event of the process can come in between, because it is quiesced: all
 * its tasks sleep in recvfrom(), are off the processor, and nobody but the
 * controller wakes them. See quiesce(). With BPF_F_VIEW_FOLLOW_FORK children become
 * targets while they are made, and get into the table in wake_up_new_task(),
 * before their first instruction.
 *
 * The disturber's links are changed at any time, and are compared with nothing:
 * but what they count must be of processes that were targets at some time.
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "kview_check.h"
#include "oracle.h"
#include "oracle_tree.h"
#include "oracle.skel.h"

static struct oracle_bpf *skel;

static bool verbose;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* --- results --- */

/* What is wrong with this run, and what is worth to know. */
static char diagnosis[8192];
static unsigned int faults;

static void note(const char *format, ...) __printf(1, 2);

static void note(const char *format, ...)
{
	size_t used = strlen(diagnosis);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(diagnosis + used, sizeof(diagnosis) - used, format,
		  arguments);
	va_end(arguments);
}

#define fault(...) (faults++, note(__VA_ARGS__))

#define tell(...)                                 \
	do {                                      \
		if (verbose)                      \
			printf("# " __VA_ARGS__); \
	} while (0)

/* --- hooks --- */

enum kind { RAW, BTF, CLASSIC, KPROBE, INSTRUCTION, MULTI, FENTRY, FEXIT };

struct hook {
	enum kind kind;
	/* "sys_enter"; CATEGORY:NAME if classic; or a function */
	const char *name;
	/* How often it is drawn. */
	unsigned int weight;
	/* Where else its events can be counted, and of which call. */
	enum quiet quiet;
	int nr;
};

static const struct hook hooks[] = {
	{ RAW, "sys_enter", 6, QUIET_ENTER, ANY_SYSCALL },
	{ RAW, "sys_exit", 6, QUIET_EXIT, ANY_SYSCALL },
	{ BTF, "sys_enter", 3, QUIET_ENTER, ANY_SYSCALL },
	{ BTF, "sys_exit", 3, QUIET_EXIT, ANY_SYSCALL },
	{ CLASSIC, "raw_syscalls:sys_enter", 2, QUIET_ENTER, ANY_SYSCALL },
	{ CLASSIC, "raw_syscalls:sys_exit", 2, QUIET_EXIT, ANY_SYSCALL },
	{ CLASSIC, "syscalls:sys_enter_read", 3, QUIET_ENTER, SYS_read },
	{ CLASSIC, "syscalls:sys_exit_read", 3, QUIET_EXIT, SYS_read },
	{ CLASSIC, "syscalls:sys_enter_write", 2, QUIET_ENTER, SYS_write },
	{ CLASSIC, "syscalls:sys_enter_openat", 2, QUIET_ENTER, SYS_openat },
	{ CLASSIC, "syscalls:sys_enter_close", 1, QUIET_ENTER, SYS_close },
	{ CLASSIC, "syscalls:sys_exit_recvfrom", 1, QUIET_EXIT, SYS_recvfrom },
	{ CLASSIC, "syscalls:sys_enter_execve", 1, QUIET_ENTER, SYS_execve },
	{ CLASSIC, "syscalls:sys_enter_exit_group", 1, QUIET_ENTER,
	  SYS_exit_group },
	{ RAW, "sched_switch", 6, LOUD, 0 },
	{ BTF, "sched_switch", 2, LOUD, 0 },
	{ CLASSIC, "sched:sched_switch", 3, LOUD, 0 },
	{ RAW, "sched_waking", 3, LOUD, 0 },
	{ BTF, "sched_waking", 1, LOUD, 0 },
	{ RAW, "sched_wakeup", 2, LOUD, 0 },
	{ RAW, "sched_wakeup_new", 1, LOUD, 0 },
	{ RAW, "sched_stat_runtime", 2, LOUD, 0 },
	{ RAW, "sched_migrate_task", 1, LOUD, 0 },
	{ RAW, "sched_process_exit", 3, QUIET_DEATH, ANY_SYSCALL },
	{ BTF, "sched_process_exit", 1, QUIET_DEATH, ANY_SYSCALL },
	{ RAW, "sched_process_exec", 2, QUIET_EXEC, ANY_SYSCALL },
	{ BTF, "sched_process_exec", 1, QUIET_EXEC, ANY_SYSCALL },
	{ RAW, "sched_process_fork", 2, QUIET_FORK, ANY_SYSCALL },
	{ RAW, "task_newtask", 2, QUIET_NEWTASK, ANY_SYSCALL },
	{ RAW, "sched_process_wait", 1, LOUD, 0 },
	{ RAW, "task_rename", 1, LOUD, 0 },
	{ RAW, "signal_generate", 2, LOUD, 0 },
	{ RAW, "signal_deliver", 2, LOUD, 0 },
	{ BTF, "signal_deliver", 1, LOUD, 0 },
	{ CLASSIC, "signal:signal_generate", 1, LOUD, 0 },
	{ RAW, "mmap_lock_start_locking", 2, LOUD, 0 },
	{ RAW, "mmap_lock_released", 2, LOUD, 0 },
	{ BTF, "mmap_lock_released", 1, LOUD, 0 },
	{ CLASSIC, "mmap_lock:mmap_lock_acquire_returned", 1, LOUD, 0 },
	{ RAW, "exit_mmap", 1, LOUD, 0 },
	{ RAW, "vm_unmapped_area", 1, LOUD, 0 },
	{ RAW, "kmalloc", 3, LOUD, 0 },
	{ RAW, "kfree", 3, LOUD, 0 },
	{ RAW, "kmem_cache_alloc", 3, LOUD, 0 },
	{ RAW, "kmem_cache_free", 3, LOUD, 0 },
	{ BTF, "kmem_cache_free", 1, LOUD, 0 },
	{ CLASSIC, "kmem:kmem_cache_alloc", 2, LOUD, 0 },
	{ RAW, "mm_page_alloc", 3, LOUD, 0 },
	{ RAW, "mm_page_free", 3, LOUD, 0 },
	{ RAW, "rss_stat", 1, LOUD, 0 },
	{ RAW, "percpu_alloc_percpu", 1, LOUD, 0 },
	{ RAW, "softirq_entry", 3, LOUD, 0 },
	{ BTF, "softirq_entry", 1, LOUD, 0 },
	{ RAW, "softirq_raise", 2, LOUD, 0 },
	{ CLASSIC, "irq:softirq_exit", 1, LOUD, 0 },
	{ RAW, "irq_handler_entry", 1, LOUD, 0 },
	{ RAW, "local_timer_entry", 3, LOUD, 0 },
	{ RAW, "call_function_entry", 1, LOUD, 0 },
	{ RAW, "call_function_single_entry", 1, LOUD, 0 },
	{ RAW, "hrtimer_start", 2, LOUD, 0 },
	{ RAW, "hrtimer_cancel", 1, LOUD, 0 },
	{ RAW, "hrtimer_expire_entry", 2, LOUD, 0 },
	{ RAW, "timer_expire_entry", 1, LOUD, 0 },
	{ RAW, "timer_start", 1, LOUD, 0 },
	{ RAW, "itimer_expire", 1, LOUD, 0 },
	{ RAW, "workqueue_queue_work", 1, LOUD, 0 },
	{ RAW, "rcu_utilization", 2, LOUD, 0 },
	{ RAW, "cgroup_attach_task", 1, LOUD, 0 },
	{ RAW, "consume_skb", 1, LOUD, 0 },
	{ RAW, "io_uring_queue_async_work", 1, LOUD, 0 },
	{ RAW, "io_uring_complete", 1, LOUD, 0 },
	{ RAW, "contention_begin", 1, LOUD, 0 },
	/*
	 * Functions that interrupts do not call: a kprobe is missed while another
	 * one runs. No kretprobes, which have a limited number of callers.
	 */
	{ KPROBE, "vfs_read", 4, LOUD, 0 },
	{ KPROBE, "vfs_write", 3, LOUD, 0 },
	{ KPROBE, "handle_mm_fault", 3, LOUD, 0 },
	{ KPROBE, "__fput", 2, LOUD, 0 },
	{ KPROBE, "do_sys_openat2", 2, LOUD, 0 },
	{ KPROBE, "copy_process", 2, LOUD, 0 },
	{ KPROBE, "do_exit", 2, LOUD, 0 },
	{ KPROBE, "exit_files", 2, LOUD, 0 },
	{ KPROBE, "exit_notify", 1, LOUD, 0 },
	{ KPROBE, "begin_new_exec", 2, LOUD, 0 },
	{ KPROBE, "dequeue_signal", 2, LOUD, 0 },
	/* Behind the call at the entry: an int3, or a jump for everybody. */
	{ INSTRUCTION, "vfs_read", 4, LOUD, 0 },
	{ INSTRUCTION, "vfs_write", 3, LOUD, 0 },
	{ INSTRUCTION, "handle_mm_fault", 3, LOUD, 0 },
	{ INSTRUCTION, "__fput", 2, LOUD, 0 },
	{ INSTRUCTION, "do_sys_openat2", 2, LOUD, 0 },
	{ INSTRUCTION, "copy_process", 2, LOUD, 0 },
	{ INSTRUCTION, "do_exit", 2, LOUD, 0 },
	{ INSTRUCTION, "begin_new_exec", 2, LOUD, 0 },
	{ INSTRUCTION, "dequeue_signal", 2, LOUD, 0 },
	{ MULTI, "vfs_read", 4, LOUD, 0 },
	{ MULTI, "vfs_write", 3, LOUD, 0 },
	{ MULTI, "handle_mm_fault", 3, LOUD, 0 },
	{ MULTI, "__fput", 2, LOUD, 0 },
	{ MULTI, "do_exit", 2, LOUD, 0 },
	{ MULTI, "exit_files", 2, LOUD, 0 },
	{ MULTI, "begin_new_exec", 2, LOUD, 0 },
	{ FENTRY, "vfs_read", 3, LOUD, 0 },
	{ FENTRY, "vfs_write", 2, LOUD, 0 },
	{ FENTRY, "handle_mm_fault", 2, LOUD, 0 },
	{ FENTRY, "__fput", 2, LOUD, 0 },
	{ FENTRY, "do_sys_openat2", 1, LOUD, 0 },
	{ FENTRY, "dequeue_signal", 1, LOUD, 0 },
	{ FEXIT, "vfs_read", 3, LOUD, 0 },
	{ FEXIT, "vfs_write", 2, LOUD, 0 },
	{ FEXIT, "handle_mm_fault", 2, LOUD, 0 },
	{ FEXIT, "__fput", 2, LOUD, 0 },
	{ FEXIT, "do_sys_openat2", 1, LOUD, 0 },
	{ FEXIT, "dequeue_signal", 1, LOUD, 0 },
};

/* Its programs were loaded for it, and are the same for all links. */
static bool fixed(const struct hook *hook)
{
	return hook->kind == BTF || hook->kind == FENTRY || hook->kind == FEXIT;
}

static const struct hook *draw_hook(uint64_t *random)
{
	unsigned int sum = 0, drawn;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		sum += hooks[i].weight;
	drawn = below(random, sum);
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (drawn < hooks[i].weight)
			return &hooks[i];
		drawn -= hooks[i].weight;
	}
	return NULL;
}

static const char *name_of(const struct hook *hook)
{
	static const char *const kinds[] = { "raw",	    "tp_btf",
					     "tracepoint",  "kprobe",
					     "instruction", "kprobe.multi",
					     "fentry",	    "fexit" };
	static char name[80];

	snprintf(name, sizeof(name), "%s:%s", kinds[hook->kind], hook->name);
	return name;
}

static struct bpf_program *program_of(const struct hook *hook,
				      unsigned int link, enum side side)
{
	static const char *const kinds[] = { "raw",    "btf",	 "classic",
					     "kprobe", "kprobe", "multi",
					     "fentry", "fexit" };
	static const char *const sides[] = { "view", "oracle" };
	char name[64];

	if (fixed(hook))
		snprintf(name, sizeof(name), "%s_%s_%s", kinds[hook->kind],
			 sides[side], hook->name);
	else
		snprintf(name, sizeof(name), "%s_%s_%u", kinds[hook->kind],
			 sides[side], link);
	return bpf_object__find_program_by_name(skel->obj, name);
}

/* Runs that did not take place as an event hit the program itself. */
static uint64_t misses_of(struct bpf_program *program)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &size);
	return info.recursion_misses;
}

/* --- the kernel's interface --- */

static int sys_bpf(int command, union bpf_attr *attr)
{
	int ret = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

/*
 * Where a function has the instruction behind its call: the call is at its start,
 * or behind an endbr, and then there is no instruction at the smaller offset.
 */
static uint64_t offset_of(const struct hook *hook)
{
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .offset = 5);
	static uint8_t offsets[ARRAY_SIZE(hooks)];
	uint8_t *offset = &offsets[hook - hooks];
	struct bpf_link *link;

	if (hook->kind != INSTRUCTION || *offset)
		return *offset;
	link = bpf_program__attach_kprobe_opts(skel->progs.kprobe_noise,
					       hook->name, &opts);
	*offset = link ? 5 : 9;
	bpf_link__destroy(link);
	return *offset;
}

static int create_link(struct bpf_program *program, const struct hook *hook,
		       unsigned int link, uint32_t pid, uint32_t flags)
{
	static const enum bpf_attach_type types[] = {
		BPF_TRACE_RAW_TP, BPF_TRACE_RAW_TP, BPF_PERF_EVENT,
		BPF_PERF_EVENT,	  BPF_PERF_EVENT,   BPF_TRACE_KPROBE_MULTI,
		BPF_TRACE_FENTRY, BPF_TRACE_FEXIT
	};
	union bpf_attr attr = {};
	__u64 cookie = link;

	attr.link_create.prog_fd = program ? bpf_program__fd(program) : -1;
	attr.link_create.attach_type = types[hook->kind];
	switch (hook->kind) {
	case RAW:
	case CLASSIC:
	case BTF:
		if (hook->kind != BTF)
			attr.link_create.tracepoint.name =
				(uintptr_t)hook->name;
		attr.link_create.tracepoint.cookie = link;
		break;
	case KPROBE:
	case INSTRUCTION:
		attr.link_create.kprobe.name = (uintptr_t)hook->name;
		attr.link_create.kprobe.offset = offset_of(hook);
		attr.link_create.kprobe.cookie = link;
		break;
	case MULTI:
		attr.link_create.kprobe_multi.syms = (uintptr_t)&hook->name;
		attr.link_create.kprobe_multi.cookies = (uintptr_t)&cookie;
		attr.link_create.kprobe_multi.cnt = 1;
		break;
	case FENTRY:
	case FEXIT:
		attr.link_create.tracing.cookie = link;
		break;
	}
	attr.link_create.view.pid = pid;
	attr.link_create.view.flags = flags;
	return sys_bpf(BPF_LINK_CREATE, &attr);
}

static int update_targets(int fd, uint32_t op, uint32_t pid)
{
	union bpf_attr attr = {};

	attr.link_update_targets.link_fd = fd;
	attr.link_update_targets.op = op;
	attr.link_update_targets.pids = (uintptr_t)&pid;
	attr.link_update_targets.count = 1;
	return sys_bpf(BPF_LINK_UPDATE_TARGETS, &attr);
}

/* For everybody, as ever. */
static struct bpf_link *attach_stock(struct bpf_program *program,
				     const struct hook *hook, unsigned int link)
{
	LIBBPF_OPTS(bpf_raw_tracepoint_opts, raw, .cookie = link);
	LIBBPF_OPTS(bpf_trace_opts, btf, .cookie = link);
	LIBBPF_OPTS(bpf_tracepoint_opts, classic, .bpf_cookie = link);
	LIBBPF_OPTS(bpf_kprobe_opts, kprobe, .bpf_cookie = link,
		    .offset = offset_of(hook));
	LIBBPF_OPTS(bpf_kprobe_multi_opts, multi);
	const char *colon, *name;
	__u64 cookie = link;
	char category[64];

	switch (hook->kind) {
	case RAW:
		name = hook->name;
		return bpf_program__attach_raw_tracepoint_opts(program, name,
							       &raw);
	case BTF:
	case FENTRY:
	case FEXIT:
		return bpf_program__attach_trace_opts(program, &btf);
	case KPROBE:
	case INSTRUCTION:
		return bpf_program__attach_kprobe_opts(program, hook->name,
						       &kprobe);
	case MULTI:
		name = hook->name;
		multi.syms = &name;
		multi.cookies = &cookie;
		multi.cnt = 1;
		return bpf_program__attach_kprobe_multi_opts(program, NULL,
							     &multi);
	case CLASSIC:
		colon = strchr(hook->name, ':');
		snprintf(category, sizeof(category), "%.*s",
			 (int)(colon - hook->name), hook->name);
		return bpf_program__attach_tracepoint_opts(program, category,
							   colon + 1, &classic);
	}
	return NULL;
}

/* --- links --- */

struct link {
	const struct hook *hook;
	struct bpf_program *programs[2];
	uint64_t missed[2];
	uint32_t flags;
	bool quiet;
	/* The oracle is attached all the time. */
	bool early;
	int fd;
	struct bpf_link *oracle;
};

static struct link links[STRICT_LINKS];
static unsigned int nr_links;

static struct bpf_link *quiet_links[4];

static void attach_oracle(struct link *link)
{
	unsigned int l = link - links;

	if (link->quiet || link->oracle)
		return;
	link->oracle = attach_stock(link->programs[ORACLE], link->hook, l);
	if (!link->oracle)
		fault("# link %u %s: oracle: %s\n", l, name_of(link->hook),
		      strerror(errno));
}

static void detach_oracle(struct link *link)
{
	bpf_link__destroy(link->oracle);
	link->oracle = NULL;
}

/* The calls that the tasks of a quiesced process are in were entered before it was
 * a target (+1), or are left when it is none any more (-1).
 */
static void correct(struct link *link, uint32_t place, int by)
{
	unsigned int l = link - links;

	if (link->quiet && link->hook->quiet == QUIET_EXIT &&
	    (link->hook->nr == ANY_SYSCALL || link->hook->nr == SYS_recvfrom))
		skel->bss->seen[ORACLE][l][place].n += by;
}

/* The process is quiesced: it has no event until this has been done. */
static void make_link(struct link *link, uint32_t pid, int tasks,
		      uint64_t *random)
{
	uint32_t place = pid - skel->bss->base;
	unsigned int l = link - links;
	bool oracle_first = below(random, 2);
	uint32_t flags = link->flags;
	int pidfd = -1;

	if (oracle_first)
		attach_oracle(link);
	if (!below(random, 4)) {
		pidfd = syscall(SYS_pidfd_open, pid, 0);
		flags |= BPF_F_VIEW_PIDFD;
	}
	link->fd = create_link(link->programs[VIEW], link->hook, l,
			       pidfd < 0 ? pid : (uint32_t)pidfd, flags);
	if (pidfd >= 0)
		close(pidfd);
	tell("link %u %s: create for %u%s%s: %d\n", l, name_of(link->hook),
	     place, link->quiet ? ", quiet" : "",
	     link->flags & BPF_F_VIEW_FOLLOW_FORK ? ", follow" : "", link->fd);
	if (link->fd < 0) {
		fault("# link %u %s: create: %s\n", l, name_of(link->hook),
		      strerror(-link->fd));
		if (!link->early)
			detach_oracle(link);
		return;
	}
	attach_oracle(link);
	skel->bss->member[l][place] = 1;
	skel->bss->ever[l][place] = 1;
	correct(link, place, tasks);
}

static void add_target(struct link *link, uint32_t pid, int tasks)
{
	uint32_t place = pid - skel->bss->base;
	unsigned int l = link - links;
	int error = update_targets(link->fd, BPF_LINK_TARGETS_ADD, pid);

	tell("link %u %s: add %u: %d\n", l, name_of(link->hook), place, error);
	if (error) {
		fault("# link %u %s: add: %s\n", l, name_of(link->hook),
		      strerror(-error));
		return;
	}
	skel->bss->member[l][place] = 1;
	skel->bss->ever[l][place] = 1;
	correct(link, place, tasks);
}

static void del_target(struct link *link, uint32_t pid, int tasks)
{
	uint32_t place = pid - skel->bss->base;
	unsigned int l = link - links;
	int error = update_targets(link->fd, BPF_LINK_TARGETS_DEL, pid);

	tell("link %u %s: del %u: %d\n", l, name_of(link->hook), place, error);
	if (error) {
		fault("# link %u %s: del: %s\n", l, name_of(link->hook),
		      strerror(-error));
		return;
	}
	skel->bss->member[l][place] = 0;
	correct(link, place, -tasks);
}

/* --- quiesced processes --- */

/* A process that has met the controller, and was not answered yet. */
struct guest {
	int fd;
	uint32_t pid;
	int tasks;
	double until;
};

static struct guest held[8];
static unsigned int nr_held;

static const struct guest *held_at(uint32_t place)
{
	for (unsigned int i = 0; i < nr_held; i++)
		if (held[i].pid - skel->bss->base == place)
			return &held[i];
	return NULL;
}

/* Is this task off the processor, in recvfrom()? The kernel answers only when the
 * task has been switched out, and not if it may run.
 */
static bool task_sleeps(uint32_t pid, const char *task)
{
	char path[64], call[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/task/%.10s/syscall", pid, task);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, call, sizeof(call) - 1) < 0)
		call[0] = 0;
	close(fd);
	return atoi(call) == SYS_recvfrom && call[0] != 'r';
}

/* The number of tasks of the process, if all of them sleep, else 0. A thread that
 * has ended may not be listed, and have events all the same: the processor has
 * left it for good only when it is not counted among the live any more.
 */
static int sleeping_tasks(uint32_t pid)
{
	uint32_t place = pid - skel->bss->base;
	struct dirent *entry;
	char path[32];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (!task_sleeps(pid, entry->d_name)) {
			n = 0;
			break;
		}
		n++;
	}
	closedir(dir);
	return n == (int)__atomic_load_n(&skel->bss->live[place],
					 __ATOMIC_SEQ_CST) ?
		       n :
		       0;
}

/* Wait until no task of the process can have an event: from then on, to the answer
 * that it waits for, links and tables can be changed one after the other. Timers
 * are off, and the only processes that are killed have no meetings.
 */
static int quiesce(uint32_t pid)
{
	double end = now() + 20;
	int n;

	while (!(n = sleeping_tasks(pid)) && now() < end)
		usleep(100);
	return n;
}

/* All targets of the link are quiesced, or have been switched out for good. */
static bool may_close(unsigned int l)
{
	for (uint32_t i = 0; i < WINDOW; i++)
		if (skel->bss->member[l][i] &&
		    __atomic_load_n(&skel->bss->live[i], __ATOMIC_SEQ_CST) &&
		    !held_at(i))
			return false;
	return true;
}

static void close_link(struct link *link, bool detach)
{
	unsigned int l = link - links;
	union bpf_attr attr = {};
	int error;

	tell("link %u %s: %s\n", l, name_of(link->hook),
	     detach ? "detach" : "close");
	if (detach) {
		attr.link_detach.link_fd = link->fd;
		error = sys_bpf(BPF_LINK_DETACH, &attr);
		if (error)
			fault("# link %u %s: detach: %s\n", l,
			      name_of(link->hook), strerror(-error));
	}
	close(link->fd);
	link->fd = -1;
	for (uint32_t i = 0; i < WINDOW; i++) {
		const struct guest *guest = held_at(i);

		if (!skel->bss->member[l][i])
			continue;
		skel->bss->member[l][i] = 0;
		if (guest)
			correct(link, i, -guest->tasks);
	}
	if (!link->early)
		detach_oracle(link);
}

/* What is done when a process meets the controller depends on the seed, the node,
 * and how often it has been here.
 */
static void act(uint64_t seed, const struct guest *guest,
		const struct hello *hello)
{
	uint64_t random = mixed(mixed(seed, hello->id), hello->meeting);
	uint32_t place = guest->pid - skel->bss->base;

	tell("meeting %u of node %x, process %u, %d tasks%s%s\n",
	     hello->meeting, hello->id, place, guest->tasks,
	     hello->last ? ", last" : "", hello->guest ? ", guest" : "");
	for (unsigned int l = 0; l < nr_links; l++) {
		unsigned int dice = below(&random, 100);
		struct link *link = &links[l];
		uint64_t own = draw(&random);

		if (link->fd < 0) {
			if (dice < 65)
				make_link(link, guest->pid, guest->tasks, &own);
		} else if (!skel->bss->member[l][place]) {
			if (dice < 40)
				add_target(link, guest->pid, guest->tasks);
		} else if (dice < 12) {
			del_target(link, guest->pid, guest->tasks);
		} else if (dice < 24 && may_close(l)) {
			close_link(link, dice & 1);
		}
	}
}

static void answer(unsigned int i)
{
	send(held[i].fd, "", 1, MSG_NOSIGNAL);
	close(held[i].fd);
	held[i] = held[--nr_held];
}

/* Keep some for a while, so that several are quiesced at the same time. */
static void receive(uint64_t seed, int listener)
{
	struct guest *guest = &held[nr_held];
	struct ucred peer = {};
	socklen_t size = sizeof(peer);
	struct hello hello;

	guest->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (guest->fd < 0)
		return;
	getsockopt(guest->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	guest->pid = peer.pid;
	guest->tasks = 0;
	guest->until = now();
	if (recv(guest->fd, &hello, sizeof(hello), 0) == sizeof(hello) &&
	    guest->pid - skel->bss->base < WINDOW)
		guest->tasks = quiesce(guest->pid);
	nr_held++;
	if (!guest->tasks) {
		fault("# process %u did not come to rest\n",
		      guest->pid - skel->bss->base);
		return;
	}
	act(seed, guest, &hello);
	if (mixed(hello.id, hello.meeting) % 3 == 0 && !hello.guest)
		guest->until += 0.02;
}

/* --- the disturber --- */

/* Its random numbers are its own, but its moments are not. */
static void disturb(uint64_t random)
{
	const struct hook *loose_hooks[LOOSE_LINKS] = {};
	int fds[LOOSE_LINKS] = { -1, -1, -1, -1 };
	struct bpf_link *noise = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!__atomic_load_n(&skel->bss->alive, __ATOMIC_SEQ_CST))
		usleep(200);
	for (;;) {
		unsigned int l = below(&random, LOOSE_LINKS);
		unsigned int link = STRICT_LINKS + l;
		uint32_t i = below(&random, 40);
		uint32_t flags = 0;

		usleep(100 + below(&random, 2000));
		if (!below(&random, 4)) {
			const struct hook *hook = draw_hook(&random);

			/* Where the oracle is quiet, so is this. */
			if (noise) {
				bpf_link__destroy(noise);
				noise = NULL;
			} else if (hook->kind == RAW && !hook->quiet) {
				noise = attach_stock(skel->progs.raw_noise,
						     hook, 0);
			} else if (hook->kind == CLASSIC && !hook->quiet) {
				noise = attach_stock(skel->progs.classic_noise,
						     hook, 0);
			} else if (hook->kind == KPROBE ||
				   hook->kind == INSTRUCTION) {
				noise = attach_stock(skel->progs.kprobe_noise,
						     hook, 0);
			}
			continue;
		}
		if (fds[l] >= 0 && below(&random, 2)) {
			close(fds[l]);
			fds[l] = -1;
			continue;
		}
		/* Somebody who lives, by and large. */
		while (i && !skel->bss->live[i])
			i--;
		if (fds[l] >= 0) {
			if (below(&random, 2)) {
				skel->bss->ever[link][i] = 1;
				update_targets(fds[l], BPF_LINK_TARGETS_ADD,
					       skel->bss->base + i);
			} else {
				update_targets(fds[l], BPF_LINK_TARGETS_DEL,
					       skel->bss->base + i);
			}
			continue;
		}
		do
			loose_hooks[l] = draw_hook(&random);
		while (fixed(loose_hooks[l]));
		if (!below(&random, 4))
			flags |= BPF_F_VIEW_TASK_CONTEXT;
		skel->bss->ever[link][i] = 1;
		fds[l] = create_link(program_of(loose_hooks[l], link, VIEW),
				     loose_hooks[l], link, skel->bss->base + i,
				     flags);
	}
}

static pid_t start_disturber(uint64_t random)
{
	pid_t pid = fork();

	if (!pid)
		disturb(random);
	return pid;
}

/* --- a run --- */

static struct {
	unsigned long seeds;
	unsigned long failed;
	unsigned long links;
	unsigned long processes;
	unsigned long targets;
	unsigned long differences;
	unsigned long explained;
	unsigned long foreign;
	unsigned long long events;
} total;

static double patience = 60;

/* Raw programs work anywhere, but a kernel need not have the tracepoint. */
static bool hook_exists(const struct hook *hook)
{
	static signed char known[ARRAY_SIZE(hooks)];
	size_t i = hook - hooks;
	struct bpf_link *link;

	if (!known[i]) {
		link = attach_stock(program_of(hook, 0, ORACLE), hook, LINKS);
		known[i] = link ? 1 : -1;
		bpf_link__destroy(link);
	}
	return known[i] > 0;
}

static bool pair_taken(const struct hook *hook, unsigned int before)
{
	for (unsigned int l = 0; l < before; l++)
		if (fixed(hook) && links[l].hook == hook)
			return true;
	return false;
}

static void draw_links(uint64_t *random)
{
	bool quiet = below(random, 2);
	bool any_quiet = false;

	nr_links = 1 + below(random, STRICT_LINKS);
	for (unsigned int l = 0; l < nr_links; l++) {
		struct link *link = &links[l];

		*link = (struct link){ .fd = -1 };
		/* Several links on one hook are of interest. */
		do
			link->hook = l && !below(random, 4) ?
					     links[below(random, l)].hook :
					     draw_hook(random);
		while (pair_taken(link->hook, l) || !hook_exists(link->hook));
		link->early = below(random, 2);
		/* All on a hook are, or one that is not would spoil it. */
		link->quiet = quiet && link->hook->quiet;
		if (below(random, 2))
			link->flags |= BPF_F_VIEW_FOLLOW_FORK;
		if (!below(random, 4) && !link->quiet)
			link->flags |= BPF_F_VIEW_TASK_CONTEXT;
		for (int side = VIEW; side <= ORACLE; side++) {
			link->programs[side] = program_of(link->hook, l, side);
			link->missed[side] = misses_of(link->programs[side]);
		}
		skel->bss->follow[l] = !!(link->flags & BPF_F_VIEW_FOLLOW_FORK);
		/* In an int3 all is an interrupt, but those have no others. */
		skel->bss->task_context[l] =
			(link->flags & BPF_F_VIEW_TASK_CONTEXT) &&
			link->hook->kind != INSTRUCTION;
		skel->bss->quiet[l] = link->quiet ? link->hook->quiet : LOUD;
		skel->bss->quiet_nr[l] = link->hook->nr;
		any_quiet |= link->quiet;
		tell("link %u is %s%s%s%s\n", l, name_of(link->hook),
		     link->quiet ? ", quiet" : "",
		     skel->bss->follow[l] ? ", follow" : "",
		     link->flags & BPF_F_VIEW_TASK_CONTEXT ? ", task context" :
							     "");
	}
	if (any_quiet) {
		quiet_links[0] = bpf_program__attach(skel->progs.quiet_call);
		quiet_links[1] = bpf_program__attach(skel->progs.quiet_birth);
		quiet_links[2] = bpf_program__attach(skel->progs.quiet_exec);
		quiet_links[3] = bpf_program__attach(skel->progs.quiet_death);
		for (size_t i = 0; i < ARRAY_SIZE(quiet_links); i++)
			if (!quiet_links[i])
				fault("# quiet program %zu: %s\n", i,
				      strerror(errno));
	}
	for (unsigned int l = 0; l < nr_links; l++)
		if (links[l].early)
			attach_oracle(&links[l]);
}

static void forget(void)
{
	memset(skel->bss->seen, 0, sizeof(skel->bss->seen));
	memset(skel->bss->member, 0, sizeof(skel->bss->member));
	memset(skel->bss->ever, 0, sizeof(skel->bss->ever));
	memset(skel->bss->follow, 0, sizeof(skel->bss->follow));
	memset(skel->bss->task_context, 0, sizeof(skel->bss->task_context));
	memset(skel->bss->quiet, 0, sizeof(skel->bss->quiet));
	memset(skel->bss->in_tree, 0, sizeof(skel->bss->in_tree));
	memset(skel->bss->live, 0, sizeof(skel->bss->live));
	skel->bss->alive = 0;
	skel->bss->processes = 0;
	skel->bss->nr_records = 0;
	/* Nobody is in the window. */
	skel->bss->base = 1U << 30;
	diagnosis[0] = 0;
	faults = 0;
}

/* The first process of the tree has the first PID of the window. */
static pid_t start_tree(uint64_t seed)
{
	struct node root = {
		.random = mixed(seed, 1),
		.id = 1,
		.controller = getpid(),
	};
	pid_t probe = fork();
	pid_t pid;

	if (!probe)
		_exit(0);
	waitpid(probe, NULL, 0);
	skel->bss->base = probe + 1;
	root.budget = 6 + below(&root.random, 30);
	root.steps = 10 + below(&root.random, 20);
	pid = fork();
	if (!pid) {
		/* No link must be kept by the tree. */
		close_range(3, ~0U, 0);
		run_node(&root);
	}
	return pid;
}

/* What is left of the tree, and what it does: "running", or the number of a call
 * and its first argument.
 */
static void show_tree(void)
{
	for (uint32_t i = 0; i < WINDOW; i++) {
		struct dirent *entry;
		char path[64];
		DIR *dir;

		if (!skel->bss->live[i])
			continue;
		snprintf(path, sizeof(path), "/proc/%u/task",
			 skel->bss->base + i);
		dir = opendir(path);
		while (dir && (entry = readdir(dir))) {
			char call[24] = "";
			int fd;

			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "/proc/%.10s/syscall",
				 entry->d_name);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && read(fd, call, sizeof(call) - 1) > 0)
				call[strcspn(call, "\n")] = 0;
			close(fd);
			note("#   process %u (%u tasks), task %s: %s\n", i,
			     skel->bss->live[i], entry->d_name, call);
		}
		if (dir)
			closedir(dir);
	}
}

static void kill_tree(void)
{
	for (uint32_t i = 0; i < WINDOW; i++)
		if (skel->bss->live[i])
			kill(skel->bss->base + i, SIGKILL);
}

/* Until the last task of the tree has been switched out for good: the events of
 * the very end are of interest.
 */
static void attend(uint64_t seed, int listener)
{
	double end = now() + patience;
	bool killed = false;

	while (__atomic_load_n(&skel->bss->alive, __ATOMIC_SEQ_CST)) {
		struct pollfd wait = { .fd = listener, .events = POLLIN };

		if (nr_held == ARRAY_SIZE(held))
			answer(0);
		if (poll(&wait, 1, 2) > 0)
			receive(seed, listener);
		for (unsigned int i = nr_held; i--;)
			if (held[i].until <= now())
				answer(i);
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		if (now() < end)
			continue;
		fault("# %s after %g s, %u tasks are left\n",
		      killed ? "still no end" : "no end", patience,
		      skel->bss->alive);
		show_tree();
		if (killed)
			return;
		kill_tree();
		killed = true;
		end = now() + patience;
	}
}

/* A program that is hit by its own hook in an interrupt does not see that event:
 * the other does. What the view's program has missed is of its targets; what the
 * oracle's has missed may be of anybody. Links that leave out interrupts have no
 * such excuse.
 */
static bool explained(const struct link *link, const uint64_t missed[2],
		      int64_t surplus)
{
	if (link->flags & BPF_F_VIEW_TASK_CONTEXT)
		return false;
	surplus += missed[VIEW];
	return surplus >= 0 && surplus <= (int64_t)missed[ORACLE];
}

/* Both programs of a link see an event on the same processor, one right after the
 * other: find the record of the other program.
 */
static struct record *partner_of(struct record *record, struct record *end)
{
	for (struct record *other = record + 1; other < end; other++)
		if (other->side != record->side &&
		    other->link == record->link && other->tid == record->tid &&
		    other->word == record->word && other->cpu == record->cpu)
			return other;
	return NULL;
}

/* The first events that only one of the programs has seen. */
static void show_records(unsigned int l, uint32_t place)
{
	unsigned int n = skel->bss->nr_records;
	struct record *records = skel->bss->records;
	uint64_t start = records[0].time;
	int lines = 12;

	if (n >= RECORDS)
		note("# only the first %u events were recorded\n", RECORDS);
	n = n < RECORDS ? n : RECORDS;
	for (struct record *r = records; r < records + n && lines; r++) {
		struct record *partner;

		/* Has been found. */
		if (r->link != l || r->place != place)
			continue;
		partner = partner_of(r, records + n);
		if (partner) {
			partner->link = LINKS;
			continue;
		}
		lines--;
		note("#   %s +%llu us, tid %u, processor %u, flags %x, ",
		     r->side == VIEW ? "view only" : "oracle only",
		     (r->time - start) / 1000, r->tid, r->cpu, r->flags);
		note("mm %llx, active %llx, word %llx\n", r->mm, r->active_mm,
		     r->word);
	}
}

static void compare_link(uint64_t seed, unsigned int l)
{
	const struct count *view = skel->bss->seen[VIEW][l];
	const struct count *oracle = skel->bss->seen[ORACLE][l];
	struct link *link = &links[l];
	unsigned int different = 0, foreign = 0;
	uint64_t missed[2];
	int64_t surplus = 0;

	for (int side = VIEW; side <= ORACLE; side++)
		missed[side] =
			misses_of(link->programs[side]) - link->missed[side];
	for (uint32_t i = 0; i <= WINDOW; i++) {
		total.events += view[i].n;
		surplus += view[i].n - oracle[i].n;
		if (view[i].n && (i == OUTSIDE || !skel->bss->ever[l][i]))
			foreign++;
		if (view[i].n != oracle[i].n ||
		    (!link->quiet && view[i].sum != oracle[i].sum))
			different++;
		if (verbose && (view[i].n || oracle[i].n))
			printf("# link %u %s process %u: view %llu oracle %llu\n",
			       l, name_of(link->hook), i, view[i].n,
			       oracle[i].n);
	}
	if (!different)
		return;
	if (!foreign && missed[VIEW] + missed[ORACLE] &&
	    explained(link, missed, surplus)) {
		note("# link %u %s: %lld more events, ", l, name_of(link->hook),
		     (long long)surplus);
		note("missed in interrupts by the oracle %llu, by the view %llu\n",
		     (unsigned long long)missed[ORACLE],
		     (unsigned long long)missed[VIEW]);
		total.explained += different;
		return;
	}
	total.differences += different;
	total.foreign += foreign;
	for (uint32_t i = 0; i <= WINDOW; i++) {
		if (view[i].n == oracle[i].n &&
		    (link->quiet || view[i].sum == oracle[i].sum))
			continue;
		fault("# seed %llu hook %s link %u%s%s%s ",
		      (unsigned long long)seed, name_of(link->hook), l,
		      link->quiet ? " quiet" : "",
		      link->flags & BPF_F_VIEW_FOLLOW_FORK ? " follow" : "",
		      link->flags & BPF_F_VIEW_TASK_CONTEXT ? " task-context" :
							      "");
		note("tgid %u (process %u%s): view %llu oracle %llu%s\n",
		     i == OUTSIDE ? 0 : skel->bss->base + i, i,
		     i == OUTSIDE	    ? ", not of the tree" :
		     !skel->bss->ever[l][i] ? ", never a target" :
					      "",
		     view[i].n, oracle[i].n,
		     view[i].n == oracle[i].n ? ", not the same events" : "");
		if (skel->bss->recording)
			show_records(l, i);
	}
	if (missed[VIEW] || missed[ORACLE])
		note("# missed in interrupts by the oracle %llu, by the view %llu\n",
		     (unsigned long long)missed[ORACLE],
		     (unsigned long long)missed[VIEW]);
}

static void compare(uint64_t seed)
{
	for (unsigned int l = 0; l < nr_links; l++)
		compare_link(seed, l);
	for (unsigned int l = STRICT_LINKS; l < LINKS; l++) {
		for (uint32_t i = 0; i <= WINDOW; i++) {
			__u64 n = skel->bss->seen[VIEW][l][i].n;

			total.events += n;
			if (n && (i == OUTSIDE || !skel->bss->ever[l][i])) {
				total.foreign++;
				fault("# disturber's link %u: %llu events of ",
				      l, n);
				note("process %u, never a target\n", i);
			}
		}
	}
	if (skel->bss->strays)
		fault("# %llu events without a cookie\n", skel->bss->strays);
}

static unsigned int count_targets(void)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < WINDOW; i++) {
		bool is = false;

		for (unsigned int l = 0; l < nr_links; l++)
			is |= skel->bss->ever[l][i];
		n += is;
	}
	return n;
}

/* What the links have left in the views, before the last of them go. */
static void check_memory(void)
{
	struct kview_check check;

	if (kview_check(&check) && check.faults)
		fault("%u faults in the memory of views, the first: %s",
		      check.faults, check.first);
}

/* One seed. True if all is as it should be; with @broken, nothing is reported. */
static bool run(uint64_t seed, unsigned int number, int listener,
		enum broken broken)
{
	uint64_t random = mixed(seed, 0);
	unsigned long long before = total.events;
	pid_t disturber = -1;
	unsigned int targets;

	forget();
	skel->bss->broken = broken;
	draw_links(&random);
	skel->bss->strays = 0;
	/* First, so that it has none of the tree's links. */
	if (below(&random, 2))
		disturber = start_disturber(draw(&random));
	start_tree(seed);
	attend(seed, listener);
	check_memory();
	if (disturber > 0) {
		kill(disturber, SIGKILL);
		waitpid(disturber, NULL, 0);
	}
	for (unsigned int l = 0; l < nr_links; l++) {
		if (links[l].fd >= 0)
			close_link(&links[l], below(&random, 2));
		detach_oracle(&links[l]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(quiet_links); i++) {
		bpf_link__destroy(quiet_links[i]);
		quiet_links[i] = NULL;
	}
	while (nr_held)
		answer(0);
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
	if (broken) {
		unsigned long differences = total.differences;
		unsigned long foreign = total.foreign;

		compare(seed);
		total.differences = differences;
		total.foreign = foreign;
		total.events = before;
		return !faults;
	}
	compare(seed);
	targets = count_targets();
	total.seeds++;
	total.failed += faults > 0;
	total.links += nr_links;
	total.processes += skel->bss->processes;
	total.targets += targets;
	printf("%s %u seed %llu: %u links, %u processes, %u targets, %llu events\n%s",
	       faults ? "not ok" : "ok", number, (unsigned long long)seed,
	       nr_links, skel->bss->processes, targets, total.events - before,
	       diagnosis);
	fflush(stdout);
	return !faults;
}

/* Is a fault of the view found? A run may have no event that could be spoilt. */
static void self_test(uint64_t seed, unsigned int number, int listener,
		      enum broken broken, const char *what)
{
	bool found = false;

	for (int i = 0; i < 20 && !found; i++, seed++) {
		unsigned long before = total.explained;

		found = !run(seed, number, listener, broken);
		if (found && skel->bss->broken)
			found = false;
		/* A missed event can look like the fault: then another run tells. */
		else if (!skel->bss->broken && total.explained == before)
			break;
		total.explained = before;
	}
	printf("%s %u the oracle finds %s\n", found ? "ok" : "not ok", number,
	       what);
	if (found)
		printf("%s", diagnosis);
	else
		total.failed++;
	fflush(stdout);
}

/* --- all --- */

/* PIDs are not used again while there are runs. */
static void raise_pid_limit(void)
{
	int fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "4194304", 7) != 7)
		fprintf(stderr, "oracle: the limit of PIDs is as it was\n");
	close(fd);
}

static int listen_for_nodes(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	meeting_place(address.sun_path + 1, sizeof(address.sun_path) - 1,
		      getpid());
	if (bind(fd, (struct sockaddr *)&address,
		 offsetof(struct sockaddr_un, sun_path) + 1 +
			 strlen(address.sun_path + 1)) ||
	    listen(fd, 64))
		return -1;
	return fd;
}

static const char usage[] =
	"usage: oracle [options]\n"
	"\n"
	"Compare views with programs that check the PID, on random processes.\n"
	"Prints a line for each seed, as TAP, and figures to standard error.\n"
	"\n"
	"  --seed N        this seed alone; with --runs so many times\n"
	"  --runs N        so many seeds (default 1)\n"
	"  --first-seed N  from this one on (default: a random one)\n"
	"  --self-test     and see that faults of views are found\n"
	"  --break HOW     spoil the first event: drop, duplicate, foreign, other\n"
	"  --patience N    seconds after which a run hangs (default 60)\n"
	"  --record        with a difference, show the events that make it\n"
	"  --verbose       say what is done\n";

static int quiet_libbpf(enum libbpf_print_level level, const char *format,
			va_list arguments)
{
	if (!verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, format, arguments);
}

static const struct {
	const char *name;
	const char *what;
} faults_to_find[] = {
	[DROP] = { "drop", "an event that is missing" },
	[DUPLICATE] = { "duplicate", "an event that comes twice" },
	[FOREIGN] = { "foreign", "an event of another process" },
	[OTHER] = { "other", "an event that is another one" },
};

static uint64_t to_number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*end || !*text) {
		fprintf(stderr, "oracle: not a number: '%s'\n", text);
		exit(2);
	}
	return value;
}

static enum broken find_fault(const char *name)
{
	for (size_t i = DROP; i < ARRAY_SIZE(faults_to_find); i++)
		if (!strcmp(faults_to_find[i].name, name))
			return i;
	fprintf(stderr, "oracle: no such fault: '%s'\n", name);
	exit(2);
}

static struct {
	uint64_t first;
	uint64_t runs;
	bool same;
	bool record;
	bool self_test;
	enum broken broken;
} options = { .runs = 1 };

static void parse(int argc, char **argv)
{
	bool chosen = false;

	for (int i = 1; i < argc; i++) {
		const char *option = argv[i];

		if (!strcmp(option, "--verbose")) {
			verbose = true;
		} else if (!strcmp(option, "--self-test")) {
			options.self_test = true;
		} else if (!strcmp(option, "--record")) {
			options.record = true;
		} else if (!strcmp(option, "--help")) {
			printf("%s", usage);
			exit(0);
		} else if (++i == argc) {
			fprintf(stderr, "%s", usage);
			exit(2);
		} else if (!strcmp(option, "--seed")) {
			options.first = to_number(argv[i]);
			options.same = true;
			chosen = true;
		} else if (!strcmp(option, "--first-seed")) {
			options.first = to_number(argv[i]);
			chosen = true;
		} else if (!strcmp(option, "--runs")) {
			options.runs = to_number(argv[i]);
		} else if (!strcmp(option, "--patience")) {
			patience = to_number(argv[i]);
		} else if (!strcmp(option, "--break")) {
			options.broken = find_fault(argv[i]);
		} else {
			fprintf(stderr, "%s", usage);
			exit(2);
		}
	}
	if (!chosen) {
		if (getrandom(&options.first, sizeof(options.first), 0) < 0)
			options.first = time(NULL);
		options.first %= 1000000000;
	}
}

static void progress(double start, uint64_t done)
{
	static double last;

	if (now() < last + 10 && done < options.runs)
		return;
	last = now();
	fprintf(stderr,
		"oracle: %llu of %llu seeds, %lu failed, %llu events, %.0f s\n",
		(unsigned long long)done, (unsigned long long)options.runs,
		total.failed, total.events, last - start);
}

int main(int argc, char **argv)
{
	double start = now();
	unsigned int n = 0;
	int listener;

	if (argc == 3 && !strcmp(argv[1], "--node"))
		run_executed(argv);
	parse(argc, argv);
	libbpf_set_print(quiet_libbpf);
	if (geteuid() || create_link(NULL, &hooks[0], 0, 1, 0) != -EBADF) {
		printf("1..0 # SKIP %s\n",
		       geteuid() ? "needs root" : "the kernel has no views");
		return 4;
	}
	raise_pid_limit();
	mkdir("/sys/fs/cgroup/kview-oracle", 0755);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	skel = oracle_bpf__open_and_load();
	listener = listen_for_nodes();
	if (!skel || listener < 0) {
		perror("oracle");
		return 2;
	}
	skel->bss->controller = getpid();
	skel->bss->recording = options.record;
	skel->links.track_birth = bpf_program__attach(skel->progs.track_birth);
	skel->links.track_death = bpf_program__attach(skel->progs.track_death);
	if (!skel->links.track_birth || !skel->links.track_death) {
		perror("oracle");
		return 2;
	}

	printf("1..%llu\n",
	       (unsigned long long)options.runs + 4 * options.self_test);
	if (options.broken) {
		run(options.first, 1, listener, options.broken);
		printf("%s 1 seed %llu, spoilt\n%s", faults ? "not ok" : "ok",
		       (unsigned long long)options.first, diagnosis);
		return faults > 0;
	}
	for (uint64_t i = 0; i < options.runs; i++) {
		run(options.first + (options.same ? 0 : i), ++n, listener,
		    SOUND);
		progress(start, i + 1);
	}
	if (options.self_test)
		for (size_t i = DROP; i < ARRAY_SIZE(faults_to_find); i++)
			self_test(options.first + options.runs, ++n, listener,
				  i, faults_to_find[i].what);
	printf("# %lu seeds, %lu links, %lu processes, %lu targets, %llu events: ",
	       total.seeds, total.links, total.processes, total.targets,
	       total.events);
	printf("%lu differences, %lu of foreign processes; ", total.differences,
	       total.foreign);
	printf("%lu more are events missed in interrupts\n", total.explained);
	rmdir("/sys/fs/cgroup/kview-oracle");
	return total.failed > 0;
}
