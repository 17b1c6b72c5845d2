// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <errno.h>
#include <stdlib.h>

#include "percpu.h"

int percpu_sum_key(const struct bpf_map *map, const void *key, size_t size,
		   __u64 *sum)
{
	int nr_cpus = libbpf_num_possible_cpus(), i, ret;
	/* Those of the CPUs begin at multiples of eight bytes. */
	size_t step = (bpf_map__value_size(map) + 7) / 8;
	__u64 *values;

	if (nr_cpus < 0) {
		errno = -nr_cpus;
		warn("cannot tell the number of CPUs");
		return nr_cpus;
	}
	values = calloc(nr_cpus * step, sizeof(*values));
	if (!values) {
		warn("counters");
		return -ENOMEM;
	}
	ret = bpf_map__lookup_elem(map, key, size, values,
				   nr_cpus * step * sizeof(*values), 0);
	if (ret)
		warn("cannot read the counters");
	*sum = 0;
	for (i = 0; !ret && i < nr_cpus; i++)
		*sum += values[i * step];
	free(values);
	return ret;
}

int percpu_sum(const struct bpf_map *map, __u32 index, __u64 *sum)
{
	return percpu_sum_key(map, &index, sizeof(index), sum);
}
