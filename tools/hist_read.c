// SPDX-License-Identifier: GPL-2.0
/* kpy hist: what BPF has counted since the last report, and which heaps it was in. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"
#include "percpu.h"

void hist_read_slots(struct hist *h)
{
	for (__u32 i = 0; i < h->nr_slots; i++) {
		u64 now;

		percpu_sum(bpf_map__fd(h->skel->maps.slots), &i, &now, 1);
		percpu_advance(&h->slots[i], &h->seen[i], &now, 1);
	}
}

void hist_read_paths(struct hist *h)
{
	for (__u32 i = 0; i < NR_HIST_CALLS; i++) {
		struct hist_paths now;
		size_t nr = sizeof(now) / sizeof(u64);

		percpu_sum(bpf_map__fd(h->skel->maps.paths), &i, (u64 *)&now, nr);
		percpu_advance((u64 *)&h->paths[i], (u64 *)&h->paths_seen[i], (u64 *)&now, nr);
	}
}

static int by_class(const void *a, const void *b)
{
	const struct hist_class *x = a, *y = b;

	if (x->heap != y->heap)
		return x->heap < y->heap ? -1 : 1;
	return (x->szidx > y->szidx) - (x->szidx < y->szidx);
}

static void add_row(struct hist *h, struct class_row **rows, size_t *nr, const struct hist_class *key)
{
	struct class_row row = { .key = *key }, *old;

	if (!percpu_sum(bpf_map__fd(h->skel->maps.classes), key, (u64 *)&row.now, 2))
		return;
	old = h->nr_rows ? bsearch(key, h->rows, h->nr_rows, sizeof(row), by_class) : NULL;
	row.since.blocks = row.now.blocks - (old ? old->now.blocks : 0);
	row.since.sum = row.now.sum - (old ? old->now.sum : 0);
	*rows = realloc(*rows, (*nr + 1) * sizeof(row));
	if (!*rows)
		exit(trouble("out of memory"));
	(*rows)[(*nr)++] = row;
}

static void read_rows(struct hist *h)
{
	int fd = bpf_map__fd(h->skel->maps.classes);
	struct hist_class key, *at = NULL;
	struct class_row *rows = NULL;
	size_t nr = 0;

	while (!bpf_map_get_next_key(fd, at, &key)) {
		add_row(h, &rows, &nr, &key);
		at = &key;
	}
	if (nr)
		qsort(rows, nr, sizeof(*rows), by_class);
	free(h->rows);
	h->rows = rows;
	h->nr_rows = nr;
}

int hist_align(const char *name, u64 *align)
{
	char *text;
	int err = heap_file(name, "geometry", &text);

	if (err)
		return err;
	*align = 0;
	key_u64(text, "align", align);
	free(text);
	return 0;
}

struct hist_known *hist_heap(struct hist *h, __u32 id)
{
	struct hist_known *heap = h->heaps;

	while (heap && heap->id != id)
		heap = heap->next;
	if (heap)
		return heap;
	heap = calloc(1, sizeof(*heap));
	if (!heap)
		exit(trouble("out of memory"));
	heap->id = id;
	heap->next = h->heaps;
	h->heaps = heap;
	snprintf(heap->name, sizeof(heap->name), "#%u", id);
	return heap;
}

static int meet_heap(const char *name, void *arg)
{
	struct hist_known *heap;
	u64 id, align;

	if (heap_id(name, &id) || hist_align(name, &align))
		return 0;	/* it has just gone */
	heap = hist_heap(arg, id);
	heap->align = align;
	snprintf(heap->name, sizeof(heap->name), "%s", name);
	return 0;
}

/* What the events told of heaps that are gone. */
static void meet_ended_heaps(struct hist *h)
{
	int fd = bpf_map__fd(h->skel->maps.heaps);
	__u32 id, *at = NULL;
	struct hist_heap e;

	while (!bpf_map_get_next_key(fd, at, &id)) {
		struct hist_known *heap = hist_heap(h, id);

		at = &id;
		if (bpf_map_lookup_elem(fd, &id, &e))
			continue;
		if (!heap->align)
			heap->align = e.align;
		if (e.name[0])
			snprintf(heap->name, sizeof(heap->name), "%s", e.name);
	}
}

/* Those that are there. */
int hist_read_heaps(struct hist *h)
{
	return heap_each(meet_heap, h);
}

int hist_read_classes(struct hist *h)
{
	int err;

	read_rows(h);
	err = hist_read_heaps(h);
	if (!err)
		meet_ended_heaps(h);
	return err;
}
