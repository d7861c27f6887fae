// SPDX-License-Identifier: GPL-2.0
/* Strings, the log, random numbers, and what of the module is not built here: debugfs. */
#include <stdlib.h>

#include "sim.h"

#include "internal.h"

unsigned int sim_warns, sim_logs;
char sim_last_warn[SIM_LOG];
static char log_text[SIM_LINES][SIM_LOG];
int sim_btf_error = -EINVAL;
unsigned int sim_shown;

ssize_t strscpy(char *to, const char *from, size_t size)
{
	size_t len = strnlen(from, size);

	if (!size)
		return -E2BIG;
	memcpy(to, from, min(len, size - 1));
	to[min(len, size - 1)] = '\0';
	return len < size ? (ssize_t)len : -E2BIG;
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return min(n, (int)size - 1);
}

int match_string(const char *const *array, size_t n, const char *string)
{
	size_t i;

	for (i = 0; i < n && array[i]; i++)
		if (!strcmp(array[i], string))
			return i;
	return -EINVAL;
}

int kstrtoull(const char *text, unsigned int base, u64 *to)
{
	char *end;

	if (!isdigit(*text))
		return -EINVAL;
	errno = 0;
	*to = strtoull(text, &end, base);
	if (errno)
		return -errno;
	return *end && strcmp(end, "\n") ? -EINVAL : 0;
}

void *memchr_inv(const void *from, int c, size_t bytes)
{
	const u8 *p = from;

	for (; bytes; p++, bytes--)
		if (*p != (u8)c)
			return (void *)p;
	return NULL;
}

unsigned long get_random_long(void)
{
	static struct rnd_state rnd = { 20 };

	return (unsigned long)prandom_u32_state(&rnd) << 32 | prandom_u32_state(&rnd);
}

u32 prandom_u32_state(struct rnd_state *rnd)
{
	rnd->state = rnd->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return rnd->state >> 33 ^ rnd->state >> 62;
}

void sim_log(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(log_text[sim_logs % SIM_LINES], SIM_LOG, fmt, args);
	va_end(args);
	printf("log: %s", log_text[sim_logs++ % SIM_LINES]);
}

const char *sim_log_text(unsigned int back)
{
	return log_text[(sim_logs - 1 - back) % SIM_LINES];
}

void sim_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(sim_last_warn, sizeof(sim_last_warn), fmt, args);
	va_end(args);
	sim_warns++;
	printf("WARN: %s", sim_last_warn);
}

int register_btf_kfunc_id_set(int type, const struct btf_kfunc_id_set *set)
{
	return sim_btf_error;
}

/* Heaps that debugfs would show. */
static void added(struct kpy_heap *heap)
{
	if (heap->dir)
		sim_fail("a heap is shown twice");
	heap->dir = (void *)heap;
	sim_shown++;
}

static void removed(struct kpy_heap *heap)
{
	if (heap->dir != (void *)heap)
		sim_fail("a heap goes that was not shown");
	heap->dir = NULL;
	sim_shown--;
}

static const struct kpy_registry_subscriber subscriber = {
	.added = added,
	.removed = removed,
};

/* Where the module's own debugfs.c is built, that one is taken. */
void __attribute__((weak)) kpy_debugfs_init(void)
{
	kpy_registry_subscribe(&subscriber);
}

void __attribute__((weak)) kpy_debugfs_exit(void)
{
	if (sim_shown)
		sim_fail("debugfs goes while it shows heaps");
}
