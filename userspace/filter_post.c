// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * The filter in user space: every event of every process arrives in a ring.
 */
#include <err.h>
#include <errno.h>

#include "../bpf/post.h"
#include "filter_ops.h"
#include "post.skel.h"

#define RING_RECORDS (1 << 19)

static int on_record(void *ctx, void *data, size_t size)
{
	const struct post_record *record = data;
	struct filter *filter = ctx;
	size_t i;

	if (size < sizeof(*record) || record->event >= filter->events->n)
		return 0;
	for (i = 0; i < filter->targets->n; i++) {
		if (record->tgid == (__u32)filter->targets->v[i].pid) {
			filter->counters[record->event].matched++;
			break;
		}
	}
	return 0;
}

static int post_load(struct filter *filter, struct counter *counter)
{
	struct counter *first = &filter->counters[0];
	struct post_bpf *skel;
	int ret;

	skel = post_bpf__open();
	if (!skel)
		return counter_load_failed(counter, errno);
	counter->post = skel;
	ret = counter_choose_program(counter, skel->obj, "post_");
	if (ret)
		return ret;
	skel->rodata->event = counter - filter->counters;
	if (counter != first)
		ret = bpf_map__reuse_fd(skel->maps.ring,
					bpf_map__fd(first->post->maps.ring));
	if (!ret)
		ret = post_bpf__load(skel);
	if (ret)
		return counter_load_failed(counter, -ret);

	if (counter == first) {
		filter->ring = ring_buffer__new(bpf_map__fd(skel->maps.ring),
						on_record, filter, NULL);
		if (!filter->ring)
			return counter_load_failed(counter, errno);
	}
	return 0;
}

static void post_poll(struct filter *filter)
{
	if (!filter->ring)
		return;
	/* Those who fill it may be faster: not more than it holds at a time. */
	if (filter->detached)
		ring_buffer__consume(filter->ring);
	else
		ring_buffer__consume_n(filter->ring, RING_RECORDS);
}

static int post_read(struct filter *filter __attribute__((unused)),
		     struct counter *counter, struct tally *tally)
{
	tally->count = counter->matched;
	return counter_sum(counter->post->maps.lost, &tally->lost);
}

static void post_unload(struct filter *filter __attribute__((unused)),
			struct counter *counter)
{
	post_bpf__destroy(counter->post);
	counter->post = NULL;
}

const struct filter_ops filter_post = {
	.name = "post",
	.interval = 10,
	.check = check_programs_see_all,
	.load = post_load,
	.attach = counter_attach_all,
	.poll = post_poll,
	.read = post_read,
	.unload = post_unload,
};
