// SPDX-License-Identifier: GPL-2.0
/*
 * tsc-khz - prints the frequency of this machine's time stamp counter.
 *
 * An emulated guest reads the very same counter, but cannot measure it: on a
 * loaded host its timers come late, and its seconds would be off by any factor.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

struct sample {
	uint64_t tsc;
	uint64_t ns;
};

/* The counter and the clock at the same moment: the closest of many tries. */
static struct sample sample(void)
{
	struct sample best = { 0 };
	uint64_t closest = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = __rdtsc(), after;
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		after = __rdtsc();
		if (after - before >= closest)
			continue;
		closest = after - before;
		best.tsc = before + closest / 2;
		best.ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	}
	return best;
}

int main(void)
{
	struct sample a = sample(), b;

	usleep(30000);
	b = sample();
	printf("%.0f\n", (b.tsc - a.tsc) * 1e6 / (b.ns - a.ns));
	return 0;
}
