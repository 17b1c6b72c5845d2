// SPDX-License-Identifier: GPL-2.0
/*
 * Lockdown: for one process a hook is refused where it is for everybody, and
 * only there. The level is raised by the test and cannot be lowered again, so the
 * kernel is of no use for other tests afterwards: KVIEW_LOCKDOWN=1 says that this is
 * meant.
 */
#include "func_test.h"
#include <sys/mount.h>

#define SECURITY "/sys/kernel/security"

enum level { NONE, INTEGRITY, CONFIDENTIALITY };

/* -1: the kernel has no lockdown. */
static int level(void)
{
	char line[64] = "";
	FILE *file = fopen(SECURITY "/lockdown", "r");

	if (!file && !mount("security", SECURITY, "securityfs", 0, NULL))
		file = fopen(SECURITY "/lockdown", "r");
	if (!file)
		return -1;
	if (!fgets(line, sizeof(line), file))
		line[0] = 0;
	fclose(file);
	return strstr(line, "[confidentiality]") ? CONFIDENTIALITY :
	       strstr(line, "[integrity]")	 ? INTEGRITY :
	       strstr(line, "[none]")		 ? NONE :
						   -1;
}

static bool raise_level(enum level wanted)
{
	static const char *const names[] = { "none", "integrity",
					     "confidentiality" };

	return level() == (int)wanted ||
	       (write_file(SECURITY "/lockdown", names[wanted]) &&
		level() == (int)wanted);
}

FIXTURE(lockdown)
{
	/* Loaded before: programs that read the kernel's memory are refused, too. */
	struct func_bpf *functions;
	struct kview_bpf *tracepoints;
	struct target target;
	struct target neighbour;
};

FIXTURE_SETUP(lockdown)
{
	const char *reason = why_not();

	if (level() != NONE)
		reason = "the kernel has no lockdown, or is locked down";
	if (!getenv("KVIEW_LOCKDOWN"))
		reason = "KVIEW_LOCKDOWN is not set";
	if (reason)
		SKIP(return, "%s", reason);
	self->functions = load_func("__x64_sys_read");
	ASSERT_NE(NULL, self->functions);
	self->tracepoints = load();
	ASSERT_NE(NULL, self->tracepoints);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
}

FIXTURE_TEARDOWN(lockdown)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	func_bpf__destroy(self->functions);
	kview_bpf__destroy(self->tracepoints);
}

/* Functions: kprobes are locked down, at entries and elsewhere; the rest is not. */
static void try_functions(struct __test_metadata *_metadata,
			  FIXTURE_DATA(lockdown) * self, enum level level)
{
	struct func_bpf *skel = self->functions;

	for (enum family family = 0; family < FAMILIES; family++) {
		bool refused = level == CONFIDENTIALITY &&
			       (family == KPROBE || family == KRETPROBE ||
				family == INSTRUCTION);
		struct slot *slots = skel->bss->slots;
		struct bpf_link *link;
		int fd, err;

		TH_LOG("%s", family_names[family]);
		set_func_slot(skel, ORACLE, self->target.pid, true);
		set_func_slot(skel, VIEW, self->target.pid, false);
		errno = 0;
		link = stock_func(skel, family, "__x64_sys_read", ORACLE);
		err = link ? 0 : -errno;
		fd = view_func(skel, family, "__x64_sys_read", VIEW,
			       self->target.pid);
		EXPECT_EQ(refused ? -EPERM : 0, err);
		EXPECT_EQ(err, fd < 0 ? fd : 0);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 100));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 100));
		EXPECT_EQ(slots[ORACLE].count, slots[VIEW].count);
		EXPECT_EQ(0, slots[VIEW].foreign);
		if (!refused)
			EXPECT_LE(100, slots[VIEW].count);
		if (fd >= 0)
			close(fd);
		bpf_link__destroy(link);
	}
}

/* Tracepoints are not; how to find their numbers may be. */
static void try_tracepoints(struct __test_metadata *_metadata,
			    FIXTURE_DATA(lockdown) * self)
{
	static const struct hook hooks[] = {
		{ RAW, "sys_enter" },
		{ BTF, "sys_enter" },
		{ CLASSIC, "syscalls:sys_enter_read" },
	};
	struct kview_bpf *skel = self->tracepoints;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		struct slot *slot = &skel->bss->slots[0];
		struct bpf_link *link;
		int fd;

		TH_LOG("%s", hooks[i].name);
		set_slot(skel, 0, self->target.pid, false);
		if (hooks[i].kind != CLASSIC) {
			link = stock(skel, &hooks[i], 1);
			EXPECT_NE(NULL, link);
			bpf_link__destroy(link);
		}
		fd = view(skel, &hooks[i], 0, self->target.pid);
		EXPECT_LE(0, fd);
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 100));
		ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_READ, 100));
		EXPECT_LE(100, slot->count);
		EXPECT_EQ(0, slot->foreign);
		if (fd >= 0)
			close(fd);
	}
}

TEST_F_TIMEOUT(lockdown, each_level, TIMEOUT)
{
	for (enum level level = NONE; level <= CONFIDENTIALITY; level++) {
		TH_LOG("level %d", level);
		ASSERT_TRUE(raise_level(level));
		try_functions(_metadata, self, level);
		try_tracepoints(_metadata, self);
	}
}
