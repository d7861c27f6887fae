// SPDX-License-Identifier: GPL-2.0
/* Blocks added up by the stack that asked for them. */
#include <json-c/json.h>
#include <search.h>
#include <stdlib.h>
#include <time.h>

#include "holders.h"

/* Equal frames are the same frames, see stacks_find(). */
static int by_frames(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return (x->frames > y->frames) - (x->frames < y->frames);
}

struct holder *holders_get(struct holders *all, const struct frames *frames)
{
	struct holder key = { .frames = frames }, **found, *new;

	found = tfind(&key, &all->tree, by_frames);
	if (found)
		return *found;
	new = calloc(1, sizeof(*new));
	all->list = realloc(all->list, (all->nr + 1) * sizeof(*all->list));
	if (!new || !all->list)
		exit(trouble("out of memory"));
	new->frames = frames;
	all->list[all->nr++] = new;
	if (!tsearch(new, &all->tree, by_frames))
		exit(trouble("out of memory"));
	return new;
}

void holder_add(struct holder *h, u64 blocks, u64 bytes, u64 born)
{
	h->blocks += blocks;
	h->bytes += bytes;
	if (!h->born || (born && born < h->born))
		h->born = born;
}

void holders_sort(struct holders *all, int (*before)(const void *a, const void *b))
{
	if (all->nr)
		qsort(all->list, all->nr, sizeof(*all->list), before);
}

int holders_by_bytes(const void *a, const void *b)
{
	const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return (x->blocks < y->blocks) - (x->blocks > y->blocks);
}

static void leave(void *holder)
{
	(void)holder;
}

void holders_free(struct holders *all)
{
	tdestroy(all->tree, leave);
	for (size_t i = 0; i < all->nr; i++)
		free(all->list[i]);
	free(all->list);
	*all = (struct holders){ 0 };
}

u64 age_ns(u64 born)
{
	struct timespec t;
	u64 now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = t.tv_sec * 1000000000ULL + t.tv_nsec;
	return now > born ? now - born : 0;
}

const char *age_text(char buf[32], u64 born)
{
	if (!born)
		return "-";
	snprintf(buf, 32, "%.3f", age_ns(born) / 1e9);
	return buf;
}

struct json_object *holder_json(const struct holder *h)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "bytes", json_object_new_uint64(h->bytes));
	json_object_object_add(obj, "blocks", json_object_new_uint64(h->blocks));
	json_object_object_add(obj, "oldest_ms",
			       h->born ? json_object_new_uint64(age_ns(h->born) / 1000000) : NULL);
	json_object_object_add(obj, "frames", h->frames ? stacks_json(h->frames) : NULL);
	return obj;
}
