// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <bpf/btf.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "string_set.h"

#define MAX_LINE 1024 /* KSYM_NAME_LEN of the kernel is 512 */

static const char btf_prefix[] = "btf_trace_";
static const char security_prefix[] = "security_";
/* Stands for a function that the linker has dropped. */
static const char invalid_prefix[] = "__ftrace_invalid_address__";

static bool has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* A file of tracefs, wherever that is mounted; NULL, with errno set, if none. */
static FILE *open_tracefs(const char *name)
{
	static const char *const dirs[] = {
		"/sys/kernel/tracing",
		"/sys/kernel/debug/tracing",
	};
	FILE *file = NULL;
	char path[128];
	size_t i;

	for (i = 0; !file && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], name);
		file = fopen(path, "re");
	}
	return file;
}

static int visit_tracepoints(name_fn visit, void *arg)
{
	const char *prefix = event_prefix(EVENT_TRACEPOINT);
	FILE *file = open_tracefs("available_events");
	char line[MAX_LINE], text[MAX_LINE + 32];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, sizeof(text), "%s%s", prefix, line);
		if (visit(text, arg))
			break;
	}
	fclose(file);
	return 0;
}

static int visit_raw_tracepoints(name_fn visit, void *arg)
{
	const char *prefix = event_prefix(EVENT_RAWTRACEPOINT);
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type;
	char text[MAX_LINE];
	const char *name;
	__u32 i;

	if (!btf)
		return -errno;
	for (i = 1; i < btf__type_cnt(btf); i++) {
		type = btf__type_by_id(btf, i);
		if (!btf_is_typedef(type))
			continue;
		name = btf__name_by_offset(btf, type->name_off);
		if (!name || !has_prefix(name, btf_prefix))
			continue;
		snprintf(text, sizeof(text), "%s%s", prefix,
			 name + strlen(btf_prefix));
		if (visit(text, arg))
			break;
	}
	btf__free(btf);
	return 0;
}

int functions_visit(bool addrs, function_fn visit, void *arg)
{
	FILE *file = open_tracefs(addrs ? "available_filter_functions_addrs" :
					  "available_filter_functions");
	struct function function = {};
	char line[MAX_LINE], *name;

	if (!file)
		return -errno;
	/* ADDRESS NAME [MODULE]: the first if asked for, the last if it has one. */
	while (fgets(line, sizeof(line), file)) {
		name = line;
		if (addrs)
			function.addr = strtoul(line, &name, 16);
		name += strspn(name, " ");
		function.in_module = strchr(name, '[');
		name[strcspn(name, " \t\n")] = '\0';
		if (!*name || has_prefix(name, invalid_prefix))
			continue;
		function.name = name;
		if (visit(&function, arg))
			break;
	}
	fclose(file);
	return 0;
}

bool function_exists(const char *name)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[MAX_LINE], symbol[MAX_LINE], type;
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %c %s", &type, symbol) == 2 &&
		    (tolower(type) == 't' || tolower(type) == 'w'))
			found = !strcmp(symbol, name);
	}
	fclose(file);
	return found;
}

/* Which of the functions are offered as events of a kind. */
struct choice {
	const char *prefix;
	const struct string_set *btf; /* NULL: all */
	const struct string_set *modifiable; /* NULL: all */
	name_fn visit;
	void *arg;
};

static bool visit_function(const struct function *function, void *arg)
{
	const char *name = function->name;
	struct choice *choice = arg;
	char text[MAX_LINE + 32];

	/* The types of modules are not looked through, as there may be many. */
	if (function->in_module && choice->btf)
		return false;
	if (choice->btf && !string_set_has(choice->btf, name))
		return false;
	if (choice->modifiable && !has_prefix(name, security_prefix) &&
	    !string_set_has(choice->modifiable, name))
		return false;
	snprintf(text, sizeof(text), "%s%s", choice->prefix, name);
	return choice->visit(text, choice->arg);
}

/* The functions that the kernel's types describe. */
static int get_btf_functions(struct string_set *set)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type;
	int ret = 0;
	__u32 i;

	if (!btf)
		return -errno;
	for (i = 1; !ret && i < btf__type_cnt(btf); i++) {
		type = btf__type_by_id(btf, i);
		if (btf_is_func(type))
			ret = string_set_add(
				set, btf__name_by_offset(btf, type->name_off));
	}
	btf__free(btf);
	string_set_sort(set);
	return ret;
}

/*
 * The functions for error injection, whose results fmod_ret may modify, too, next
 * to the hooks of security modules.
 */
static int get_modifiable_functions(struct string_set *set)
{
	FILE *file = fopen("/sys/kernel/debug/error_injection/list", "re");
	char line[MAX_LINE];
	int ret = 0;

	if (!file)
		return -errno;
	while (!ret && fgets(line, sizeof(line), file)) {
		line[strcspn(line, " \t\n")] = '\0';
		ret = string_set_add(set, line);
	}
	fclose(file);
	string_set_sort(set);
	return ret;
}

static int visit_functions(enum event_kind kind, name_fn visit, void *arg)
{
	struct string_set btf = {}, modifiable = {};
	struct choice choice = {
		.prefix = event_prefix(kind),
		.btf = event_needs_btf(kind) ? &btf : NULL,
		.modifiable = kind == EVENT_FMOD_RET ? &modifiable : NULL,
		.visit = visit,
		.arg = arg,
	};
	int ret = 0;

	if (choice.btf)
		ret = get_btf_functions(&btf);
	if (!ret && choice.modifiable)
		ret = get_modifiable_functions(&modifiable);
	if (!ret)
		ret = functions_visit(false, visit_function, &choice);
	string_set_free(&btf);
	string_set_free(&modifiable);
	return ret;
}

int names_visit(enum event_kind kind, name_fn visit, void *arg)
{
	switch (kind) {
	case EVENT_TRACEPOINT:
		return visit_tracepoints(visit, arg);
	case EVENT_RAWTRACEPOINT:
		return visit_raw_tracepoints(visit, arg);
	default:
		return visit_functions(kind, visit, arg);
	}
}
