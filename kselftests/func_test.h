/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of programs on functions share: attaching these to the view of
 * a process and, as ever, to everybody; the kernel's functions; and contexts.
 */
#ifndef FUNC_TEST_H
#define FUNC_TEST_H

#include "kview_test.h"
#include "func.h"
#include "func.skel.h"

/* --- the functions that there are --- */

#define TRACING "/sys/kernel/tracing/"

struct function {
	__u64 addr;
	char name[64];
};

struct functions {
	struct function *list;
	size_t nr;
};

/*
 * Of the kernel's text, without modules: symbols, and the calls at the entries to
 * functions that can be traced, both in ascending order. It takes a second to
 * read them, so one test does so for all that come after it.
 */
#define MAX_KNOWN 200000

struct known {
	bool read;
	size_t nr_symbols;
	size_t nr_calls;
	struct function symbols[MAX_KNOWN];
	struct function calls[MAX_KNOWN];
};

static struct known *known;

static __attribute__((constructor)) void share_known(void)
{
	known = mmap(NULL, sizeof(*known), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (known == MAP_FAILED)
		abort();
}

static inline int by_addr(const void *a, const void *b)
{
	const struct function *first = a, *second = b;

	return first->addr < second->addr ? -1 : first->addr > second->addr;
}

/* One more in @list, which has @nr. */
static inline size_t add_known(struct function *list, size_t nr, __u64 addr,
			       const char *name)
{
	if (nr == MAX_KNOWN)
		return nr;
	list[nr].addr = addr;
	snprintf(list[nr].name, sizeof(list->name), "%.63s", name);
	return nr + 1;
}

static inline void read_known(void)
{
	struct known *k = known;
	char line[512], type, name[256];
	unsigned long addr;
	FILE *file;

	if (k->read)
		return;
	k->nr_symbols = 0;
	file = fopen("/proc/kallsyms", "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (strchr(line, '[') ||
		    sscanf(line, "%lx %c %255s", &addr, &type, name) != 3)
			continue;
		if (addr && strchr("tTwW", type))
			k->nr_symbols = add_known(k->symbols, k->nr_symbols,
						  addr, name);
	}
	if (file)
		fclose(file);
	qsort(k->symbols, k->nr_symbols, sizeof(*k->symbols), by_addr);

	k->nr_calls = 0;
	file = fopen(TRACING "available_filter_functions_addrs", "r");
	while (file && fgets(line, sizeof(line), file)) {
		/* Not those of modules, nor those that were never used. */
		if (strchr(line, '[') || strstr(line, "__ftrace_invalid") ||
		    sscanf(line, "%lx %255s", &addr, name) != 2)
			continue;
		k->nr_calls = add_known(k->calls, k->nr_calls, addr, name);
	}
	if (file)
		fclose(file);
	qsort(k->calls, k->nr_calls, sizeof(*k->calls), by_addr);
	k->read = true;
}

/* The last of the symbols at or before an address, or -1. */
static inline long symbol_before(__u64 addr)
{
	long low = -1, high;

	read_known();
	high = known->nr_symbols;
	while (low + 1 < high) {
		long middle = (low + high) / 2;

		if (known->symbols[middle].addr <= addr)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Where the function begins that has its call at @ip, or 0. */
static inline __u64 function_start(__u64 ip)
{
	long i = symbol_before(ip);

	return i < 0 || ip - known->symbols[i].addr > 4 ?
		       0 :
		       known->symbols[i].addr;
}

/* All functions of the kernel image that can be traced, in ascending order. */
static inline struct functions read_functions(void)
{
	struct functions functions = {};

	read_known();
	functions.list = calloc(known->nr_calls, sizeof(struct function));
	for (size_t i = 0; functions.list && i < known->nr_calls; i++) {
		struct function *function = &functions.list[functions.nr];

		*function = known->calls[i];
		function->addr = function_start(function->addr);
		functions.nr += !!function->addr;
	}
	return functions;
}

/* How many functions have that name? With @addr, the address of the last one. */
static inline int nr_named(const char *name, __u64 *addr)
{
	int nr = 0;

	read_known();
	for (size_t i = 0; i < known->nr_symbols; i++) {
		if (strcmp(known->symbols[i].name, name))
			continue;
		if (addr)
			*addr = known->symbols[i].addr;
		nr++;
	}
	return nr;
}

/* Of the only function of that name, or 0. */
static inline __u64 address_of(const char *name)
{
	__u64 addr = 0;

	return nr_named(name, &addr) == 1 ? addr : 0;
}

/* From there to the next symbol, which is what the kernel takes for the size. */
static inline __u64 size_of(__u64 addr)
{
	size_t i = symbol_before(addr) + 1;

	return i < known->nr_symbols ? known->symbols[i].addr - addr : 0;
}

/*
 * How far behind its entry a function has the instruction after the call that
 * ftrace makes there: the call may be behind an endbr. 0: there is none.
 */
static inline __u64 behind_call(const char *function)
{
	__u64 addr = address_of(function);

	for (size_t i = 0; addr && i < known->nr_calls; i++) {
		if (known->calls[i].addr - addr <= 4)
			return known->calls[i].addr - addr + 5;
	}
	return 0;
}

/* --- attaching --- */

enum family {
	KPROBE,
	KRETPROBE,
	/* A kprobe behind the call at the entry to the function. */
	INSTRUCTION,
	MULTI,
	MULTI_RETURN,
	SESSION,
	FENTRY,
	FEXIT,
	FMOD_RET,
	FAMILIES,
};

static const char *const family_names[] = {
	"kprobe",	"kretprobe",	   "instruction",
	"kprobe.multi", "kretprobe.multi", "kprobe.session",
	"fentry",	"fexit",	   "fmod_ret",
};

static const __u32 family_hooks[] = {
	BPF_KVIEW_HOOK_KPROBE,		BPF_KVIEW_HOOK_KRETPROBE,
	BPF_KVIEW_HOOK_KPROBE,		BPF_KVIEW_HOOK_KPROBE_MULTI,
	BPF_KVIEW_HOOK_KRETPROBE_MULTI, BPF_KVIEW_HOOK_KPROBE_SESSION,
	BPF_KVIEW_HOOK_FENTRY,		BPF_KVIEW_HOOK_FEXIT,
	BPF_KVIEW_HOOK_FMOD_RET,
};

static const int attach_types[] = {
	BPF_PERF_EVENT,		BPF_PERF_EVENT,
	BPF_PERF_EVENT,		BPF_TRACE_KPROBE_MULTI,
	BPF_TRACE_KPROBE_MULTI, BPF_TRACE_KPROBE_SESSION,
	BPF_TRACE_FENTRY,	BPF_TRACE_FEXIT,
	BPF_MODIFY_RETURN,
};

/* Is the function chosen when the program is loaded? */
static inline bool is_tracing(enum family family)
{
	return family >= FENTRY;
}

/* Load the programs, those that have to know it for @function. */
static inline struct func_bpf *load_programs(const char *function,
					     bool fmod_ret, bool sleepable)
{
	struct func_bpf *skel = func_bpf__open();
	struct bpf_program *program;

	if (!skel)
		return NULL;
	bpf_object__for_each_program(program, skel->obj) {
		bool ret = bpf_program__expected_attach_type(program) ==
			   BPF_MODIFY_RETURN;
		bool sleeps =
			strstr(bpf_program__section_name(program), ".s") &&
			bpf_program__type(program) == BPF_PROG_TYPE_TRACING;

		if (bpf_program__type(program) != BPF_PROG_TYPE_TRACING)
			continue;
		if (!function || (ret && !fmod_ret) || (sleeps && !sleepable)) {
			bpf_program__set_autoload(program, false);
			continue;
		}
		if (bpf_program__set_attach_target(program, 0, function))
			goto out_destroy;
	}
	if (!func_bpf__load(skel))
		return skel;
out_destroy:
	func_bpf__destroy(skel);
	return NULL;
}

/* Is the function one whose return value programs may change? */
static inline bool is_injectable(const char *function)
{
	return !strncmp(function, "__x64_sys_", 10);
}

static inline struct func_bpf *load_func(const char *function)
{
	return load_programs(function, is_injectable(function),
			     is_injectable(function));
}

/* Load the program that calls bpf_override_return(), if the kernel has that. */
static inline struct func_bpf *load_override(void)
{
	struct func_bpf *skel = func_bpf__open();
	struct bpf_program *program;

	if (!skel)
		return NULL;
	bpf_object__for_each_program(program, skel->obj)
		bpf_program__set_autoload(program,
					  program == skel->progs.on_override);
	if (!func_bpf__load(skel))
		return skel;
	func_bpf__destroy(skel);
	return NULL;
}

static inline struct bpf_program *func_program(struct func_bpf *skel,
					       enum family family)
{
	struct bpf_program *const programs[] = {
		skel->progs.on_kprobe,	 skel->progs.on_kprobe,
		skel->progs.on_kprobe,	 skel->progs.on_multi,
		skel->progs.on_multi,	 skel->progs.on_session,
		skel->progs.on_fentry,	 skel->progs.on_fexit,
		skel->progs.on_fmod_ret,
	};

	return programs[family];
}

static inline struct bpf_program *func_oracle(struct func_bpf *skel,
					      enum family family)
{
	struct bpf_program *const programs[] = {
		skel->progs.on_kprobe_oracle,	skel->progs.on_kprobe_oracle,
		skel->progs.on_kprobe_oracle,	skel->progs.on_multi_oracle,
		skel->progs.on_multi_oracle,	skel->progs.on_session_oracle,
		skel->progs.on_fentry_oracle,	skel->progs.on_fexit_oracle,
		skel->progs.on_fmod_ret_oracle,
	};

	return programs[family];
}

/* A file descriptor, or an error number below 0. */
static inline int create(union bpf_attr *attr)
{
	int fd = sys_bpf(BPF_LINK_CREATE, attr);

	return fd < 0 ? -errno : fd;
}

/* BPF_LINK_CREATE for one process, as @family has it. */
static inline int view_func_program(struct bpf_program *program,
				    enum family family, const char *function,
				    __u64 cookie, pid_t pid, __u32 flags)
{
	union bpf_attr attr = {};

	attr.link_create.prog_fd = bpf_program__fd(program);
	attr.link_create.attach_type = attach_types[family];
	attr.link_create.view.pid = pid;
	attr.link_create.view.flags = flags;
	switch (family) {
	case INSTRUCTION:
	case KRETPROBE:
	case KPROBE:
		if (family == KRETPROBE)
			attr.link_create.kprobe.flags =
				BPF_F_VIEW_KPROBE_RETURN;
		if (family == INSTRUCTION)
			attr.link_create.kprobe.offset = behind_call(function);
		attr.link_create.kprobe.name = (uintptr_t)function;
		attr.link_create.kprobe.cookie = cookie;
		break;
	case MULTI_RETURN:
	case MULTI:
	case SESSION:
		if (family == MULTI_RETURN)
			attr.link_create.kprobe_multi.flags =
				BPF_F_KPROBE_MULTI_RETURN;
		attr.link_create.kprobe_multi.syms = (uintptr_t)&function;
		attr.link_create.kprobe_multi.cookies = (uintptr_t)&cookie;
		attr.link_create.kprobe_multi.cnt = 1;
		break;
	default:
		attr.link_create.tracing.cookie = cookie;
		break;
	}
	return create(&attr);
}

static inline int view_func(struct func_bpf *skel, enum family family,
			    const char *function, __u64 cookie, pid_t pid)
{
	return view_func_program(func_program(skel, family), family, function,
				 cookie, pid, 0);
}

/* A kprobe anywhere in the view of a process: at an offset from a function, or at an address. */
static inline int view_at(int prog_fd, const char *name, __u64 offset,
			  __u32 flags, __u64 cookie, pid_t pid)
{
	union bpf_attr attr = {};

	attr.link_create.prog_fd = prog_fd;
	attr.link_create.attach_type = BPF_PERF_EVENT;
	attr.link_create.kprobe.name = (uintptr_t)name;
	attr.link_create.kprobe.offset = offset;
	attr.link_create.kprobe.flags = flags;
	attr.link_create.kprobe.cookie = cookie;
	attr.link_create.view.pid = pid;
	return create(&attr);
}

/* The same for everybody: NULL with errno set, if not. */
static inline struct bpf_link *stock_at(struct bpf_program *program,
					const char *name, __u64 offset,
					__u64 cookie)
{
	LIBBPF_OPTS(bpf_kprobe_opts, opts, .bpf_cookie = cookie,
		    .offset = offset, .attach_mode = PROBE_ATTACH_MODE_LINK);

	return bpf_program__attach_kprobe_opts(program, name, &opts);
}

/* Attach a program for all processes, as ever. */
static inline struct bpf_link *stock_func_program(struct bpf_program *program,
						  enum family family,
						  const char *function,
						  __u64 cookie)
{
	LIBBPF_OPTS(bpf_kprobe_opts, kprobe, .bpf_cookie = cookie,
		    .retprobe = family == KRETPROBE,
		    .offset = family == INSTRUCTION ? behind_call(function) : 0,
		    .attach_mode = PROBE_ATTACH_MODE_LINK);
	LIBBPF_OPTS(bpf_kprobe_multi_opts, multi, .syms = &function,
		    .cookies = &cookie, .cnt = 1,
		    .retprobe = family == MULTI_RETURN,
		    .session = family == SESSION);
	LIBBPF_OPTS(bpf_trace_opts, tracing, .cookie = cookie);

	switch (family) {
	case KPROBE:
	case KRETPROBE:
	case INSTRUCTION:
		return bpf_program__attach_kprobe_opts(program, function,
						       &kprobe);
	case MULTI:
	case MULTI_RETURN:
	case SESSION:
		return bpf_program__attach_kprobe_multi_opts(program, NULL,
							     &multi);
	default:
		return bpf_program__attach_trace_opts(program, &tracing);
	}
}

static inline struct bpf_link *stock_func(struct func_bpf *skel,
					  enum family family,
					  const char *function, __u64 cookie)
{
	return stock_func_program(func_oracle(skel, family), family, function,
				  cookie);
}

/* Contexts are kept of the first slots: see struct context. */
static inline void set_func_slot(struct func_bpf *skel, unsigned int slot,
				 pid_t tgid, bool filter)
{
	skel->bss->slots[slot] =
		(struct slot){ .tgid = tgid, .filter = filter };
	if (slot < NR_CONTEXTS)
		skel->bss->contexts[slot] = (struct context){};
}

/* Count each of the functions apart, in the view. The first has number @from. */
static inline int view_each(struct func_bpf *skel,
			    const struct function *functions, int from, int nr,
			    bool is_return, pid_t pid)
{
	__u64 addrs[NR_FUNCS], cookies[NR_FUNCS];
	union bpf_attr attr = {};

	for (int i = 0; i < nr; i++) {
		addrs[i] = functions[i].addr;
		cookies[i] = from + i;
	}
	attr.link_create.prog_fd = bpf_program__fd(skel->progs.on_each);
	attr.link_create.attach_type = BPF_TRACE_KPROBE_MULTI;
	attr.link_create.kprobe_multi.addrs = (uintptr_t)addrs;
	attr.link_create.kprobe_multi.cookies = (uintptr_t)cookies;
	attr.link_create.kprobe_multi.cnt = nr;
	attr.link_create.kprobe_multi.flags =
		is_return ? BPF_F_KPROBE_MULTI_RETURN : 0;
	attr.link_create.view.pid = pid;
	return create(&attr);
}

static inline struct bpf_link *stock_each(struct func_bpf *skel,
					  const struct function *functions,
					  int nr, bool is_return)
{
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .retprobe = is_return);
	struct bpf_program *program = skel->progs.on_each_oracle;
	unsigned long addrs[NR_FUNCS];
	__u64 cookies[NR_FUNCS];

	for (int i = 0; i < nr; i++) {
		addrs[i] = functions[i].addr;
		cookies[i] = i;
	}
	opts.addrs = addrs;
	opts.cookies = cookies;
	opts.cnt = nr;
	return bpf_program__attach_kprobe_multi_opts(program, NULL, &opts);
}

/* --- what programs have seen --- */

/* Slots of tests that need few. */
enum { VIEW, ORACLE, SECOND_VIEW, SECOND_ORACLE, SLOTS };

static const char *const field_names[NR_FIELDS] = {
	"r15",	 "r14",	    "r13",   "r12",   "bp",	"bx",	     "r11",
	"r10",	 "r9",	    "r8",    "ax",    "cx",	"dx",	     "si",
	"di",	 "orig_ax", "ip",    "cs",    "flags",	"sp",	     "ss",
	"func",	 "nr_args", "arg 0", "arg 1", "arg 2",	"arg 3",     "arg 4",
	"arg 5", "arg 6",   "arg 7", "arg 8", "return", "is_return", "session",
};

/* Have two slots seen the same, field by field? */
static inline void same_contexts(struct __test_metadata *_metadata,
				 struct func_bpf *skel, int slot, int other,
				 const char *what)
{
	const struct context *first = &skel->bss->contexts[slot];
	const struct context *second = &skel->bss->contexts[other];

	for (int i = 0; i < NR_FIELDS; i++) {
		EXPECT_EQ(second->sums[i], first->sums[i])
		{
			TH_LOG("%s: %s differs", what, field_names[i]);
		}
	}
	EXPECT_EQ(second->entries, first->entries);
	EXPECT_EQ(second->returns, first->returns);
}

/* How often a call is an event. */
static inline int events_of(enum family family)
{
	return family == SESSION ? 2 : 1;
}

/* --- anything else --- */

/* Do kprobes become jumps? These have not all registers that an int3 has. */
static inline bool set_optimization(bool on)
{
	return write_file("/proc/sys/debug/kprobes-optimization",
			  on ? "1" : "0");
}

/* Let the process run on the first CPU only, or on all. */
static inline bool pin(pid_t pid, bool first_only)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int i = 0; i < (first_only ? 1 : CPU_SETSIZE); i++)
		CPU_SET(i, &cpus);
	return !sched_setaffinity(pid, sizeof(cpus), &cpus);
}

/*
 * As agree(), where what was missed is known only of two links together: it may
 * have been the other's.
 */
static inline bool may_agree(__u64 view, __u64 missed_by_views, __u64 oracle,
			     __u64 missed_by_oracles)
{
	return view <= oracle + missed_by_oracles &&
	       oracle <= view + missed_by_views;
}

/* What a link's hook has missed, as all that it has room for was in use. */
static inline __u64 hook_misses(int fd)
{
	struct bpf_link_info info = {};

	if (fd < 0 || link_info(fd, &info))
		return 0;
	switch (info.type) {
	case BPF_LINK_TYPE_KVIEW:
		return info.kview.missed;
	case BPF_LINK_TYPE_KPROBE_MULTI:
		return info.kprobe_multi.missed;
	case BPF_LINK_TYPE_PERF_EVENT:
		return info.perf_event.kprobe.missed;
	}
	return 0;
}

/*
 * Called in the middle of a switch: the page tables are those of one process, and
 * current is another one: events of these would be missed, or somebody else's.
 */
static const char *const refused_names[] = {
	"switch_mm_irqs_off",
	"switch_ldt",
	"load_mm_ldt",
	"save_fpregs_to_fpstate",
	"perf_clear_dirty_counters",
	"text_poke_memcpy",
	"text_poke_memset",
	"do_trace_write_msr",
	"do_trace_read_msr",
	"do_trace_rdpmc",
	"__traceiter_tlb_flush",
	"__traceiter_write_msr",
	"__traceiter_read_msr",
	"__traceiter_rdpmc",
	"__traceiter_x86_fpu_regs_deactivated",
};

static inline bool is_refused(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused_names); i++) {
		if (!strcmp(name, refused_names[i]))
			return true;
	}
	return false;
}

/* What a target can do, which is all sorts of things. */
static const struct {
	enum op op;
	unsigned int n;
	/* Calls of read(), -1 if one cannot say. */
	int reads;
} orders[] = {
	{ OP_READ, 200, 200 },	  { OP_MMAP, 50, 0 },
	{ OP_SLEEP, 20, 0 },	  { OP_FORK, 50, 0 },
	{ OP_VFORK, 50, 0 },	  { OP_CLONE_VM, 50, 0 },
	{ OP_GRANDCHILD, 20, 0 }, { OP_FORK_EXEC, 10, 0 },
	{ OP_VFORK_EXEC, 10, 0 }, { OP_THREAD, 50, 50 },
	{ OP_MIX, 3, -1 },	  { OP_EXEC, 0, -1 },
	{ OP_READ, 20, 20 },	  { OP_THREAD_EXEC, 0, -1 },
	{ OP_READ, 20, 20 },	  { OP_PARK, 1, -1 },
	{ OP_PARKED, 20, 20 },
};

/* How many pages the view of a process has, with one more link. */
static inline int pages_of(struct func_bpf *skel, pid_t pid)
{
	struct bpf_link_info info = {};
	int fd = view_func(skel, MULTI, "vfs_write", NR_CONTEXTS - 1, pid);

	if (fd < 0 || link_info(fd, &info))
		return -1;
	close(fd);
	return info.kview.nr_pages;
}

/* Whatever was refused has left nothing. */
static inline void nothing_left(struct __test_metadata *_metadata,
				struct func_bpf *skel, long links,
				struct target *target, struct target *neighbour)
{
	struct slot *slots = skel->bss->slots;

	EXPECT_EQ(links, nr_links());
	/* A view has what this link needs, and that is what others have. */
	EXPECT_EQ(pages_of(skel, neighbour->pid), pages_of(skel, target->pid));
	ASSERT_TRUE(tell_and_wait(target, OP_READ, 10));
	for (int i = 0; i < SLOTS; i++)
		EXPECT_EQ(0, slots[i].count + slots[i].foreign);
	EXPECT_EQ(0, skel->bss->strays);
}

/* The first line of the file has one, the name is the last word. */
static inline bool first_name(const char *path, char *name, size_t size)
{
	FILE *file = fopen(path, "r");
	bool found = false;
	char line[512];

	while (!found && file && fgets(line, sizeof(line), file)) {
		char *tab = strrchr(line, '\t');

		if (!tab || strchr(line, '['))
			continue;
		tab[strcspn(tab, "\n")] = 0;
		if (!address_of(tab + 1))
			continue;
		snprintf(name, size, "%s", tab + 1);
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

/* The value of a line of fdinfo, or NULL. */
static inline const char *fdinfo_value(int fd, const char *key, char *text,
				       size_t size)
{
	size_t length = strlen(key);
	char path[64], *line;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && (line = fgets(text, size, file))) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, key, length) || line[length] != ':')
			continue;
		fclose(file);
		line += length + 1;
		return line + strspn(line, " \t");
	}
	if (file)
		fclose(file);
	return NULL;
}

#endif
