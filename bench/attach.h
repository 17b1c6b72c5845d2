/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/* How the benchmark programs attach: what, where, and for whom. */
#ifndef ATTACH_H
#define ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <bpf/libbpf.h>

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

/* Who tells the target's events from those of others. */
enum filter {
	FILTER_NONE, /* nothing is attached */
	FILTER_POST, /* nobody: the program does its work for all */
	FILTER_IN, /* the program compares the PID */
	FILTER_PRE, /* a flag of the process, in the pre-eBPF kernel */
	FILTER_VIEW, /* the kernel view of the process */
};

/* What is attached: the program's work, and the family of the hook. */
enum program {
	PROGRAM_PRINTK, /* bpf_printk() on a tracepoint of a system call */
	PROGRAM_COUNT, /* as before, but counts; and so do all that follow */
	PROGRAM_RAW, /* raw tracepoint sys_enter */
	PROGRAM_BTF, /* the same as tp_btf */
	PROGRAM_KPROBE,
	PROGRAM_KRETPROBE,
	PROGRAM_INSTRUCTION, /* kprobe on the second instruction */
	PROGRAM_MULTI,
	PROGRAM_RETMULTI,
	PROGRAM_FENTRY,
	PROGRAM_FEXIT,
	PROGRAM_FMOD_RET,
	NR_PROGRAMS,
};

extern const char *const filter_names[FILTER_VIEW + 1];
extern const char *const program_names[NR_PROGRAMS];

/* Of the option --filter and --program of argp. */
#define FILTER_CHOICE "none|post|in|pre|view"
#define PROGRAM_CHOICE \
	"printk|count|raw|tp_btf|kprobe|kretprobe|instruction|kprobe.multi|kretprobe.multi|fentry|fexit|fmod_ret"

/* Where. Which of the two members matters depends on the program. */
struct hook {
	const char *event; /* tracepoint of the category syscalls */
	const char *const *funcs; /* functions; kprobe.multi: of one link */
	unsigned int nr_funcs; /* 1 or more */
};

/* For whom: a process, or everybody. */
struct audience {
	pid_t pid; /* 0: everybody */
	__u32 view_flags; /* BPF_F_VIEW_*, with a pid */
};

struct demo_printk_bpf;

/**
 * index_of - which of @names a word on the command line is; ends the process
 * with an error that has @what if it is none
 */
int index_of(const char *const *names, size_t n, const char *name,
	     const char *what);

/**
 * number_of - a word of the command line as a number from @min to @max; ends
 * the process with an error that names the option @what if it is none
 */
unsigned int number_of(const char *arg, unsigned int min, unsigned int max,
		       const char *what);

/**
 * program_is_on_function - does @program run at functions, not tracepoints?
 */
bool program_is_on_function(enum program program);

/**
 * load_program - load one program, for one function if it has to know
 * @in: the one that compares the PID with @target before
 * @func: for fentry, fexit, fmod_ret; else unused
 * Return: the object, with nothing else in it loaded. Errors end the process.
 */
struct demo_printk_bpf *load_program(enum program program, bool in,
				     pid_t target, const char *func);

/**
 * chosen_program - the one program that load_program() has loaded
 */
struct bpf_program *chosen_program(struct demo_printk_bpf *skel);

/**
 * attach_program - attach a loaded program to the first function of @hook or to
 * its event, kprobe.multi to all of its functions
 * Return: the link, or NULL with errno set.
 */
struct bpf_link *attach_program(struct bpf_program *bpf, enum program program,
				const struct hook *hook,
				const struct audience *audience);

/**
 * can_have_fentry - is there a type of this function that trampolines can be
 * made of?
 */
bool can_have_fentry(const char *func);

/* All that is attached for a measurement. */
struct plan {
	enum filter filter;
	enum program program;
	struct hook hook;
	pid_t target;
	__u32 view_flags; /* with FILTER_VIEW */
	unsigned int copies; /* so many programs on each hook, 1 or more */
	bool global_too; /* with FILTER_VIEW: for everybody as well */
};

struct attachment;

/**
 * attach_plan - load and attach. Errors end the process.
 */
struct attachment *attach_plan(const struct plan *plan);

/**
 * attached_program - the first program, NULL if there is none, to attach it to
 * more
 */
struct bpf_program *attached_program(const struct attachment *at);

/**
 * count_events - how often the programs have done their work: have printed,
 * since the boot, or have counted
 */
uint64_t count_events(const struct attachment *at);

/**
 * detach_all - detach, and free @at
 */
void detach_all(struct attachment *at);

#endif
