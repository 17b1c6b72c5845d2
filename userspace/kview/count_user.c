// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * Counting in user space, with the filter post: every event of every process
 * arrives in a ring.
 */
#include <errno.h>

#include "../../bpf/post.h"
#include "count_ops.h"
#include "percpu.h"
#include "post.skel.h"

#define RING_RECORDS (1 << 19)

static int on_record(void *ctx, void *data, size_t size)
{
	const struct post_record *record = data;
	struct count *count = ctx;

	if (size < sizeof(*record) || record->event >= count->events->n)
		return 0;
	if (target_list_has(count->targets, record->tgid))
		count->counters[record->event].matched++;
	return 0;
}

static int post_load(struct count *count, struct counter *counter)
{
	struct counter *first = &count->counters[0];
	const struct event *event = counter->hook.event;
	struct post_bpf *skel;
	int ret;

	skel = post_bpf__open();
	if (!skel)
		return hook_load_failed(event, errno);
	counter->post = skel;
	ret = counter_choose_program(counter, skel->obj, "post_");
	if (ret)
		return ret;
	skel->rodata->event = counter - count->counters;
	if (counter != first)
		ret = bpf_map__reuse_fd(skel->maps.ring,
					bpf_map__fd(first->post->maps.ring));
	if (!ret)
		ret = post_bpf__load(skel);
	if (ret)
		return hook_load_failed(event, -ret);

	if (counter == first) {
		count->ring = ring_buffer__new(bpf_map__fd(skel->maps.ring),
					       on_record, count, NULL);
		if (!count->ring)
			return hook_load_failed(event, errno);
	}
	return 0;
}

static void post_poll(struct count *count)
{
	if (!count->ring)
		return;
	/* Those who fill it may be faster: not more than it holds at a time. */
	if (count->detached)
		ring_buffer__consume(count->ring);
	else
		ring_buffer__consume_n(count->ring, RING_RECORDS);
}

static int post_read(struct count *count __attribute__((unused)),
		     struct counter *counter, struct tally *tally)
{
	tally->count = counter->matched;
	return percpu_sum(counter->post->maps.lost, 0, &tally->lost);
}

static void post_unload(struct counter *counter)
{
	post_bpf__destroy(counter->post);
	counter->post = NULL;
}

const struct count_ops count_in_user_space = {
	.interval = 10,
	.load = post_load,
	.poll = post_poll,
	.read = post_read,
	.unload = post_unload,
};
