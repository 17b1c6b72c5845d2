// SPDX-License-Identifier: GPL-2.0
/*
 * Programs on instructions inside of functions, for one process. What is counted,
 * and where a program can be attached, is compared with the same program that is
 * attached system-wide at the same instruction.
 */
#include "func_test.h"
#include "kview_memory.h"

#define FUNCTION "__x64_sys_read"

/* --- the guest --- */

#define EXPEDITED "/sys/kernel/rcu_expedited"

/* What is attached system-wide is attached one by one, and each waits. */
static bool hurry(bool on)
{
	return write_file(EXPEDITED, on ? "1" : "0");
}

/* --- instructions --- */

/* Instructions that one run of a target can be compared at: each has a slot for
 * the view, and one for everybody.
 */
#define BATCH 30
#define ORACLES 32

/* Counted at once in a view alone: as many as there are slots. */
#define MAX_PLACES 1000

enum { MAX_SIZE = TEXT_SIZE - 16 };

struct place {
	char name[64];
	__u64 addr;
	unsigned int offset;
	__u8 bytes[8];
};

struct places {
	struct place list[MAX_PLACES];
	int nr;
};

/* What one test has found out, for those that come after it. */
static struct places *found;

static __attribute__((constructor)) void share_found(void)
{
	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (found == MAP_FAILED)
		abort();
}

/* Everybody's text, in the skeleton. */
static const __u8 *read_text(struct func_bpf *skel, __u64 addr)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->text_address = addr;
	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.read_text),
				   &opts) ||
	    opts.retval)
		return NULL;
	return skel->bss->text;
}

static int first_byte(struct func_bpf *skel, __u64 addr)
{
	const __u8 *text = read_text(skel, addr);

	return text ? *text : -1;
}

#define INT3 0xcc
#define JUMP 0xe9

/* Until everybody's text has a jump there, or not for so long. */
static bool wait_for_jump(struct func_bpf *skel, __u64 addr)
{
	for (int i = 0; i < 200; i++) {
		if (first_byte(skel, addr) == JUMP)
			return true;
		usleep(10000);
	}
	return false;
}

static int view_place(struct bpf_program *program, const struct place *place,
		      __u64 cookie, pid_t pid)
{
	return view_at(bpf_program__fd(program), NULL, place->addr, 0, cookie,
		       pid);
}

static struct bpf_link *stock_place(struct bpf_program *program,
				    const struct place *place, __u64 cookie)
{
	return stock_at(program, NULL, place->addr, cookie);
}

/*
 * Find all instructions of a function that can be had, behind its call. There is a
 * view all the time: to make one for each would take long.
 */
static void find_places(struct func_bpf *skel, const char *name, pid_t pid)
{
	__u64 addr = address_of(name), size = size_of(addr);
	__u64 offset = addr ? behind_call(name) : 0;
	int keeper;

	if (!offset || size > MAX_SIZE || !read_text(skel, addr))
		return;
	keeper = view_func(skel, KPROBE, name, NR_SLOTS - 1, pid);
	for (; offset < size && found->nr < MAX_PLACES; offset++) {
		struct place *place = &found->list[found->nr];
		int fd = view_at(bpf_program__fd(skel->progs.on_kprobe), name,
				 offset, 0, NR_SLOTS - 1, pid);

		if (fd < 0)
			continue;
		close(fd);
		snprintf(place->name, sizeof(place->name), "%.63s", name);
		place->addr = addr + offset;
		place->offset = offset;
		memcpy(place->bytes, &skel->bss->text[offset],
		       sizeof(place->bytes));
		found->nr++;
	}
	close(keeper);
}

/* Add them. */
static void add_places(struct func_bpf *skel, const char *name, pid_t pid,
		       struct places *places)
{
	int before = places->nr;

	for (int tries = 0; tries < 2 && places->nr == before; tries++) {
		if (tries)
			find_places(skel, name, pid);
		for (int i = 0; i < found->nr; i++) {
			if (!strcmp(found->list[i].name, name) &&
			    places->nr < MAX_PLACES)
				places->list[places->nr++] = found->list[i];
		}
	}
}

/* Keep those for which there is a count in their slot. */
static void keep_hit(struct func_bpf *skel, struct places *places)
{
	int nr = 0;

	for (int i = 0; i < places->nr; i++) {
		if (skel->bss->slots[i].count)
			places->list[nr++] = places->list[i];
	}
	places->nr = nr;
}

static void shuffle(struct places *places, unsigned int *state)
{
	for (int i = places->nr - 1; i > 0; i--) {
		int j = rand_r(state) % (i + 1);
		struct place place = places->list[i];

		places->list[i] = places->list[j];
		places->list[j] = place;
	}
}

/* Compare all that there is, however long that takes. */
static bool thorough(void)
{
	return getenv("KVIEW_THOROUGH");
}

/* How the kernel gets over it. */
enum manner { CALL, INDIRECT, JMP, JCC, RET, IF_FLAG, LOOP, COPY, MANNERS };

static const char *const manner_names[MANNERS] = {
	"call", "indirect", "jmp", "jcc", "ret", "IF", "loop", "copy",
};

static enum manner manner_of(const __u8 *bytes)
{
	while (*bytes == 0x2e || *bytes == 0x3e)
		bytes++;
	switch (*bytes) {
	case 0xe8:
		return CALL;
	case 0xe9:
	case 0xeb:
		return JMP;
	case 0x70 ... 0x7f:
		return JCC;
	case 0xc2:
	case 0xc3:
		return RET;
	case 0x9c:
	case 0x9d:
	case 0xfa:
	case 0xfb:
		return IF_FLAG;
	case 0xe0 ... 0xe3:
		return LOOP;
	case 0x0f:
		return (bytes[1] & 0xf0) == 0x80 ? JCC : COPY;
	case 0x41:
		bytes++;
		break;
	}
	if (*bytes == 0xff &&
	    ((bytes[1] >> 3 & 7) == 2 || (bytes[1] >> 3 & 7) == 4))
		return INDIRECT;
	return COPY;
}

/* --- most tests have this --- */

FIXTURE(inside)
{
	struct func_bpf *skel;
	struct target target;
	struct target neighbour;
	struct places *places;
	pid_t pid;
	long links;
};

FIXTURE_SETUP(inside)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_TRUE(set_optimization(false));
	hurry(true);
	libbpf_set_print(NULL);
	self->links = nr_links();
	self->skel = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->skel);
	self->places = calloc(1, sizeof(*self->places));
	ASSERT_NE(NULL, self->places);
	ASSERT_TRUE(start_target(&self->target));
	ASSERT_TRUE(start_target(&self->neighbour));
	self->pid = self->target.pid;
	ASSERT_TRUE(tell_and_wait(&self->target, OP_CALLS, 2));
	ASSERT_TRUE(tell_and_wait(&self->neighbour, OP_CALLS, 2));
	for (int i = 0; i < SLOTS; i++)
		set_func_slot(self->skel, i, self->pid, false);
}

FIXTURE_TEARDOWN(inside)
{
	kill_target(&self->target);
	kill_target(&self->neighbour);
	free(self->places);
	func_bpf__destroy(self->skel);
	hurry(false);
	set_optimization(true);
}

static void left_nothing(struct __test_metadata *_metadata,
			 FIXTURE_DATA(inside) * self)
{
	nothing_left(_metadata, self->skel, self->links, &self->target,
		     &self->neighbour);
}

/* --- where a program can be attached --- */

static int view_error(FIXTURE_DATA(inside) * self, const char *name,
		      __u64 offset)
{
	int fd = view_at(bpf_program__fd(self->skel->progs.on_kprobe), name,
			 offset, 0, VIEW, self->pid);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int stock_error(FIXTURE_DATA(inside) * self, const char *name,
		       __u64 offset)
{
	struct bpf_link *link = stock_at(self->skel->progs.on_kprobe_oracle,
					 name, offset, NR_CONTEXTS - 1);
	int ret = link ? 0 : -errno;

	bpf_link__destroy(link);
	return ret;
}

/* With tracepoints, static calls, an indirect call, user accesses; noinstr. */
static const char *const place_names[] = {
	"ksys_read",
	"read_zero",
	"__sys_sendmsg",
	"handle_mm_fault",
	"kfree",
	"do_syscall_64",
	FUNCTION,
	/* if there is time */
	"vfs_read",
	"filldir64",
	"kmem_cache_free",
};

#define QUICK_PLACES 7

/* To attach for everybody takes long: all that views refuse, what is next to it,
 * and some of the others.
 */
static bool ask_stock(const int *errors, __u64 offset, __u64 size)
{
	__u64 from = offset > 8 ? offset - 8 : 1;

	if (errors[offset] || thorough() || offset % 11 == 0)
		return true;
	for (; from < offset + 8 && from < size; from++) {
		if (errors[from] && errors[from] != -EILSEQ)
			return true;
	}
	return false;
}

TEST_F_TIMEOUT(inside, places, TIMEOUT)
{
	int keeper = view_func(self->skel, KPROBE, FUNCTION, VIEW, self->pid);

	ASSERT_LE(0, keeper);
	for (size_t i = 0; i < ARRAY_SIZE(place_names); i++) {
		const char *name = place_names[i];
		__u64 addr = address_of(name), size = size_of(addr);
		int nr = 0, asked = 0, einval = 0, eilseq = 0;
		static int errors[MAX_SIZE];

		if (i == QUICK_PLACES && !thorough())
			break;
		ASSERT_NE(0, addr);
		ASSERT_GT(MAX_SIZE, size);
		for (__u64 offset = 1; offset < size; offset++) {
			errors[offset] = view_error(self, name, offset);
			/* Addresses are not another way to get there. */
			if (offset % 3 == 0)
				EXPECT_EQ(errors[offset],
					  view_error(self, NULL,
						     addr + offset));
			nr += !errors[offset];
			einval += errors[offset] == -EINVAL;
			eilseq += errors[offset] == -EILSEQ;
		}
		for (__u64 offset = 1; offset < size; offset++) {
			int expected;

			if (!ask_stock(errors, offset, size))
				continue;
			asked += !errors[offset];
			expected = stock_error(self, name, offset);
			EXPECT_EQ(expected, errors[offset])
			{
				TH_LOG("%s+%llu", name, offset);
			}
			if (offset % 5)
				continue;
			expected = stock_error(self, NULL, addr + offset);
			EXPECT_EQ(expected, errors[offset])
			{
				TH_LOG("address of %s+%llu", name, offset);
			}
		}
		TH_LOG("%s: %llu bytes, %d places, %d of them compared, EINVAL %d, EILSEQ %d",
		       name, size, nr, asked, einval, eilseq);
		/* Of another function, whoever else may take it for this one. */
		for (__u64 offset = size; offset < size + 32; offset++)
			EXPECT_EQ(-EINVAL, view_error(self, name, offset));
	}
	close(keeper);
	set_func_slot(self->skel, VIEW, self->pid, false);
	left_nothing(_metadata, self);
}

/* --- as the program with a filter --- */

static const char *const hot[] = {
	FUNCTION,    "ksys_read",      "vfs_read",  "__sys_sendmsg",
	"filldir64", "do_sys_openat2", "read_zero", "rw_verify_area",
};

static void add_hot(struct __test_metadata *_metadata,
		    FIXTURE_DATA(inside) * self)
{
	for (size_t i = 0; i < ARRAY_SIZE(hot); i++)
		add_places(self->skel, hot[i], self->pid, self->places);
	EXPECT_LT(300, self->places->nr);
	EXPECT_GT(MAX_PLACES, self->places->nr);
}

struct batch {
	const struct place *places;
	int nr;
	int fds[BATCH];
	struct bpf_link *oracles[BATCH];
};

static void set_batch_slots(FIXTURE_DATA(inside) * self, int nr)
{
	for (int i = 0; i < nr; i++) {
		set_func_slot(self->skel, i, self->pid, false);
		set_func_slot(self->skel, ORACLES + i, self->pid, true);
	}
}

static bool attach_view(FIXTURE_DATA(inside) * self, struct batch *batch, int i)
{
	batch->fds[i] = view_place(self->skel->progs.on_kprobe,
				   &batch->places[i], i, self->pid);
	return batch->fds[i] >= 0;
}

static bool attach_oracle(FIXTURE_DATA(inside) * self, struct batch *batch,
			  int i)
{
	batch->oracles[i] = stock_place(self->skel->progs.on_kprobe_oracle,
					&batch->places[i], ORACLES + i);
	return batch->oracles[i];
}

/* Both of each, in random order. */
static bool attach_batch(FIXTURE_DATA(inside) * self, struct batch *batch,
			 unsigned int *state)
{
	int order[2 * BATCH];

	for (int i = 0; i < 2 * batch->nr; i++) {
		int j = rand_r(state) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (int i = 0; i < 2 * batch->nr; i++) {
		int nr = order[i] / 2;

		if (order[i] % 2 ? !attach_view(self, batch, nr) :
				   !attach_oracle(self, batch, nr))
			return false;
	}
	return true;
}

/* Those that are left. */
static void detach_batch(struct batch *batch)
{
	for (int i = 0; i < batch->nr; i++) {
		if (batch->fds[i] >= 0)
			close(batch->fds[i]);
		bpf_link__destroy(batch->oracles[i]);
	}
}

/* Do the target and a neighbour what they are told, undisturbed? */
static bool both_do(FIXTURE_DATA(inside) * self, enum op op, unsigned int n)
{
	return tell(&self->target, op, n) &&
	       tell(&self->neighbour, OP_CALLS, 3) && answer(&self->target) &&
	       answer(&self->neighbour);
}

static void compare_batch(struct __test_metadata *_metadata,
			  FIXTURE_DATA(inside) * self, struct batch *batch,
			  bool contexts, const char *what)
{
	struct slot *slots = self->skel->bss->slots;

	for (int i = 0; i < batch->nr; i++) {
		const struct place *place = &batch->places[i];
		char name[100];

		snprintf(name, sizeof(name), "%s: %s+%u (%02x %02x %02x)", what,
			 place->name, place->offset, place->bytes[0],
			 place->bytes[1], place->bytes[2]);
		EXPECT_EQ(slots[ORACLES + i].count, slots[i].count)
		{
			TH_LOG("%s", name);
		}
		if (contexts)
			same_contexts(_metadata, self->skel, i, ORACLES + i,
				      name);
		EXPECT_EQ(0, slots[i].foreign);
	}
}

/* How often is each hit in what the target is told? All at once. */
static void count_places(struct __test_metadata *_metadata,
			 FIXTURE_DATA(inside) * self, enum op op,
			 unsigned int n)
{
	static int fds[MAX_PLACES];

	for (int i = 0; i < self->places->nr; i++) {
		set_func_slot(self->skel, i, self->pid, false);
		fds[i] = view_place(self->skel->progs.on_kprobe,
				    &self->places->list[i], i, self->pid);
		ASSERT_LE(0, fds[i]);
	}
	ASSERT_TRUE(both_do(self, op, n));
	for (int i = 0; i < self->places->nr; i++) {
		close(fds[i]);
		EXPECT_EQ(0, self->skel->bss->slots[i].foreign);
	}
}

/* Some that are not hit, and if it must not take long, not all that are. */
static void choose_places(struct __test_metadata *_metadata,
			  FIXTURE_DATA(inside) * self, int nr,
			  unsigned int *state)
{
	struct places *places = self->places;
	int all = places->nr, hit = 0, chosen = 0;
	const struct slot *slots = self->skel->bss->slots;

	count_places(_metadata, self, OP_CALLS, 5);
	for (int i = 0; i < all; i++)
		hit += slots[i].count > 0;
	TH_LOG("seed %u, %d instructions, %d are hit", *state, all, hit);
	EXPECT_LT(all / 4, hit);
	for (int i = 0; i < all; i++) {
		if (slots[i].count || rand_r(state) % 16 == 0)
			places->list[chosen++] = places->list[i];
	}
	places->nr = chosen;
	shuffle(places, state);
	if (!thorough() && places->nr > nr)
		places->nr = nr;
}

/* Every instruction, and how each manner to get over one did. */
TEST_F_TIMEOUT(inside, exact, TIMEOUT)
{
	unsigned int state = 1;
	int hits[MANNERS] = {}, fired = 0;
	__u64 events = 0;

	add_hot(_metadata, self);
	choose_places(_metadata, self, 6 * BATCH, &state);
	for (int from = 0; from < self->places->nr; from += BATCH) {
		struct batch batch = { .places = &self->places->list[from] };
		int rest = self->places->nr - from;

		batch.nr = rest < BATCH ? rest : BATCH;
		set_batch_slots(self, batch.nr);
		ASSERT_TRUE(attach_batch(self, &batch, &state));
		ASSERT_TRUE(both_do(self, OP_CALLS, 5));
		ASSERT_TRUE(both_do(self, OP_READ, 10));
		for (int i = 0; i < batch.nr; i++)
			EXPECT_EQ(0, hook_misses(batch.fds[i]));
		detach_batch(&batch);
		compare_batch(_metadata, self, &batch, true, "both");
		for (int i = 0; i < batch.nr; i++) {
			__u64 count = self->skel->bss->slots[i].count;

			if (!count)
				continue;
			hits[manner_of(batch.places[i].bytes)]++;
			events += count;
			fired++;
		}
	}
	TH_LOG("%d of %d instructions were hit, %llu events", fired,
	       self->places->nr, events);
	for (int i = 0; i < MANNERS; i++)
		TH_LOG("%s: %d", manner_names[i], hits[i]);
	EXPECT_LT(self->places->nr / 2, fired);
	EXPECT_LT(0, hits[CALL]);
	EXPECT_LT(0, hits[JCC]);
	EXPECT_LT(0, hits[JMP]);
	EXPECT_LT(0, hits[RET]);
	EXPECT_LT(100, hits[COPY]);
	EXPECT_EQ(0, self->skel->bss->strays);
}

/*
 * One after the other: in how many registers do they differ? A sum that grows or a
 * flag of the thread may be in some of them.
 */
static int one_after_the_other(struct __test_metadata *_metadata,
			       FIXTURE_DATA(inside) * self, struct batch *batch)
{
	struct context *contexts = self->skel->bss->contexts;
	int odd = 0;

	set_batch_slots(self, batch->nr);
	for (int i = 0; i < batch->nr; i++)
		ASSERT_TRUE(attach_view(self, batch, i));
	ASSERT_TRUE(both_do(self, OP_READ, 10));
	/* Others do not have it, not even now. */
	for (int i = 0; i < batch->nr; i++) {
		EXPECT_EQ(batch->places[i].bytes[0],
			  first_byte(self->skel, batch->places[i].addr));
		close(batch->fds[i]);
		batch->fds[i] = -1;
	}
	for (int i = 0; i < batch->nr; i++)
		ASSERT_TRUE(attach_oracle(self, batch, i));
	ASSERT_TRUE(both_do(self, OP_READ, 10));
	detach_batch(batch);
	for (int i = 0; i < batch->nr; i++) {
		__u64 *sums = contexts[i].sums;
		__u64 *others = contexts[ORACLES + i].sums;

		for (int j = 0; j < NR_REGS; j++) {
			if (j == FIELD_IP || j == FIELD_SP)
				continue;
			odd += sums[j] != others[j];
			sums[j] = others[j];
		}
	}
	return odd;
}

/*
 * The kprobe of the view alone gets over each instruction as the one that
 * everybody has: a call that goes wrong ends the target. Reading is the same each
 * time down to the registers, on one CPU.
 */
TEST_F_TIMEOUT(inside, alone, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	static const char *const of_read[] = { FUNCTION, "ksys_read",
					       "vfs_read", "read_zero" };
	unsigned int state = 4;
	int fired = 0, sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(of_read); i++)
		add_places(self->skel, of_read[i], self->pid, self->places);
	ASSERT_LT(100, self->places->nr);
	ASSERT_TRUE(pin(self->pid, true));
	count_places(_metadata, self, OP_READ, 10);
	keep_hit(self->skel, self->places);
	shuffle(self->places, &state);
	if (!thorough() && self->places->nr > 3 * BATCH)
		self->places->nr = 3 * BATCH;
	for (int from = 0; from < self->places->nr; from += BATCH) {
		struct batch batch = { .places = &self->places->list[from] };
		int rest = self->places->nr - from, odd = BATCH;

		batch.nr = rest < BATCH ? rest : BATCH;
		/* It may be interrupted, and flags of the thread be set. */
		for (int tries = 0; tries < 3 && odd > BATCH / 3; tries++)
			odd = one_after_the_other(_metadata, self, &batch);
		compare_batch(_metadata, self, &batch, true, "alone");
		for (int i = 0; i < batch.nr; i++)
			fired += slots[i].count > 0;
		sum += odd;
	}
	TH_LOG("%d of %d instructions were hit, %d registers differ", fired,
	       self->places->nr, sum);
	EXPECT_LT(50, fired);
	EXPECT_GT(fired / 6, sum);
}

/* Those that change whether there are interrupts, where these call them, too. */
TEST_F_TIMEOUT(inside, interrupts_on_and_off, TIMEOUT)
{
	static const char *const names[] = { "_raw_spin_lock_irq",
					     "_raw_spin_unlock_irq",
					     "_raw_spin_lock_irqsave",
					     "_raw_spin_unlock_irqrestore" };
	struct slot *slots = self->skel->bss->slots;
	struct batch batch = {};
	unsigned int state = 8;
	int hits[MANNERS] = {};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		add_places(self->skel, names[i], self->pid, self->places);
	ASSERT_LT(10, self->places->nr);
	batch.places = self->places->list;
	for (int i = 0; i < self->places->nr && batch.nr < BATCH / 2; i++) {
		if (manner_of(self->places->list[i].bytes) == IF_FLAG ||
		    rand_r(&state) % 4 == 0)
			self->places->list[batch.nr++] = self->places->list[i];
	}
	for (int i = 0; i < 3; i++) {
		set_batch_slots(self, batch.nr);
		ASSERT_TRUE(attach_batch(self, &batch, &state));
		ASSERT_TRUE(both_do(self, OP_MIX, 3));
		ASSERT_TRUE(both_do(self, OP_SLEEP, 50));
		detach_batch(&batch);
		/* In interrupts, which come as they like, but to both. */
		compare_batch(_metadata, self, &batch, true, "IF");
	}
	for (int i = 0; i < batch.nr; i++) {
		if (slots[i].count)
			hits[manner_of(batch.places[i].bytes)]++;
	}
	TH_LOG("%d of %d change IF and were hit", hits[IF_FLAG], batch.nr);
	EXPECT_LT(0, hits[IF_FLAG]);
}

/* Also when what everybody has is a jump. */
TEST_F_TIMEOUT(inside, beside_jumps, TIMEOUT)
{
	unsigned int state = 2;
	int jumps = 0;

	add_hot(_metadata, self);
	choose_places(_metadata, self, 2 * BATCH, &state);
	ASSERT_TRUE(set_optimization(true));
	for (int from = 0; from < self->places->nr; from += BATCH) {
		struct batch batch = { .places = &self->places->list[from] };
		int rest = self->places->nr - from;

		batch.nr = rest < BATCH ? rest : BATCH;
		set_batch_slots(self, batch.nr);
		ASSERT_TRUE(attach_batch(self, &batch, &state));
		/* Before, while and after they become jumps. */
		ASSERT_TRUE(both_do(self, OP_CALLS, 5));
		for (int i = 0; i < 10; i++) {
			usleep(30000);
			ASSERT_TRUE(both_do(self, OP_READ, 5));
		}
		ASSERT_TRUE(both_do(self, OP_CALLS, 5));
		for (int i = 0; i < batch.nr; i++)
			jumps += first_byte(self->skel, batch.places[i].addr) ==
				 JUMP;
		/* The view's, or everybody's, first. */
		for (int i = 0; i < batch.nr; i++) {
			if (rand_r(&state) % 2) {
				bpf_link__destroy(batch.oracles[i]);
				batch.oracles[i] = NULL;
			} else {
				close(batch.fds[i]);
				batch.fds[i] = -1;
			}
		}
		detach_batch(&batch);
		ASSERT_TRUE(both_do(self, OP_CALLS, 2));
		compare_batch(_metadata, self, &batch, false, "jumps");
	}
	TH_LOG("%d of %d were jumps", jumps, self->places->nr);
	EXPECT_LT(10, jumps);
}

/* Fork, exec, threads, processes with the same memory: instructions of each kind
 * at once, beside others' and then alone.
 */
TEST_F_TIMEOUT(inside, orders, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct batch batch = { .nr = 0 };
	int of_manner[MANNERS] = {}, n = 0;

	add_places(self->skel, FUNCTION, self->pid, self->places);
	add_places(self->skel, "ksys_read", self->pid, self->places);
	add_places(self->skel, "vfs_read", self->pid, self->places);
	/* A few of each. */
	for (int i = 0; i < self->places->nr && n < BATCH; i++) {
		struct place *place = &self->places->list[i];
		enum manner manner = manner_of(place->bytes);

		if (of_manner[manner]++ < (manner == COPY ? 10 : 4))
			self->places->list[n++] = *place;
	}
	batch.places = self->places->list;
	batch.nr = n;
	for (int i = 0; i < batch.nr; i++)
		ASSERT_TRUE(attach_oracle(self, &batch, i));
	for (size_t i = 0; i < 2 * ARRAY_SIZE(orders); i++) {
		size_t nr = i % ARRAY_SIZE(orders);
		char what[64];

		snprintf(what, sizeof(what), "order %zu", i);
		ASSERT_TRUE(pin(self->pid, i >= ARRAY_SIZE(orders)));
		set_batch_slots(self, batch.nr);
		for (int j = 0; j < batch.nr; j++)
			ASSERT_TRUE(attach_view(self, &batch, j));
		ASSERT_TRUE(both_do(self, orders[nr].op, orders[nr].n));
		for (int j = 0; j < batch.nr; j++) {
			EXPECT_EQ(0, hook_misses(batch.fds[j]));
			close(batch.fds[j]);
			batch.fds[j] = -1;
		}
		if (i < ARRAY_SIZE(orders))
			compare_batch(_metadata, self, &batch, true, what);
		for (int j = 0; j < batch.nr; j++)
			EXPECT_EQ(0, slots[j].foreign);
		/* The first instruction of the system call. */
		if (orders[nr].reads >= 0)
			EXPECT_EQ(orders[nr].reads, slots[0].count)
			{
				TH_LOG("%s", what);
			}
		/* From then on nobody else has them. */
		if (i != ARRAY_SIZE(orders) - 1)
			continue;
		for (int j = 0; j < batch.nr; j++) {
			bpf_link__destroy(batch.oracles[j]);
			batch.oracles[j] = NULL;
		}
	}
	detach_batch(&batch);
	EXPECT_EQ(0, self->skel->bss->strays);
}

/* --- a process that does not stop --- */

/* Reads until it is told to pause, and says how often it did. */
struct loop {
	bool run;
	bool idle;
	__u64 done;
};

struct runner {
	pid_t pid;
	struct loop *loop;
};

static void run_loop(struct loop *loop)
{
	char byte;

	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	for (;;) {
		__atomic_store_n(&loop->idle, true, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&loop->run, __ATOMIC_SEQ_CST))
			usleep(200);
		__atomic_store_n(&loop->idle, false, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&loop->run, __ATOMIC_SEQ_CST)) {
			byte = 1;
			if (raw_read(zero_fd, &byte, 1) != 1 || byte)
				_exit(1);
			loop->done++;
		}
	}
}

static bool start_runner(struct runner *runner)
{
	runner->loop = mmap(NULL, sizeof(*runner->loop), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (runner->loop == MAP_FAILED)
		return false;
	runner->pid = fork();
	if (!runner->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_loop(runner->loop);
	}
	return runner->pid > 0;
}

/* A runner that has died of what it met has not been killed by us. */
static bool stop_runner(struct runner *runner)
{
	int status = 0;

	if (runner->pid <= 0)
		return true;
	kill(runner->pid, SIGKILL);
	waitpid(runner->pid, &status, 0);
	munmap(runner->loop, sizeof(*runner->loop));
	runner->pid = 0;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static bool wait_idle(struct runner *runner, bool idle)
{
	for (int i = 0; i < 50000; i++) {
		if (__atomic_load_n(&runner->loop->idle, __ATOMIC_SEQ_CST) ==
		    idle)
			return true;
		if (waitpid(runner->pid, NULL, WNOHANG))
			return false;
		usleep(200);
	}
	return false;
}

static bool run(struct runner *runner)
{
	runner->loop->done = 0;
	__atomic_store_n(&runner->loop->run, true, __ATOMIC_SEQ_CST);
	return wait_idle(runner, false);
}

static bool pause_runner(struct runner *runner)
{
	__atomic_store_n(&runner->loop->run, false, __ATOMIC_SEQ_CST);
	return wait_idle(runner, true);
}

/* As fast as it can for so long. */
static bool run_for(struct runner *runner, unsigned int usecs)
{
	if (!run(runner))
		return false;
	usleep(usecs);
	return pause_runner(runner);
}

/* --- others at the same place, and near it --- */

#define CROWD_FUNCTION "vfs_read"
#define NEAR 5

enum actor_kind {
	AT_VIEW,
	AT_STOCK,
	ENTRY_VIEW,
	ENTRY_STOCK,
	TRACER,
	OPTIMIZE
};

struct actor {
	enum actor_kind kind;
	/* at an instruction */
	const struct place *place;
	/* at the entry */
	enum family family;
	/* events for each call, if it is there */
	unsigned int hits;
	bool there;
	/* through all of a run */
	bool stays;
	int fd;
	struct bpf_link *link;
};

#define MAX_ACTORS 40

FIXTURE(crowd)
{
	struct func_bpf *skel;
	struct runner target;
	struct runner neighbour;
	struct places *places;
	struct actor actors[MAX_ACTORS];
	int nr;
};

FIXTURE_VARIANT(crowd)
{
	unsigned int seed;
};

/* clang-format off */

FIXTURE_VARIANT_ADD(crowd, seed_1) {
	.seed = 1,
};

FIXTURE_VARIANT_ADD(crowd, seed_2) {
	.seed = 2,
};

/* clang-format on */

FIXTURE_SETUP(crowd)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	hurry(true);
	libbpf_set_print(NULL);
	self->skel = load_func(CROWD_FUNCTION);
	ASSERT_NE(NULL, self->skel);
	self->places = calloc(1, sizeof(*self->places));
	ASSERT_NE(NULL, self->places);
	ASSERT_TRUE(start_runner(&self->target));
	ASSERT_TRUE(start_runner(&self->neighbour));
	ASSERT_TRUE(write_file(TRACING "set_ftrace_filter", CROWD_FUNCTION));
}

static bool go(FIXTURE_DATA(crowd) * self, struct actor *actor);

FIXTURE_TEARDOWN(crowd)
{
	for (int i = 0; i < self->nr; i++) {
		if (self->actors[i].there)
			go(self, &self->actors[i]);
	}
	close(open(TRACING "set_ftrace_filter",
		   O_WRONLY | O_TRUNC | O_CLOEXEC));
	close(open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	stop_runner(&self->target);
	stop_runner(&self->neighbour);
	free(self->places);
	func_bpf__destroy(self->skel);
	hurry(false);
	set_optimization(true);
}

static bool come(FIXTURE_DATA(crowd) * self, struct actor *actor)
{
	int slot = actor - self->actors;

	switch (actor->kind) {
	case AT_VIEW:
		actor->fd = view_place(self->skel->progs.on_kprobe,
				       actor->place, slot, self->target.pid);
		actor->there = actor->fd >= 0;
		break;
	case AT_STOCK:
		actor->link = stock_place(self->skel->progs.on_kprobe_oracle,
					  actor->place, slot);
		actor->there = actor->link;
		break;
	case ENTRY_VIEW:
		actor->fd = view_func(self->skel, actor->family, CROWD_FUNCTION,
				      slot, self->target.pid);
		actor->there = actor->fd >= 0;
		break;
	case ENTRY_STOCK:
		actor->link = stock_func(self->skel, actor->family,
					 CROWD_FUNCTION, slot);
		actor->there = actor->link;
		break;
	case TRACER:
		actor->there = write_file(TRACING "current_tracer", "function");
		break;
	case OPTIMIZE:
		actor->there = set_optimization(true);
		break;
	}
	return actor->there;
}

static bool go(FIXTURE_DATA(crowd) * self, struct actor *actor)
{
	actor->there = false;
	switch (actor->kind) {
	case AT_VIEW:
	case ENTRY_VIEW:
		close(actor->fd);
		return true;
	case AT_STOCK:
	case ENTRY_STOCK:
		bpf_link__destroy(actor->link);
		return true;
	case TRACER:
		return write_file(TRACING "current_tracer", "nop");
	case OPTIMIZE:
		return set_optimization(false);
	}
	return false;
}

static bool in_view(const struct actor *actor)
{
	return actor->kind == AT_VIEW || actor->kind == ENTRY_VIEW;
}

static struct actor *add_actor(FIXTURE_DATA(crowd) * self, enum actor_kind kind)
{
	struct actor *actor = &self->actors[self->nr++];

	actor->kind = kind;
	actor->hits = 1;
	return actor;
}

/* How often each instruction is hit in a call, if it is the same each time. */
static bool measure(FIXTURE_DATA(crowd) * self, unsigned int *hits)
{
	struct slot *slots = self->skel->bss->slots;
	static int fds[MAX_PLACES];
	__u64 done;
	bool ok;

	for (int i = 0; i < self->places->nr; i++) {
		set_func_slot(self->skel, i, self->target.pid, false);
		fds[i] = view_place(self->skel->progs.on_kprobe,
				    &self->places->list[i], i,
				    self->target.pid);
	}
	ok = run_for(&self->target, 5000);
	for (int i = 0; i < self->places->nr; i++)
		close(fds[i]);
	done = self->target.loop->done;
	for (int i = 0; ok && done && i < self->places->nr; i++)
		hits[i] = slots[i].count % done ? 0 : slots[i].count / done;
	return ok && done;
}

/* An instruction that is hit, with others near it. */
static int draw_place(FIXTURE_DATA(crowd) * self, const unsigned int *hits,
		      unsigned int *state)
{
	const struct place *list = self->places->list;

	for (;;) {
		int i = rand_r(state) % self->places->nr;
		int near = 0;

		for (int j = 0; j < self->places->nr; j++)
			near += labs((long)(list[j].addr - list[i].addr)) <=
				NEAR;
		if (hits[i] && near > 2)
			return i;
	}
}

static void add_actors(FIXTURE_DATA(crowd) * self, int centre,
		       const unsigned int *hits)
{
	const struct place *list = self->places->list;

	for (int i = 0; i < self->places->nr && self->nr < 24; i++) {
		if (labs((long)(list[i].addr - list[centre].addr)) > NEAR)
			continue;
		for (int kind = AT_VIEW; kind <= AT_STOCK; kind++) {
			struct actor *actor = add_actor(self, kind);

			actor->place = &list[i];
			actor->hits = hits[i];
		}
	}
	add_actor(self, ENTRY_VIEW)->family = MULTI;
	add_actor(self, ENTRY_VIEW)->family = FENTRY;
	add_actor(self, ENTRY_STOCK)->family = MULTI;
	add_actor(self, ENTRY_STOCK)->family = FENTRY;
	add_actor(self, ENTRY_STOCK)->family = KPROBE;
	add_actor(self, TRACER);
	add_actor(self, OPTIMIZE);
}

#define STEPS 10

/*
 * Others come and go while the target runs; who is there all the time misses
 * nothing, and sees nothing twice.
 */
static void crowd_step(struct __test_metadata *_metadata,
		       FIXTURE_DATA(crowd) * self, int step,
		       unsigned int *state)
{
	struct slot *slots = self->skel->bss->slots;
	char log[512] = "";
	__u64 done;
	int nr = rand_r(state) % 6;

	/* Some before the run. */
	for (int i = 0; i < 3; i++) {
		struct actor *actor = &self->actors[rand_r(state) % self->nr];

		ASSERT_TRUE(actor->there ? go(self, actor) : come(self, actor));
	}
	for (int i = 0; i < self->nr; i++) {
		struct actor *actor = &self->actors[i];

		actor->stays = actor->there;
		/* Its count is of both, or of the target. */
		set_func_slot(self->skel, i, self->target.pid, !in_view(actor));
	}
	ASSERT_TRUE(run(&self->target));
	ASSERT_TRUE(run(&self->neighbour));
	for (int i = 0; i < nr; i++) {
		int j = rand_r(state) % self->nr;
		struct actor *actor = &self->actors[j];
		size_t length = strlen(log);

		snprintf(log + length, sizeof(log) - length, " %c%d",
			 actor->there ? '-' : '+', j);
		ASSERT_TRUE(actor->there ? go(self, actor) : come(self, actor))
		{
			TH_LOG("step %d:%s", step, log);
		}
		actor->stays = false;
		/* Sometimes until there are jumps. */
		usleep(rand_r(state) % 4 ? rand_r(state) % 3000 : 150000);
	}
	usleep(2000);
	ASSERT_TRUE(pause_runner(&self->target));
	ASSERT_TRUE(pause_runner(&self->neighbour));
	done = self->target.loop->done;
	EXPECT_LT(0, done);

	for (int i = 0; i < self->nr; i++) {
		struct actor *actor = &self->actors[i];
		const char *name = actor->place ? actor->place->name : "entry";
		int offset = actor->place ? actor->place->offset : 0;
		__u64 expected = actor->stays ? done * actor->hits : 0;

		if (actor->kind >= TRACER)
			continue;
		if (actor->stays) {
			EXPECT_EQ(expected, slots[i].count)
			{
				TH_LOG("step %d, actor %d, %s at %s+%d:%s",
				       step, i,
				       in_view(actor) ? "view" : "stock", name,
				       offset, log);
			}
		} else {
			EXPECT_GE(done * actor->hits, slots[i].count);
		}
		EXPECT_EQ(0, slots[i].foreign);
		if (actor->kind == AT_VIEW && actor->there)
			EXPECT_EQ(0, hook_misses(actor->fd));
	}
}

TEST_F_TIMEOUT(crowd, comes_and_goes, TIMEOUT)
{
	const char *given = getenv("KVIEW_SEED");
	unsigned int seed = given ? (unsigned int)atoi(given) : variant->seed;
	unsigned int state = seed;
	static unsigned int hits[MAX_PLACES];
	int centre;

	add_places(self->skel, CROWD_FUNCTION, self->target.pid, self->places);
	ASSERT_LT(50, self->places->nr);
	ASSERT_TRUE(measure(self, hits));
	centre = draw_place(self, hits, &state);
	add_actors(self, centre, hits);
	TH_LOG("seed %u: %s+%u", seed, CROWD_FUNCTION,
	       self->places->list[centre].offset);
	for (int i = 0; i < self->nr; i++) {
		if (self->actors[i].place)
			TH_LOG("actor %d: %s at %u, %u hits", i,
			       in_view(&self->actors[i]) ? "view" : "stock",
			       self->actors[i].place->offset,
			       self->actors[i].hits);
	}
	for (int step = 0; step < STEPS; step++)
		crowd_step(_metadata, self, step, &state);
	EXPECT_EQ(0, self->skel->bss->strays);
	EXPECT_TRUE(stop_runner(&self->target));
	EXPECT_TRUE(stop_runner(&self->neighbour));
}

/* --- jumps --- */

FIXTURE(jump)
{
	struct func_bpf *skel;
	struct runner target;
	struct runner neighbour;
	struct places *places;
	struct place at;
	struct place inside;
};

/* A kprobe that becomes a jump over at least two instructions, each of which is
 * hit once in a call.
 */
FIXTURE_SETUP(jump)
{
	const char *reason = why_not();
	struct slot *slots;

	if (reason)
		SKIP(return, "%s", reason);
	hurry(true);
	ASSERT_TRUE(set_optimization(true));
	libbpf_set_print(NULL);
	self->skel = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->skel);
	slots = self->skel->bss->slots;
	self->places = calloc(1, sizeof(*self->places));
	ASSERT_NE(NULL, self->places);
	ASSERT_TRUE(start_runner(&self->target));
	ASSERT_TRUE(start_runner(&self->neighbour));
	add_places(self->skel, "vfs_read", self->target.pid, self->places);
	for (int i = 0; i + 1 < self->places->nr; i++) {
		const struct place *list = &self->places->list[i];
		struct bpf_link *link;
		bool jumped;

		if (list[1].addr - list->addr > 4 ||
		    manner_of(list->bytes) != COPY)
			continue;
		set_func_slot(self->skel, VIEW, self->target.pid, true);
		link = stock_place(self->skel->progs.on_kprobe_oracle, list,
				   VIEW);
		ASSERT_NE(NULL, link);
		ASSERT_TRUE(run_for(&self->target, 1000));
		jumped = slots[VIEW].count == self->target.loop->done &&
			 wait_for_jump(self->skel, list->addr);
		bpf_link__destroy(link);
		if (jumped) {
			self->at = list[0];
			self->inside = list[1];
			break;
		}
	}
	ASSERT_NE(0, self->at.addr);
	for (int i = 0; i < SLOTS; i++)
		set_func_slot(self->skel, i, self->target.pid, i % 2);
}

FIXTURE_TEARDOWN(jump)
{
	EXPECT_TRUE(stop_runner(&self->target));
	EXPECT_TRUE(stop_runner(&self->neighbour));
	free(self->places);
	func_bpf__destroy(self->skel);
	hurry(false);
}

/* An int3 of a view lies within: then it is no jump for as long. */
TEST_F_TIMEOUT(jump, over_an_instruction, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_program *program = self->skel->progs.on_kprobe;
	struct bpf_link *link;
	int fd = -1;

	TH_LOG("%s+%u and %u", self->at.name, self->at.offset,
	       self->inside.offset);
	for (int i = 0; i < 6; i++) {
		bool first = i % 2;

		for (int j = 0; j < SLOTS; j++)
			set_func_slot(self->skel, j, self->target.pid, j % 2);
		if (first) {
			fd = view_place(program, &self->inside, VIEW,
					self->target.pid);
			ASSERT_LE(0, fd);
		}
		link = stock_place(self->skel->progs.on_kprobe_oracle,
				   &self->at, ORACLE);
		ASSERT_NE(NULL, link);
		if (!first) {
			ASSERT_TRUE(wait_for_jump(self->skel, self->at.addr));
			/* Before, and in the middle of it. */
			if (i % 4)
				ASSERT_TRUE(run(&self->target));
			fd = view_place(program, &self->inside, VIEW,
					self->target.pid);
			ASSERT_LE(0, fd);
			EXPECT_EQ(INT3, first_byte(self->skel, self->at.addr));
			if (i % 4)
				ASSERT_TRUE(pause_runner(&self->target));
			slots[VIEW].count = 0;
			slots[ORACLE].count = 0;
		}
		for (int j = 0; j < 5; j++) {
			__u64 count = slots[VIEW].count;

			usleep(50000);
			ASSERT_TRUE(run_for(&self->target, 5000));
			EXPECT_EQ(self->target.loop->done,
				  slots[VIEW].count - count);
			EXPECT_EQ(slots[VIEW].count, slots[ORACLE].count);
			EXPECT_EQ(INT3, first_byte(self->skel, self->at.addr));
		}
		EXPECT_EQ(0, slots[VIEW].foreign);
		close(fd);
		EXPECT_TRUE(wait_for_jump(self->skel, self->at.addr));
		slots[ORACLE].count = 0;
		ASSERT_TRUE(run_for(&self->target, 5000));
		EXPECT_EQ(self->target.loop->done, slots[ORACLE].count);
		bpf_link__destroy(link);
	}
}

/* It becomes a jump and is none any more while the target hits it. */
TEST_F_TIMEOUT(jump, at_the_same_instruction, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	__u64 lost = 0;
	int jumps = 0;

	for (int i = 0; i < 4; i++) {
		struct bpf_link *link;
		int fd;

		set_func_slot(self->skel, VIEW, self->target.pid, false);
		set_func_slot(self->skel, ORACLE, self->target.pid, true);
		fd = view_place(self->skel->progs.on_kprobe, &self->at, VIEW,
				self->target.pid);
		ASSERT_LE(0, fd);
		ASSERT_TRUE(run(&self->target));
		ASSERT_TRUE(run(&self->neighbour));
		link = stock_place(self->skel->progs.on_kprobe_oracle,
				   &self->at, ORACLE);
		ASSERT_NE(NULL, link);
		jumps += wait_for_jump(self->skel, self->at.addr);
		/* Quicker than by attaching it again. */
		for (int j = 0; j < 5; j++) {
			set_optimization(false);
			set_optimization(true);
			jumps += wait_for_jump(self->skel, self->at.addr);
		}
		bpf_link__destroy(link);
		ASSERT_TRUE(pause_runner(&self->target));
		ASSERT_TRUE(pause_runner(&self->neighbour));
		close(fd);
		EXPECT_EQ(self->target.loop->done, slots[VIEW].count)
		{
			TH_LOG("round %d", i);
		}
		lost += self->target.loop->done - slots[VIEW].count;
		EXPECT_EQ(0, slots[VIEW].foreign);
	}
	TH_LOG("%d jumps, %lld events lost", jumps, lost);
	EXPECT_LT(10, jumps);
}

/* --- attached and detached in a loop --- */

FIXTURE(loop)
{
	struct func_bpf *skel;
	struct runner runners[3];
	struct places *places;
};

FIXTURE_SETUP(loop)
{
	const char *reason = why_not();

	if (reason)
		SKIP(return, "%s", reason);
	hurry(true);
	libbpf_set_print(NULL);
	self->skel = load_programs(NULL, false, false);
	ASSERT_NE(NULL, self->skel);
	self->places = calloc(1, sizeof(*self->places));
	ASSERT_NE(NULL, self->places);
	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(start_runner(&self->runners[i]));
	add_places(self->skel, FUNCTION, self->runners[0].pid, self->places);
	add_places(self->skel, "ksys_read", self->runners[0].pid, self->places);
	add_places(self->skel, "read_zero", self->runners[0].pid, self->places);
	ASSERT_LT(20, self->places->nr);
}

FIXTURE_TEARDOWN(loop)
{
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(stop_runner(&self->runners[i]));
	free(self->places);
	func_bpf__destroy(self->skel);
	hurry(false);
	set_optimization(true);
}

static void *detach_link(void *link)
{
	bpf_link__destroy(link);
	return NULL;
}

#define ROUNDS (thorough() ? 100 : 3)
#define PLACES 4

/* Attach to some and detach, in both views; with @beside, there are others at the
 * first one. Return how many have been hit.
 */
static int attach_and_detach(struct __test_metadata *_metadata,
			     FIXTURE_DATA(loop) * self, bool beside,
			     unsigned int *state)
{
	struct bpf_program *oracle = self->skel->progs.on_kprobe_oracle;
	struct bpf_program *program = self->skel->progs.on_kprobe;
	struct slot *slots = self->skel->bss->slots;
	const struct place *places[PLACES];
	struct bpf_link *link = NULL;
	__u64 counts[2 * PLACES];
	int fds[2 * PLACES];
	pthread_t thread;
	int hit = 0;

	for (int i = 0; i < PLACES; i++) {
		int draw = rand_r(state) % self->places->nr;

		places[i] = &self->places->list[draw];
	}
	if (beside) {
		set_func_slot(self->skel, NR_CONTEXTS - 1, self->runners[0].pid,
			      true);
		link = stock_place(oracle, places[0], NR_CONTEXTS - 1);
		ASSERT_NE(NULL, link);
	}
	for (int i = 0; i < 2 * PLACES; i++) {
		pid_t pid = self->runners[i % 2].pid;

		set_func_slot(self->skel, i, pid, false);
		fds[i] = view_place(program, places[i / 2], i, pid);
		ASSERT_LE(0, fds[i]);
	}
	usleep(rand_r(state) % 1000);
	/* Everybody's and the view's go at the same time. */
	if (beside)
		pthread_create(&thread, NULL, detach_link, link);
	for (int i = 0; i < 2 * PLACES; i++) {
		close(fds[i]);
		counts[i] = slots[i].count;
		hit += counts[i] > 0;
	}
	if (beside)
		pthread_join(thread, NULL);
	usleep(rand_r(state) % 200);
	for (int i = 0; i < 2 * PLACES; i++) {
		EXPECT_EQ(counts[i], slots[i].count);
		EXPECT_EQ(0, slots[i].foreign);
	}
	return hit;
}

/* Two targets and another process, all of which run through the instructions. */
TEST_F_TIMEOUT(loop, detached_while_it_runs, TIMEOUT)
{
	unsigned int state = 5;
	int hit = 0;

	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(run(&self->runners[i]));
	for (int i = 0; i < ROUNDS; i++) {
		int keepers[2] = { -1, -1 };

		/* Views that go with the last one, or do not. */
		for (int j = 0; j < 2 && i % 10; j++) {
			keepers[j] = view_func(self->skel, KPROBE, "vfs_write",
					       NR_SLOTS - 1,
					       self->runners[j].pid);
			ASSERT_LE(0, keepers[j]);
		}
		for (int j = 0; j < 4; j++)
			hit += attach_and_detach(_metadata, self, j == 0,
						 &state);
		for (int j = 0; j < 2; j++)
			close(keepers[j]);
	}
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(pause_runner(&self->runners[i]));
		EXPECT_LT(0, self->runners[i].loop->done);
	}
	TH_LOG("%d of %d were hit", hit, ROUNDS * 4 * 2 * PLACES);
	EXPECT_LT(20, hit);
}

/* The process dies of something else, in the middle of it. */
TEST_F_TIMEOUT(loop, killed_while_it_runs, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct runner *target = &self->runners[0];
	unsigned int state = 6;

	ASSERT_TRUE(run(&self->runners[1]));
	for (int i = 0; i < 12; i++) {
		int fds[8], nr = rand_r(&state) % 8 + 1;

		for (int j = 0; j < nr; j++) {
			int draw = rand_r(&state) % self->places->nr;

			set_func_slot(self->skel, j, target->pid, false);
			fds[j] = view_place(self->skel->progs.on_kprobe,
					    &self->places->list[draw], j,
					    target->pid);
			ASSERT_LE(0, fds[j]);
		}
		ASSERT_TRUE(run(target));
		usleep(rand_r(&state) % 2000);
		ASSERT_TRUE(stop_runner(target));
		for (int j = 0; j < nr; j++) {
			EXPECT_EQ(0, slots[j].foreign);
			close(fds[j]);
		}
		ASSERT_TRUE(start_runner(target));
	}
	ASSERT_TRUE(pause_runner(&self->runners[1]));
}

/* Links, programs and targets at one instruction, each of which counts apart. */
TEST_F_TIMEOUT(loop, many_at_one_instruction, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_program *const programs[] = {
		self->skel->progs.on_kprobe, self->skel->progs.on_kprobe_oracle
	};
	const struct place *place = self->places->list;
	__u32 other = self->runners[1].pid;
	__u64 done[3], sum;
	int fds[20], both;

	for (int i = 0; i < 20; i++) {
		pid_t pid = self->runners[i % 4 == 3].pid;

		set_func_slot(self->skel, i, pid, false);
		fds[i] = view_place(programs[i % 2], place, i, pid);
		ASSERT_LE(0, fds[i]);
	}
	/* One link with two targets. */
	set_func_slot(self->skel, 20, 0, false);
	both = view_place(programs[0], place, 20, self->runners[0].pid);
	ASSERT_LE(0, both);
	EXPECT_EQ(0, link_targets(both, BPF_LINK_TARGETS_ADD, &other, 1, 0));

	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(run_for(&self->runners[i], 2000));
	for (int i = 0; i < 3; i++)
		done[i] = self->runners[i].loop->done;
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(done[i % 4 == 3], slots[i].count);
		EXPECT_EQ(0, slots[i].foreign);
	}
	sum = done[0] + done[1];
	EXPECT_EQ(sum, slots[20].count);

	/* Half of them go. */
	EXPECT_EQ(0, link_targets(both, BPF_LINK_TARGETS_DEL, &other, 1, 0));
	for (int i = 0; i < 20; i += 2)
		close(fds[i]);
	for (int i = 0; i < 21; i++)
		slots[i].count = 0;
	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(run_for(&self->runners[i], 2000));
	for (int i = 0; i < 20; i++) {
		__u64 expected = i % 2 ? self->runners[i % 4 == 3].loop->done :
					 0;

		EXPECT_EQ(expected, slots[i].count)
		{
			TH_LOG("link %d", i);
		}
	}
	EXPECT_EQ(self->runners[0].loop->done, slots[20].count);
	for (int i = 1; i < 20; i += 2)
		close(fds[i]);
	close(both);
	for (int i = 0; i < 21; i++)
		slots[i].count = 0;
	ASSERT_TRUE(run_for(&self->runners[0], 2000));
	for (int i = 0; i < 21; i++)
		EXPECT_EQ(0, slots[i].count);
}

/* --- contexts and misses --- */

/* As the programs add it up. */
static __u64 sum_of(__u32 field, __u64 value, __u64 n)
{
	value = (value + field) * 0x9e3779b97f4a7c15ULL;
	value = (value ^ value >> 32) * 0xbf58476d1ce4e5b9ULL;
	return (value ^ value >> 29) * n;
}

TEST_F_TIMEOUT(inside, context, TIMEOUT)
{
	const struct context *context = &self->skel->bss->contexts[VIEW];
	__u64 addr = address_of(FUNCTION);
	__u64 offset = behind_call(FUNCTION);
	int fd = view_at(bpf_program__fd(self->skel->progs.on_kprobe), FUNCTION,
			 offset, 0, VIEW, self->pid);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 10));
	close(fd);
	EXPECT_EQ(10, self->skel->bss->slots[VIEW].count);
	/* Only at the entry is it known. */
	EXPECT_EQ(sum_of(FIELD_FUNC_IP, 0, 10), context->sums[FIELD_FUNC_IP]);
	/* As if an int3 had been hit. */
	EXPECT_EQ(sum_of(FIELD_IP, addr + offset + 1, 10),
		  context->sums[FIELD_IP]);
}

/* Asks for the number of current, which calls what getpid() calls. */
#define ASKED_FUNCTION "__task_pid_nr_ns"

static bool tell_namespace(struct func_bpf *skel)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st))
		return false;
	skel->bss->pid_ns_dev = st.st_dev;
	skel->bss->pid_ns_ino = st.st_ino;
	return true;
}

/* It is hit while the program of another one runs: nobody's is run again. */
TEST_F_TIMEOUT(inside, missed, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	int asking_fd = bpf_program__fd(self->skel->progs.on_asking);
	int prog_fd = bpf_program__fd(self->skel->progs.on_kprobe);
	__u64 offset = behind_call(ASKED_FUNCTION);
	int fd, asking;

	ASSERT_NE(0, offset);
	ASSERT_TRUE(tell_namespace(self->skel));
	for (int i = 0; i < 4; i++) {
		struct bpf_link *oracle = NULL;
		char text[64], number[32];
		__u64 asked;

		for (int j = 0; j < SLOTS; j++)
			set_func_slot(self->skel, j, self->pid, j == ORACLE);
		if (i % 2) {
			oracle = stock_at(self->skel->progs.on_kprobe_oracle,
					  ASKED_FUNCTION, offset, ORACLE);
			ASSERT_NE(NULL, oracle);
		}
		fd = view_at(prog_fd, ASKED_FUNCTION, offset, 0, VIEW,
			     self->pid);
		ASSERT_LE(0, fd);
		/* At an instruction, or at an entry. */
		asking = view_at(asking_fd, FUNCTION,
				 i < 2 ? behind_call(FUNCTION) : 0, 0,
				 SECOND_VIEW, self->pid);
		ASSERT_LE(0, asking);
		asked = self->skel->bss->asked;
		ASSERT_TRUE(tell_and_wait(&self->target, OP_READ, 50));
		EXPECT_EQ(50, slots[SECOND_VIEW].count);
		EXPECT_EQ(50, self->skel->bss->asked - asked);
		EXPECT_EQ(0, slots[VIEW].count);
		/* For the thread and for the process. */
		EXPECT_EQ(100, hook_misses(fd));
		snprintf(number, sizeof(number), "%llu", hook_misses(fd));
		EXPECT_STREQ(number,
			     fdinfo_value(fd, "missed", text, sizeof(text)));
		EXPECT_EQ(0, hook_misses(asking));
		if (oracle) {
			EXPECT_EQ(0, slots[ORACLE].count);
			EXPECT_EQ(100, hook_misses(bpf_link__fd(oracle)));
		}
		close(asking);
		close(fd);
		bpf_link__destroy(oracle);
	}
}

/* Its own program comes by. */
TEST_F_TIMEOUT(inside, missed_by_itself, TIMEOUT)
{
	struct slot *slots = self->skel->bss->slots;
	struct bpf_program *program = self->skel->progs.on_asking;
	struct bpf_program *stock = self->skel->progs.on_asking_oracle;
	__u64 offset = behind_call(ASKED_FUNCTION);
	__u64 missed, missed_by_stock, recursions, recursions_of_stock;
	struct bpf_link *oracle;
	int fd;

	ASSERT_NE(0, offset);
	ASSERT_TRUE(tell_namespace(self->skel));
	set_func_slot(self->skel, VIEW, getpid(), false);
	set_func_slot(self->skel, ORACLE, getpid(), true);
	recursions = misses(program);
	recursions_of_stock = misses(stock);

	fd = view_at(bpf_program__fd(program), ASKED_FUNCTION, offset, 0, VIEW,
		     getpid());
	ASSERT_LE(0, fd);
	for (int i = 0; i < 100; i++)
		syscall(SYS_getpid);
	missed = hook_misses(fd);
	close(fd);
	recursions = misses(program) - recursions;

	oracle = stock_at(stock, ASKED_FUNCTION, offset, ORACLE);
	ASSERT_NE(NULL, oracle);
	for (int i = 0; i < 100; i++)
		syscall(SYS_getpid);
	missed_by_stock = hook_misses(bpf_link__fd(oracle));
	bpf_link__destroy(oracle);
	recursions_of_stock = misses(stock) - recursions_of_stock;

	EXPECT_EQ(100, slots[VIEW].count);
	EXPECT_EQ(100, slots[ORACLE].count);
	EXPECT_EQ(missed_by_stock, missed);
	EXPECT_EQ(recursions_of_stock, recursions);
	EXPECT_EQ(0, slots[VIEW].foreign);
}

/* --- what is refused --- */

TEST_F_TIMEOUT(inside, refused, TIMEOUT)
{
	int prog_fd = bpf_program__fd(self->skel->progs.on_kprobe);
	__u64 addr = address_of(FUNCTION);
	__u64 offset = behind_call(FUNCTION);
	struct func_bpf *skel;
	int ret;

	/* For whole functions only. */
	EXPECT_EQ(-EINVAL, view_at(prog_fd, FUNCTION, offset,
				   BPF_F_VIEW_KPROBE_RETURN, VIEW, self->pid));
	EXPECT_EQ(-EINVAL, view_at(prog_fd, NULL, addr + offset,
				   BPF_F_VIEW_KPROBE_RETURN, VIEW, self->pid));
	skel = load_override();
	if (skel) {
		EXPECT_EQ(-EINVAL,
			  view_at(bpf_program__fd(skel->progs.on_override),
				  FUNCTION, offset, 0, VIEW, self->pid));
		func_bpf__destroy(skel);
	}

	/* In the middle of an instruction. */
	EXPECT_EQ(-EILSEQ, view_error(self, FUNCTION, offset - 1));
	EXPECT_EQ(-EILSEQ, view_error(self, NULL, addr + offset - 1));

	/* Nowhere. */
	EXPECT_EQ(-ENOENT, view_error(self, "no_such_function", 9));
	ret = view_error(self, FUNCTION, -1ULL);
	EXPECT_EQ(-EINVAL, ret);
	EXPECT_GT(0, view_error(self, FUNCTION, -addr));
	EXPECT_GT(0, view_error(self, NULL, -1ULL));
	EXPECT_EQ(-EINVAL, view_error(self, FUNCTION, size_of(addr)));
	/* The process is looked for in the end. */
	EXPECT_EQ(-ESRCH, view_at(prog_fd, FUNCTION, offset, 0, VIEW, 1 << 30));
	EXPECT_EQ(-EINVAL, view_at(prog_fd, FUNCTION, offset, 0, VIEW, 2));
	left_nothing(_metadata, self);
}

/* Functions that must not have a kprobe, or that stock trace events do not have
 * one in: each byte of them.
 */
TEST_F_TIMEOUT(inside, refused_functions, TIMEOUT)
{
	char blacklisted[256] = "";
	const char *const names[] = {
		"kview_func_handler",	"kview_int3_handler", "do_int3",
		"poke_int3_handler",	"__switch_to",	      "__schedule",
		"entry_SYSCALL_64",	"__switch_to_asm",    "memcpy",
		"rep_movs_alternative", "start_kernel",	      blacklisted,
	};

	ASSERT_TRUE(first_name("/sys/kernel/debug/kprobes/blacklist",
			       blacklisted, sizeof(blacklisted)));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		__u64 addr = address_of(names[i]);
		__u64 size = size_of(addr);

		if (!addr)
			continue;
		for (__u64 offset = 0; offset < size && offset < 200;
		     offset++) {
			int ret = view_error(self, names[i], offset);

			EXPECT_EQ(stock_error(self, names[i], offset), ret)
			{
				TH_LOG("%s+%llu", names[i], offset);
			}
			EXPECT_GT(0, ret);
			EXPECT_EQ(stock_error(self, NULL, addr + offset),
				  view_error(self, NULL, addr + offset))
			{
				TH_LOG("address of %s+%llu", names[i], offset);
			}
		}
	}
	left_nothing(_metadata, self);
}

/* These run on other page tables than those of current, or change them. */
TEST_F_TIMEOUT(inside, in_the_middle_of_a_switch, TIMEOUT)
{
	static const char *const names[] = {
		"__text_poke",	      "enter_lazy_tlb",
		"leave_mm",	      "__kview_enter_lazy",
		"use_temporary_mm",   "unuse_temporary_mm",
		"switch_mm_irqs_off", "switch_ldt",
		"load_mm_ldt",	      "save_fpregs_to_fpstate",
		"text_poke_memcpy",   "text_poke_memset",
		"native_write_msr",   "native_load_tls",
	};
	int nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		__u64 addr = address_of(names[i]);
		__u64 size = size_of(addr);
		__u64 offset = addr ? behind_call(names[i]) : 0;
		char cold[80];

		if (!offset)
			continue;
		nr++;
		for (; offset < size; offset++) {
			EXPECT_EQ(-EOPNOTSUPP,
				  view_error(self, names[i], offset))
			{
				TH_LOG("%s+%llu", names[i], offset);
			}
			EXPECT_EQ(-EOPNOTSUPP,
				  view_error(self, NULL, addr + offset));
		}
		/* What the compiler has put elsewhere. */
		snprintf(cold, sizeof(cold), "%s.cold", names[i]);
		addr = address_of(cold);
		if (!addr)
			continue;
		size = size_of(addr);
		TH_LOG("%s: %llu bytes", cold, size);
		for (offset = 0; offset < size; offset++)
			EXPECT_EQ(-EOPNOTSUPP,
				  view_error(self, NULL, addr + offset));
	}
	EXPECT_LT(3, nr);
	left_nothing(_metadata, self);
}

/* --- what a link says --- */

TEST_F_TIMEOUT(inside, link_info, TIMEOUT)
{
	int prog_fd = bpf_program__fd(self->skel->progs.on_kprobe);

	add_places(self->skel, "vfs_read", self->pid, self->places);
	ASSERT_LT(20, self->places->nr);
	for (int i = 0; i < 20; i++) {
		const struct place *place = &self->places->list[i];
		struct bpf_link_info info = {}, stock_info = {};
		char name[64], text[512], number[32];
		struct bpf_link *stock;
		int fd;

		if (i % 2)
			fd = view_at(prog_fd, NULL, place->addr, 0, VIEW + 2,
				     self->pid);
		else
			fd = view_at(prog_fd, place->name, place->offset, 0,
				     VIEW + 2, self->pid);
		ASSERT_LE(0, fd);
		info.kview.name = (uintptr_t)name;
		info.kview.name_len = sizeof(name);
		ASSERT_EQ(0, link_info(fd, &info));
		EXPECT_EQ(BPF_LINK_TYPE_KVIEW, info.type);
		EXPECT_EQ(BPF_KVIEW_HOOK_KPROBE, info.kview.hook);
		EXPECT_STREQ("vfs_read", name);
		EXPECT_EQ(place->offset, info.kview.offset);
		EXPECT_EQ(VIEW + 2, info.kview.cookie);
		EXPECT_EQ(self->pid, info.kview.pid);
		EXPECT_EQ(0, info.kview.missed);
		EXPECT_EQ(0, info.kview.nr_addrs);
		EXPECT_LE(4, info.kview.nr_pages);

		/* As a link for everybody has it, but that one does not tell the
		 * offset if it was not told.
		 */
		stock = stock_at(self->skel->progs.on_kprobe_oracle,
				 place->name, place->offset, ORACLE);
		ASSERT_NE(NULL, stock);
		ASSERT_EQ(0, link_info(bpf_link__fd(stock), &stock_info));
		EXPECT_EQ(stock_info.perf_event.kprobe.addr, info.kview.addr);
		EXPECT_EQ(stock_info.perf_event.kprobe.offset,
			  info.kview.offset);
		bpf_link__destroy(stock);

		EXPECT_STREQ("kprobe",
			     fdinfo_value(fd, "hook", text, sizeof(text)));
		EXPECT_STREQ(name,
			     fdinfo_value(fd, "name", text, sizeof(text)));
		snprintf(number, sizeof(number), "%#llx", info.kview.addr);
		EXPECT_STREQ(number,
			     fdinfo_value(fd, "addr", text, sizeof(text)));
		snprintf(number, sizeof(number), "%u", info.kview.offset);
		EXPECT_STREQ(number,
			     fdinfo_value(fd, "offset", text, sizeof(text)));
		EXPECT_STREQ("0",
			     fdinfo_value(fd, "missed", text, sizeof(text)));
		close(fd);
	}
}

/* --- memory --- */

#define TIMES 300

static void attach_times(struct __test_metadata *_metadata,
			 FIXTURE_DATA(inside) * self, int times)
{
	struct bpf_program *program = self->skel->progs.on_kprobe;

	for (int i = 0; i < times; i++) {
		int fds[2];

		if (i % 50 == 0) {
			ASSERT_TRUE(tell(&self->target, OP_CALLS, 50));
			ASSERT_TRUE(tell(&self->neighbour, OP_MIX, 2));
		}
		set_func_slot(self->skel, VIEW, self->pid, false);
		for (int j = 0; j < 2; j++) {
			int draw = (i * 7 + j) % self->places->nr;

			fds[j] = view_place(program, &self->places->list[draw],
					    VIEW, self->pid);
			ASSERT_LE(0, fds[j]);
		}
		for (int j = 0; j < 2; j++)
			close(fds[(i + j) % 2]);
		EXPECT_EQ(0, self->skel->bss->slots[VIEW].foreign);
		if (i % 50 == 49) {
			ASSERT_TRUE(answer(&self->target));
			ASSERT_TRUE(answer(&self->neighbour));
		}
	}
}

TEST_F_TIMEOUT(inside, memory, TIMEOUT)
{
	struct memory before, after;

	add_hot(_metadata, self);
	/* What is allocated once, is allocated. */
	attach_times(_metadata, self, 50);
	before = settled_memory();
	attach_times(_metadata, self, TIMES);
	after = settled_memory();
	compare(_metadata, &before, &after);
	EXPECT_EQ(self->links, nr_links());
}
