// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * Counting in the kernel: with the filters view, pre and in.
 */
#include <errno.h>

#include "count.skel.h"
#include "count_ops.h"
#include "percpu.h"

static void count_unload(struct counter *counter)
{
	count_bpf__destroy(counter->count);
	counter->count = NULL;
}

static int count_load(struct count *count, struct counter *counter)
{
	const struct target_list *targets = count->targets;
	const struct event *event = counter->hook.event;
	bool in = count->filter->in_program;
	struct bpf_map *map;
	__u8 yes = 1;
	__u32 tgid;
	size_t i;
	int ret;

	counter->count = count_bpf__open();
	if (!counter->count)
		return hook_load_failed(event, errno);
	ret = counter_choose_program(counter, counter->count->obj,
				     in ? "count_in_" : "count_");
	if (ret)
		return ret;
	map = counter->count->maps.targets;
	if (in) {
		if (targets->n == 1)
			counter->count->rodata->target = targets->v[0].pid;
		ret = bpf_map__set_max_entries(map, targets->n);
	} else {
		bpf_map__set_autocreate(map, false);
	}
	if (!ret)
		ret = count_bpf__load(counter->count);
	for (i = 0; in && !ret && i < targets->n; i++) {
		tgid = targets->v[i].pid;
		ret = bpf_map__update_elem(map, &tgid, sizeof(tgid), &yes,
					   sizeof(yes), 0);
	}
	return ret ? hook_load_failed(event, -ret) : 0;
}

static int count_read(struct count *count __attribute__((unused)),
		      struct counter *counter, struct tally *tally)
{
	tally->lost = 0;
	return percpu_sum(counter->count->maps.counter, 0, &tally->count);
}

const struct count_ops count_in_kernel = {
	.interval = -1,
	.load = count_load,
	.read = count_read,
	.unload = count_unload,
};
