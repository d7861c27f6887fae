// SPDX-License-Identifier: GPL-2.0
/* Per-CPU counters, see percpu.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "percpu.h"

bool percpu_sum(int map_fd, const void *key, u64 *sum, size_t nr)
{
	int nr_cpus = libbpf_num_possible_cpus();
	u64 all[nr_cpus][nr];

	memset(sum, 0, nr * sizeof(*sum));
	if (bpf_map_lookup_elem(map_fd, key, all))
		return false;
	for (int cpu = 0; cpu < nr_cpus; cpu++)
		for (size_t i = 0; i < nr; i++)
			sum[i] += all[cpu][i];
	return true;
}

void percpu_advance(u64 *since, u64 *seen, const u64 *now, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		since[i] = now[i] - seen[i];
		seen[i] = now[i];
	}
}
