// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link.h"

static int open_id(const char *text)
{
	unsigned long id;
	int fd, error;

	errno = 0;
	id = strtoul(text, NULL, 10);
	if (errno || id > UINT_MAX) {
		fd = -1;
		error = ENOENT;
	} else {
		fd = bpf_link_get_fd_by_id(id);
		error = errno;
	}
	if (fd >= 0)
		return fd;
	if (error == ENOENT) {
		warnx("no link with the ID %s: kview list shows those there are",
		      text);
	} else if (error == EPERM) {
		warnx("no permission to open link %s: needs CAP_SYS_ADMIN (run as root)",
		      text);
	} else {
		errno = error;
		warn("cannot open link %s", text);
	}
	return -error;
}

/* Programs and maps can be pinned, too, and are told apart by their names. */
static bool is_link(int fd)
{
	char path[64], name[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) < 0)
		return true;
	return strstr(name, "bpf-link") || strstr(name, "bpf_link");
}

static int open_pinned(const char *path)
{
	int fd = bpf_obj_get(path), error = errno;

	if (fd >= 0) {
		if (is_link(fd))
			return fd;
		close(fd);
		warnx("'%s' is no link, but a program or a map", path);
		return -EBADF;
	}
	if (error == ENOENT) {
		warnx("no link is pinned to '%s': give the ID of a link or the file that it is pinned to",
		      path);
	} else if (error == EACCES && !access(path, R_OK | W_OK)) {
		/* What bpf() says to files of other file systems. */
		warnx("'%s' is no pinned link: these are in a bpf file system",
		      path);
	} else if (error == EPERM || error == EACCES) {
		warnx("no permission to open '%s' (run as root)", path);
	} else {
		errno = error;
		warn("cannot open '%s'", path);
	}
	return -error;
}

int link_open(const char *text)
{
	if (text[strspn(text, "0123456789")])
		return open_pinned(text);
	return open_id(text);
}

static int get_info(int fd, struct bpf_link_info *info)
{
	__u32 len = sizeof(*info);

	return bpf_link_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

bool link_is_multi(const struct link *link)
{
	return link->hook == BPF_KVIEW_HOOK_KPROBE_MULTI ||
	       link->hook == BPF_KVIEW_HOOK_KRETPROBE_MULTI ||
	       link->hook == BPF_KVIEW_HOOK_KPROBE_SESSION;
}

static void set_event(struct link *link, const struct bpf_link_info *info)
{
	size_t len = strlen(link->name);

	if (link_is_multi(link))
		link->nr_functions = info->kview.nr_addrs;
	else if (link->hook > BPF_KVIEW_HOOK_TRACEPOINT)
		link->nr_functions = 1;
	if (info->kview.offset)
		snprintf(link->name + len, sizeof(link->name) - len, "+%#x",
			 info->kview.offset);
	if (link_is_multi(link))
		snprintf(link->event, sizeof(link->event), "%u function%s",
			 link->nr_functions,
			 link->nr_functions == 1 ? "" : "s");
	else
		memcpy(link->event, link->name, sizeof(link->event));
}

/*
 * The number of targets is known before their PIDs are asked for, and may have
 * grown by then. There is room for some more, so that a link whose targets fork
 * all the time is read in a few rounds.
 */
int link_read(struct link *link, int fd)
{
	struct bpf_link_info info;
	__u32 *pids, room;
	int ret;

	memset(link, 0, sizeof(*link));
	do {
		memset(&info, 0, sizeof(info));
		ret = get_info(fd, &info);
		if (ret)
			return ret;
		link->type = info.type;
		link->id = info.id;
		if (info.type != BPF_LINK_TYPE_KVIEW)
			return 0;

		room = info.kview.count + info.kview.count / 2 + 16;
		pids = calloc(room, sizeof(*pids));
		if (!pids)
			return -ENOMEM;
		info.kview.name = (unsigned long)link->name;
		info.kview.name_len = sizeof(link->name);
		info.kview.pids = (unsigned long)pids;
		info.kview.count = room;
		/* The functions are not asked for, only their number. */
		info.kview.nr_addrs = 0;
		ret = get_info(fd, &info);
		if (ret)
			free(pids);
	} while (ret == -ENOSPC);
	if (ret)
		return ret;

	link->prog_id = info.prog_id;
	link->hook = info.kview.hook;
	link->cookie = info.kview.cookie;
	link->nr_pages = info.kview.nr_pages;
	link->nr_shared = info.kview.nr_shared;
	link->view_flags = info.kview.view_flags;
	link->defunct = info.kview.flags & BPF_F_KVIEW_DEFUNCT;
	link->pids = pids;
	link->nr_pids = info.kview.count;
	link->missed = info.kview.missed;
	set_event(link, &info);
	return 0;
}

void link_free(struct link *link)
{
	free(link->pids);
	link->pids = NULL;
	link->nr_pids = 0;
}

bool link_has_target(const struct link *link, __u32 pid)
{
	size_t i;

	for (i = 0; i < link->nr_pids; i++) {
		if (link->pids[i] == pid)
			return true;
	}
	return false;
}
