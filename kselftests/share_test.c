// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of views: copies of text that several have, who pays, how much there may
 * be, and with which rights it is mapped.
 */
#include "kview_test.h"

#define TARGETS 4
#define READS 50

#define LIMIT_FILE "/proc/sys/kernel/kview_max_pages"
#define CGROUP "/sys/fs/cgroup/kview_share_test"

FIXTURE(share)
{
	struct kview_bpf *skel;
	struct target targets[TARGETS];
	struct target neighbour;
	/* Of the sysctl, as it was. */
	char limit[32];
};

FIXTURE_SETUP(share)
{
	const char *reason = why_not();
	FILE *file;

	if (reason)
		SKIP(return, "%s", reason);
	self->skel = load();
	ASSERT_NE(NULL, self->skel);
	for (int i = 0; i < TARGETS; i++) {
		ASSERT_TRUE(start_target(&self->targets[i]));
		set_slot(self->skel, i, self->targets[i].pid, false);
	}
	ASSERT_TRUE(start_target(&self->neighbour));
	file = fopen(LIMIT_FILE, "r");
	ASSERT_NE(NULL, file);
	ASSERT_NE(NULL, fgets(self->limit, sizeof(self->limit), file));
	fclose(file);
}

FIXTURE_TEARDOWN(share)
{
	write_file(LIMIT_FILE, self->limit);
	for (int i = 0; i < TARGETS; i++)
		kill_target(&self->targets[i]);
	kill_target(&self->neighbour);
	kview_bpf__destroy(self->skel);
}

static const struct hook enter = { RAW, "sys_enter" };
static const struct hook leave = { RAW, "sys_exit" };

/* All of them have text of their own; not many pages have the sites of two. */
static const struct hook several[] = {
	{ RAW, "sys_exit" },
	{ RAW, "sched_process_exit" },
	{ CLASSIC, "signal:signal_generate" },
	{ RAW, "task_rename" },
	{ CLASSIC, "sched:sched_switch" },
	{ RAW, "mmap_lock_released" },
};

static long charged(void)
{
	struct kview_check check;

	return kview_check(&check) && !check.faults ? check.charged : -1;
}

static long pages(int fd)
{
	struct bpf_link_info info = {};

	return link_info(fd, &info) ? -1 : info.kview.nr_pages;
}

static long shared(int fd)
{
	struct bpf_link_info info = {};

	return link_info(fd, &info) ? -1 : info.kview.nr_shared;
}

/*
 * Target @i and the neighbour read: a hook of sys_enter counts the former in slot @i,
 * one for each read and one for each of the other calls that it makes.
 */
static __u64 events(FIXTURE_DATA(share) * self, int i, unsigned int reads)
{
	struct slot *slot = &self->skel->bss->slots[i];
	__u64 before = slot->count;

	if (!tell_and_wait(&self->targets[i], OP_READ, reads) ||
	    !tell_and_wait(&self->neighbour, OP_READ, reads) || slot->foreign)
		return -1;
	return slot->count - before;
}

/* How many of them for @reads more. */
static bool exact(FIXTURE_DATA(share) * self, int i)
{
	__u64 few = events(self, i, READS);
	__u64 many = events(self, i, 2 * READS);

	if (few != (__u64)-1 && many - few == READS)
		return true;
	fprintf(stderr,
		"# target %d: %lld events with %d reads, %lld with %d\n", i,
		(long long)few, READS, (long long)many, 2 * READS);
	return false;
}

/* Each view after the first takes its tables and data, but no text. */
TEST_F_TIMEOUT(share, the_same_hook, TIMEOUT)
{
	long before = charged(), one = 0, text, all;
	int fds[TARGETS];

	ASSERT_LE(0, before);
	for (int i = 0; i < TARGETS; i++) {
		fds[i] = view(self->skel, &enter, i, self->targets[i].pid);
		ASSERT_LE(0, fds[i]);
		if (!i) {
			EXPECT_EQ(0, shared(fds[0]));
			one = charged() - before;
			EXPECT_EQ(pages(fds[0]), one);
			continue;
		}
		text = shared(fds[i]);
		EXPECT_LT(0, text);
		EXPECT_EQ(text, shared(fds[0]));
		EXPECT_EQ(one, pages(fds[i]));
		all = charged() - before;
		EXPECT_EQ(one + i * (one - text), all);
	}
	for (int i = 0; i < TARGETS; i++)
		EXPECT_TRUE(exact(self, i));

	/* The first one goes first: whose the copy was does not matter. */
	for (int i = 0; i < TARGETS; i++) {
		close(fds[i]);
		for (int j = i + 1; j < TARGETS; j++)
			EXPECT_TRUE(exact(self, j));
		if (i == TARGETS - 2)
			EXPECT_EQ(0, shared(fds[TARGETS - 1]));
	}
	EXPECT_EQ(before, charged());
}

/* One link with several targets, which come and go. */
TEST_F_TIMEOUT(share, targets_of_one_link, TIMEOUT)
{
	long before = charged(), one;
	__u32 pids[TARGETS];
	int fd;

	for (int i = 0; i < TARGETS; i++)
		pids[i] = self->targets[i].pid;
	fd = view(self->skel, &enter, 0, pids[0]);
	ASSERT_LE(0, fd);
	one = pages(fd);
	ASSERT_EQ(0, link_targets(fd, BPF_LINK_TARGETS_ADD, pids + 1,
				  TARGETS - 1, 0));
	EXPECT_EQ(TARGETS * one, pages(fd));
	EXPECT_LT(0, shared(fd));
	EXPECT_EQ(0, shared(fd) % TARGETS);
	EXPECT_EQ(before + pages(fd) - shared(fd) + shared(fd) / TARGETS,
		  charged());
	ASSERT_EQ(0,
		  link_targets(fd, BPF_LINK_TARGETS_DEL, pids, TARGETS - 1, 0));
	EXPECT_EQ(one, pages(fd));
	EXPECT_EQ(0, shared(fd));
	close(fd);
	EXPECT_EQ(before, charged());
}

/*
 * Two have the same hook, one of them gets another one, of the same pages or not: each
 * sees its own, and when that is gone they share as before.
 */
TEST_F_TIMEOUT(share, parting, TIMEOUT)
{
	int fds[2], parted = 0;
	long text;

	for (int i = 0; i < 2; i++) {
		fds[i] = view(self->skel, &enter, i, self->targets[i].pid);
		ASSERT_LE(0, fds[i]);
	}
	text = shared(fds[1]);
	ASSERT_LT(0, text);
	for (size_t i = 0; i < ARRAY_SIZE(several); i++) {
		int more;

		set_slot(self->skel, 2, self->targets[0].pid, false);
		more = view(self->skel, &several[i], 2, self->targets[0].pid);
		ASSERT_LE(0, more);
		EXPECT_GE(text, shared(fds[1]));
		EXPECT_EQ(shared(fds[0]), shared(fds[1]));
		parted += shared(fds[1]) < text;
		check_copies();
		for (int j = 0; j < 2; j++)
			EXPECT_TRUE(exact(self, j));
		EXPECT_EQ(0, self->skel->bss->slots[2].foreign);
		close(more);
		EXPECT_EQ(text, shared(fds[0]));
		EXPECT_EQ(text, shared(fds[1]));
		for (int j = 0; j < 2; j++)
			EXPECT_TRUE(exact(self, j));
	}
	/* Entry to and exit from system calls are in one page at least. */
	EXPECT_LT(0, parted);
	close(fds[0]);
	close(fds[1]);
}

/* What counts is which hooks there are, not how they got there. */
TEST_F_TIMEOUT(share, any_order, TIMEOUT)
{
	int fds[2][2], other;

	fds[0][0] = view(self->skel, &enter, 0, self->targets[0].pid);
	fds[0][1] = view(self->skel, &leave, 2, self->targets[0].pid);
	other = view(self->skel, &several[1], 3, self->targets[1].pid);
	fds[1][1] = view(self->skel, &leave, 2, self->targets[1].pid);
	fds[1][0] = view(self->skel, &enter, 1, self->targets[1].pid);
	ASSERT_LE(0, other);
	close(other);
	for (int i = 0; i < 2; i++) {
		ASSERT_LE(0, fds[i][0]);
		ASSERT_LE(0, fds[i][1]);
	}
	EXPECT_LT(0, shared(fds[0][0]));
	EXPECT_EQ(shared(fds[0][0]), shared(fds[1][0]));
	EXPECT_EQ(pages(fds[0][0]), pages(fds[1][0]));
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(exact(self, i));
		close(fds[i][1]);
		EXPECT_TRUE(exact(self, i));
	}
	EXPECT_LT(0, shared(fds[0][0]));
	close(fds[0][0]);
	close(fds[1][0]);
}

/* Somebody else's program on the hook changes the calls of all views with it. */
TEST_F_TIMEOUT(share, others_come_and_go, TIMEOUT)
{
	int fds[TARGETS];
	long text;

	for (int i = 0; i < TARGETS; i++) {
		fds[i] = view(self->skel, &enter, i, self->targets[i].pid);
		ASSERT_LE(0, fds[i]);
	}
	text = shared(fds[0]);
	for (int round = 0; round < 3; round++) {
		struct bpf_link *link;

		set_slot(self->skel, TARGETS, self->targets[0].pid, true);
		link = stock(self->skel, &enter, TARGETS);
		ASSERT_NE(NULL, link);
		check_copies();
		for (int i = 0; i < TARGETS; i++) {
			EXPECT_EQ(text, shared(fds[i]));
			EXPECT_TRUE(exact(self, i));
		}
		EXPECT_LT(0, self->skel->bss->slots[TARGETS].count);
		bpf_link__destroy(link);
		for (int i = 0; i < TARGETS; i++) {
			EXPECT_EQ(text, shared(fds[i]));
			EXPECT_TRUE(exact(self, i));
		}
	}
	for (int i = 0; i < TARGETS; i++)
		close(fds[i]);
}

TEST_F_TIMEOUT(share, a_target_exits, TIMEOUT)
{
	long before = charged();
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = view(self->skel, &enter, i, self->targets[i].pid);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_LT(0, shared(fds[1]));
	kill_target(&self->targets[0]);
	/* Its last thread has seen to it soon after. */
	for (int i = 0; i < 1000 && shared(fds[1]); i++)
		usleep(1000);
	EXPECT_EQ(0, shared(fds[1]));
	EXPECT_EQ(before + pages(fds[1]), charged());
	EXPECT_TRUE(exact(self, 1));
	close(fds[0]);
	close(fds[1]);
	EXPECT_EQ(before, charged());
}

/* The text that they share is changed for everybody while they run. */
TEST_F_TIMEOUT(share, text_changes_for_all, TIMEOUT)
{
	static const struct hook key = { RAW, "sys_exit" };
	struct bpf_link *link;
	int fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = view(self->skel, &enter, i, self->targets[i].pid);
		ASSERT_LE(0, fds[i]);
	}
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 2; j++)
			ASSERT_TRUE(tell(&self->targets[j], OP_READ, 200));
		set_slot(self->skel, 2, self->targets[0].pid, true);
		link = stock(self->skel, &key, 2);
		ASSERT_NE(NULL, link);
		check_copies();
		bpf_link__destroy(link);
		check_copies();
		for (int j = 0; j < 2; j++)
			ASSERT_TRUE(answer(&self->targets[j]));
	}
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(exact(self, i));
		close(fds[i]);
	}
}

/* --- how much there may be --- */

static bool set_limit(long nr)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", nr);
	return write_file(LIMIT_FILE, text);
}

/* Each page that is one too many is refused, with nothing changed. */
TEST_F_TIMEOUT(share, limit_of_attach, TIMEOUT)
{
	long before = charged(), links = nr_links(), need;
	int fd;

	fd = view(self->skel, &enter, 0, self->targets[0].pid);
	ASSERT_LE(0, fd);
	need = charged() - before;
	close(fd);
	ASSERT_EQ(before, charged());

	for (long more = 0; more < need; more++) {
		ASSERT_TRUE(set_limit(before + more));
		ASSERT_EQ(-ENOSPC,
			  view(self->skel, &enter, 0, self->targets[0].pid));
		ASSERT_EQ(before, charged());
		ASSERT_EQ(links, nr_links());
		ASSERT_EQ(0, events(self, 0, READS));
	}
	ASSERT_TRUE(set_limit(before + need));
	fd = view(self->skel, &enter, 0, self->targets[0].pid);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(exact(self, 0));
	close(fd);
}

TEST_F_TIMEOUT(share, limit_of_targets, TIMEOUT)
{
	long before;
	__u32 pids[TARGETS];
	int fd;

	for (int i = 0; i < TARGETS; i++)
		pids[i] = self->targets[i].pid;
	fd = view(self->skel, &enter, 0, pids[0]);
	ASSERT_LE(0, fd);
	before = charged();
	for (long more = 0; more < 3; more++) {
		ASSERT_TRUE(set_limit(before + more));
		ASSERT_EQ(-ENOSPC, link_targets(fd, BPF_LINK_TARGETS_ADD,
						pids + 1, TARGETS - 1, 0));
		ASSERT_EQ(before, charged());
	}
	EXPECT_TRUE(exact(self, 0));
	close(fd);
}

/* A child that ought to be a target, and cannot, does not come to be. */
TEST_F_TIMEOUT(share, limit_of_fork, TIMEOUT)
{
	int fd, status;
	pid_t pid;

	set_slot(self->skel, 0, getpid(), true);
	fd = view_program_flags(self->skel->progs.raw, &enter, 0, getpid(),
				BPF_F_VIEW_FOLLOW_FORK);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(set_limit(charged()));
	pid = fork();
	if (!pid)
		_exit(0);
	EXPECT_EQ(-1, pid);
	EXPECT_EQ(ENOSPC, errno);
	write_file(LIMIT_FILE, self->limit);
	pid = fork();
	if (!pid)
		_exit(7);
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(7, WEXITSTATUS(status));
	close(fd);
}

/* To take away needs a page at times, and fails never. */
TEST_F_TIMEOUT(share, no_limit_to_detach, TIMEOUT)
{
	int fds[TARGETS][2];

	for (int i = 0; i < TARGETS; i++) {
		fds[i][0] = view(self->skel, &enter, i, self->targets[i].pid);
		fds[i][1] =
			view(self->skel, &leave, TARGETS, self->targets[i].pid);
		ASSERT_LE(0, fds[i][0]);
		ASSERT_LE(0, fds[i][1]);
	}
	ASSERT_TRUE(set_limit(0));
	for (int i = 0; i < TARGETS; i++) {
		close(fds[i][1]);
		check_copies();
		EXPECT_TRUE(exact(self, i));
	}
	for (int i = 0; i < TARGETS; i++)
		close(fds[i][0]);
	for (int i = 0; i < TARGETS; i++)
		EXPECT_EQ(0, events(self, i, READS));
}

/* --- who pays --- */

/* Of kernel memory that the control group has, in bytes. */
static long cgroup_kernel_memory(void)
{
	FILE *file = fopen(CGROUP "/memory.stat", "r");
	long bytes = -1;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "kernel %ld", &bytes) == 1)
			break;
	if (file)
		fclose(file);
	return bytes;
}

/* Enough for the statistics, which are right to some 64 pages for each CPU. */
#define PAYERS 90

TEST_F_TIMEOUT(share, charged_to_the_creator, TIMEOUT)
{
	struct target targets[PAYERS];
	int to_child[2], from_child[2];
	long before, during, after, need;
	char byte, text[24];
	pid_t pid;

	for (int i = 0; i < PAYERS; i++)
		ASSERT_TRUE(start_target(&targets[i]));
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	rmdir(CGROUP);
	ASSERT_EQ(0, mkdir(CGROUP, 0755));
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(from_child));

	pid = fork();
	if (!pid) {
		int fds[PAYERS];

		snprintf(text, sizeof(text), "%d", getpid());
		if (!write_file(CGROUP "/cgroup.procs", text))
			_exit(1);
		for (;;) {
			if (write(from_child[1], "", 1) != 1 ||
			    read(to_child[0], &byte, 1) != 1)
				_exit(2);
			for (int i = 0; i < PAYERS; i++)
				fds[i] = view(self->skel, &enter, 0,
					      targets[i].pid);
			if (write(from_child[1], "", 1) != 1 ||
			    read(to_child[0], &byte, 1) != 1)
				_exit(3);
			for (int i = 0; i < PAYERS; i++)
				if (fds[i] < 0 || close(fds[i]))
					_exit(4);
		}
	}
	ASSERT_LT(0, pid);
	/* The first time is for what is allocated once. */
	for (int round = 0; round < 2; round++) {
		ASSERT_EQ(1, read(from_child[0], &byte, 1));
		need = charged();
		before = cgroup_kernel_memory();
		ASSERT_EQ(1, write(to_child[1], "", 1));
		ASSERT_EQ(1, read(from_child[0], &byte, 1));
		need = (charged() - need) * sysconf(_SC_PAGESIZE);
		during = cgroup_kernel_memory();
		ASSERT_EQ(1, write(to_child[1], "", 1));
	}
	ASSERT_EQ(1, read(from_child[0], &byte, 1));
	after = cgroup_kernel_memory();

	ASSERT_LE(0, before);
	EXPECT_LT(need / 2, during - before);
	EXPECT_GT(need / 2, after - before);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < PAYERS; i++)
		kill_target(&targets[i]);
	for (int i = 0; i < 100 && rmdir(CGROUP); i++)
		usleep(10000);
}

/* --- rights --- */

/* Of the kernel image, in a dump of page tables. */
struct dump {
	/* Pages of 4 KiB and of 2 MiB, and of the latter those that are global. */
	long small;
	long large;
	long large_global;
	/* What can be written to and executed, anywhere. */
	long writable_text;
	long global;
};

static bool read_dump(const char *name, struct dump *dump)
{
	char path[64], line[256];
	bool image = false;
	FILE *file;

	memset(dump, 0, sizeof(*dump));
	snprintf(path, sizeof(path), "/sys/kernel/debug/page_tables/%s", name);
	file = fopen(path, "r");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		unsigned long start, end;
		char *rest = strchr(line, ' ');
		bool global, large;

		if (line[0] == '-')
			image = strstr(line, "High Kernel Mapping");
		if (!rest || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (strstr(rest, " RW ") && !strstr(rest, " NX "))
			dump->writable_text++;
		if (!image || !(strstr(rest, " ro ") || strstr(rest, " RW ")))
			continue;
		global = strstr(rest, " GLB ");
		large = strstr(rest, " PSE ");
		if (large)
			dump->large += (end - start) >> 21;
		else
			dump->small += (end - start) >> 12;
		if (global && large)
			dump->large_global += (end - start) >> 21;
		dump->global += global;
	}
	fclose(file);
	return dump->large;
}

/* Does the kernel isolate its page tables from user space? */
static bool isolated(void)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char line[4096];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, "flags", 5) && strstr(line, " pti ");
	if (file)
		fclose(file);
	return found;
}

/*
 * The tables of everybody before, with views and after; and those of a target, which
 * reads them itself.
 */
TEST_F_TIMEOUT(share, page_tables, TIMEOUT)
{
	struct dump before, during, after, own;
	int fds[ARRAY_SIZE(several)], fd;

	ASSERT_TRUE(read_dump("kernel", &before));
	EXPECT_EQ(0, before.writable_text);
	set_slot(self->skel, 0, getpid(), false);
	fd = view(self->skel, &enter, 0, getpid());
	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(several); i++) {
		fds[i] = view(self->skel, &several[i], 0, getpid());
		ASSERT_LE(0, fds[i]);
	}
	ASSERT_TRUE(read_dump("kernel", &during));
	ASSERT_TRUE(read_dump("current_kernel", &own));
	check_copies();
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(several); i++)
		close(fds[i]);
	ASSERT_TRUE(read_dump("kernel", &after));

	/* No large page was split; those with hooks are not global. */
	EXPECT_EQ(before.large, during.large);
	EXPECT_EQ(before.small, during.small);
	EXPECT_EQ(0, during.writable_text);
	if (isolated()) {
		/* But for what user space maps as well: no hook is there. */
		EXPECT_EQ(before.large_global, during.large_global);
	} else {
		EXPECT_GT(before.large_global, during.large_global);
		/* Text of the hooks, of static calls to them, and their state. */
		EXPECT_GE(during.large_global + 10, before.large_global);
	}
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	/*
	 * The target's: a few regions of small pages, and no large one that is
	 * global. Regions of small pages without hooks are everybody's tables.
	 */
	EXPECT_GT(before.large, own.large);
	EXPECT_LT(before.small, own.small);
	EXPECT_EQ(before.large * 512 + before.small,
		  own.large * 512 + own.small);
	EXPECT_EQ(0, own.large_global);
	EXPECT_GE(during.global, own.global);
	EXPECT_EQ(0, own.writable_text);
}
