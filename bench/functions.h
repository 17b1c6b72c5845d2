/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
/* Kernel functions to attach to, as tracefs and kallsyms know them. */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* More than anybody asks for. */
#define MAX_HOOKS 2000

/**
 * choose_functions - @first and others of system calls, files and the network,
 * until there are @nr; none that a module has, or of which there are two
 * Return: an array for good. Errors end the process.
 */
const char **choose_functions(const char *first, unsigned int nr);

/**
 * spread_functions - @nr functions as far from each other as possible, or, with
 * @close, as close to each other as possible, in the order of their addresses
 * Return: an array for good. Errors end the process.
 */
const char **spread_functions(unsigned int nr, bool close);

/**
 * parse_functions - an argument "name,name" or, with a slash in it, a file with
 * one name a line
 * @nr: out: how many there are
 * Return: an array for good. Errors end the process.
 */
const char **parse_functions(const char *arg, unsigned int *nr);

/**
 * count_pages - in how many different blocks of @size bytes, a power of two, of
 * kernel text these functions begin
 */
unsigned int count_pages(const char *const *funcs, unsigned int nr,
			 uint64_t size);

/**
 * trace_functions - switch the function tracer on for this process, or off
 */
void trace_functions(bool on);

/**
 * print_traced_functions - what was traced from calls of @entry, a system call,
 * to the next system call: the functions that all of the last @calls calls have
 * passed, in the order of the first call, one a line; without those that
 * kprobe.multi cannot name, and those that fentry cannot have
 */
void print_traced_functions(const char *entry, unsigned int calls);

#endif
