// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "string_set.h"

int string_set_add(struct string_set *set, const char *s)
{
	size_t room = set->room ? 2 * set->room : 64;
	char **v;

	if (set->n == set->room) {
		v = reallocarray(set->v, room, sizeof(*v));
		if (!v)
			return -ENOMEM;
		set->v = v;
		set->room = room;
	}
	set->v[set->n] = strdup(s);
	if (!set->v[set->n])
		return -ENOMEM;
	set->n++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void string_set_sort(struct string_set *set)
{
	size_t i, kept = 0;

	if (!set->n)
		return;
	qsort(set->v, set->n, sizeof(*set->v), compare);
	for (i = 1; i < set->n; i++) {
		if (strcmp(set->v[i], set->v[kept]))
			set->v[++kept] = set->v[i];
		else
			free(set->v[i]);
	}
	set->n = kept + 1;
}

bool string_set_has(const struct string_set *set, const char *s)
{
	return set->n && bsearch(&s, set->v, set->n, sizeof(*set->v), compare);
}

void string_set_free(struct string_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		free(set->v[i]);
	free(set->v);
	memset(set, 0, sizeof(*set));
}
