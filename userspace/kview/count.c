// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "count_ops.h"

/* Of the program for an event, without what it has in front. */
static const char *program_name(const struct event *event)
{
	if (event->is_pattern)
		return "multi";
	switch (event->kind) {
	case EVENT_TRACEPOINT:
		return "tp";
	case EVENT_RAWTRACEPOINT:
		return "raw";
	case EVENT_FENTRY:
		return "fentry";
	case EVENT_FEXIT:
		return "fexit";
	case EVENT_FMOD_RET:
		return "fmod_ret";
	default:
		return "kprobe";
	}
}

int counter_choose_program(struct counter *counter, struct bpf_object *object,
			   const char *prefix)
{
	const struct event *event = counter->hook.event;
	struct bpf_program *prog;
	char name[64];
	bool chosen;
	int ret;

	snprintf(name, sizeof(name), "%s%s", prefix, program_name(event));
	bpf_object__for_each_program(prog, object) {
		chosen = !strcmp(bpf_program__name(prog), name);
		bpf_program__set_autoload(prog, chosen);
		if (chosen)
			counter->hook.prog = prog;
	}
	if (!event_needs_btf(event->kind))
		return 0;
	ret = bpf_program__set_attach_target(counter->hook.prog, 0,
					     event->name);
	return ret ? hook_load_failed(event, -ret) : 0;
}

static int counter_read(struct count *count, struct counter *counter,
			struct tally *tally)
{
	__u64 missed;
	int ret;

	ret = count->ops->read(count, counter, tally);
	if (!ret)
		ret = hook_missed(&counter->hook, &missed);
	if (!ret)
		tally->lost += missed;
	return ret;
}

int count_open(struct count **countp, const struct filter *filter,
	       const struct event_list *events,
	       const struct target_list *targets, __u32 view_flags)
{
	struct count *count;
	size_t i;
	int ret;

	count = calloc(1,
		       sizeof(*count) + events->n * sizeof(count->counters[0]));
	if (!count) {
		warn("filter %s", filter->name);
		return -ENOMEM;
	}
	count->filter = filter;
	count->ops = filter->in_user_space ? &count_in_user_space :
					     &count_in_kernel;
	count->events = events;
	count->targets = targets;

	for (i = 0; i < events->n; i++) {
		count->counters[i].hook.event = &events->v[i];
		ret = count->ops->load(count, &count->counters[i]);
		if (ret)
			goto error;
	}
	for (i = 0; i < events->n; i++) {
		ret = filter->attach(&count->counters[i].hook, targets,
				     view_flags);
		if (ret)
			goto error;
	}
	ret = filter->start ? filter->start(targets) : 0;
	if (ret)
		goto error;

	/*
	 * An attach can take a good part of a second. What was met by some
	 * programs while others were not yet attached is left out, so that all
	 * counts are of the same time.
	 */
	count_poll(count);
	for (i = 0; events->n > 1 && i < events->n; i++) {
		ret = counter_read(count, &count->counters[i],
				   &count->counters[i].base);
		if (ret)
			goto error;
	}
	*countp = count;
	return 0;

error:
	count_close(count);
	return ret;
}

int count_interval(const struct count *count)
{
	return count->ops->interval;
}

void count_poll(struct count *count)
{
	if (count->ops->poll)
		count->ops->poll(count);
}

static void detach(struct count *count)
{
	size_t i;

	if (count->detached)
		return;
	count->detached = true;
	if (count->filter->stop)
		count->filter->stop(count->targets);
	for (i = 0; i < count->events->n; i++)
		hook_detach(&count->counters[i].hook);
}

int count_stop(struct count *count, bool over)
{
	struct counter *counter;
	int ret = 0;
	size_t i;

	if (over) {
		/* The dead are still to leave the CPU, which may be an event. */
		hook_wait_for_programs();
		detach(count);
		hook_wait_for_programs();
	}
	count_poll(count);
	for (i = 0; !ret && i < count->events->n; i++) {
		counter = &count->counters[i];
		ret = counter_read(count, counter, &counter->end);
	}
	detach(count);
	return ret;
}

struct tally count_tally(const struct count *count, size_t event)
{
	const struct counter *counter = &count->counters[event];

	return (struct tally){
		.count = counter->end.count - counter->base.count,
		.lost = counter->end.lost - counter->base.lost,
	};
}

void count_close(struct count *count)
{
	size_t i;

	if (!count)
		return;
	detach(count);
	ring_buffer__free(count->ring);
	for (i = 0; i < count->events->n; i++)
		count->ops->unload(&count->counters[i]);
	free(count);
}
