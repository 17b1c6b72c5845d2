/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef STRING_SET_H
#define STRING_SET_H

#include <stdbool.h>
#include <stddef.h>

/* A set of strings: filled, then sorted, then searched. All zeroes: empty. */
struct string_set {
	char **v;
	size_t n, room;
};

/* Add a copy. Returns 0, or -ENOMEM. */
int string_set_add(struct string_set *set, const char *s);
/* Sort them, and leave one of those that are alike. */
void string_set_sort(struct string_set *set);
/* Is it one of a set that has been sorted? */
bool string_set_has(const struct string_set *set, const char *s);
void string_set_free(struct string_set *set);

#endif
