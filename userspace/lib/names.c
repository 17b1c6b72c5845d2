// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <bpf/btf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "string_set.h"

#define MAX_LINE 1024 /* KSYM_NAME_LEN of the kernel is 512 */

static const char btf_dir[] = "/sys/kernel/btf";
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

/* A type of the kernel (module: NULL) or of a module. Not 0: the last one. */
typedef int (*type_fn)(const struct btf *btf, const struct btf_type *type,
		       const char *module, void *arg);

static int visit_types_from(const struct btf *btf, __u32 first,
			    const char *module, type_fn visit, void *arg)
{
	int ret = 0;
	__u32 i;

	for (i = first; !ret && i < btf__type_cnt(btf); i++)
		ret = visit(btf, btf__type_by_id(btf, i), module, arg);
	return ret;
}

/* Returns what the last call returns, or a negative error. */
static int visit_types(type_fn visit, void *arg)
{
	struct btf *vmlinux = btf__load_vmlinux_btf(), *btf;
	struct dirent *entry;
	DIR *dir;
	int ret;

	if (!vmlinux)
		return -errno;
	ret = visit_types_from(vmlinux, 1, NULL, visit, arg);
	dir = opendir(btf_dir);
	while (!ret && dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    !strcmp(entry->d_name, "vmlinux"))
			continue;
		/* It may have been unloaded meanwhile. */
		btf = btf__load_module_btf(entry->d_name, vmlinux);
		if (!btf)
			continue;
		ret = visit_types_from(btf, btf__type_cnt(vmlinux),
				       entry->d_name, visit, arg);
		btf__free(btf);
	}
	if (dir)
		closedir(dir);
	btf__free(vmlinux);
	return ret;
}

struct raw_tracepoints {
	name_fn visit;
	void *arg;
};

static int visit_raw_tracepoint(const struct btf *btf,
				const struct btf_type *type, const char *module,
				void *arg)
{
	const struct raw_tracepoints *all = arg;
	char text[MAX_LINE];
	const char *name;

	(void)module;
	if (!btf_is_typedef(type))
		return 0;
	name = btf__name_by_offset(btf, type->name_off);
	if (!name || !has_prefix(name, btf_prefix))
		return 0;
	snprintf(text, sizeof(text), "%s%s", event_prefix(EVENT_RAWTRACEPOINT),
		 name + strlen(btf_prefix));
	return all->visit(text, all->arg);
}

static int visit_raw_tracepoints(name_fn visit, void *arg)
{
	struct raw_tracepoints all = { .visit = visit, .arg = arg };
	int ret = visit_types(visit_raw_tracepoint, &all);

	return ret < 0 ? ret : 0;
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
		function.module = strchr(name, '[');
		if (function.module) {
			function.module++;
			*strchrnul(function.module, ']') = '\0';
		}
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

/* As kallsyms writes it: there may be another function of that name elsewhere. */
static const char *function_key(const struct function *function, char *key,
				size_t size)
{
	if (!function->module)
		return function->name;
	snprintf(key, size, "%s [%s]", function->name, function->module);
	return key;
}

static bool visit_function(const struct function *function, void *arg)
{
	const char *name = function->name;
	struct choice *choice = arg;
	char text[MAX_LINE + 32];

	if (choice->btf &&
	    !string_set_has(choice->btf,
			    function_key(function, text, sizeof(text))))
		return false;
	if (choice->modifiable && !has_prefix(name, security_prefix) &&
	    !string_set_has(choice->modifiable, name))
		return false;
	snprintf(text, sizeof(text), "%s%s", choice->prefix, name);
	return choice->visit(text, choice->arg);
}

static int add_function(const struct btf *btf, const struct btf_type *type,
			const char *module, void *arg)
{
	struct function function = { .module = module };
	char key[MAX_LINE];

	if (!btf_is_func(type))
		return 0;
	function.name = btf__name_by_offset(btf, type->name_off);
	return string_set_add(arg, function_key(&function, key, sizeof(key)));
}

/* The functions that the types of the kernel and its modules describe. */
static int get_btf_functions(struct string_set *set)
{
	int ret = visit_types(add_function, set);

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
