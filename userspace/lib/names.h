/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef NAMES_H
#define NAMES_H

#include <stdbool.h>

#include "event.h"

/*
 * What the running kernel has: events and functions.
 *
 * All functions that return an int return 0, or a negative error if the names
 * cannot be had, and say nothing.
 */

/*
 * Call visit(text, arg) for each event of a kind, as event_list_add() takes it,
 * until it returns true. Some come more than once.
 */
typedef bool (*name_fn)(const char *text, void *arg);
int names_visit(enum event_kind kind, name_fn visit, void *arg);

/* A function that can be traced at its entry. */
struct function {
	const char *name;
	unsigned long addr; /* of the hook; 0 if not asked for */
	const char *module; /* NULL: the kernel image */
};

/* The same for each function, with those of modules. */
typedef bool (*function_fn)(const struct function *function, void *arg);
int functions_visit(bool addrs, function_fn visit, void *arg);

/* Has the kernel, or a module, a function of that name, be it traced or not? */
bool function_exists(const char *name);

#endif
