/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef PERCPU_H
#define PERCPU_H

#include <bpf/libbpf.h>

/*
 * The sum over all CPUs of an element of a per-CPU map, by its key, and of an array,
 * by its index; the element is a 64-bit number, or begins with one. Returns 0, or a
 * negative error after one line on standard error.
 */
int percpu_sum_key(const struct bpf_map *map, const void *key, size_t size,
		   __u64 *sum);
int percpu_sum(const struct bpf_map *map, __u32 index, __u64 *sum);

#endif
