// SPDX-License-Identifier: GPL-2.0
/* Lists of usable arenas, see usable.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "usable.h"

enum knowledge {
	UNKNOWN,			/* to be read */
	READ,				/* but its record has not been met */
	KNOWN,
	GONE,				/* the heap, before its end was met */
};

struct slot {
	bool listed;
	__u32 nfree;			/* KPY_ANY: unknown */
	__u32 prev;			/* KPY_ANY: none */
	__u32 next;
};

struct usable {
	struct usable *other;
	__u32 heap;
	enum knowledge knowledge;
	__u64 lost;			/* records, when it became KNOWN */
	char *text;			/* the file `arenas', if READ */
	__u32 pools;			/* of a new arena */
	__u32 first;
	__u32 length;
	__u32 nr_slots;
	struct slot *slots;
};

static struct usable *heaps;

static struct usable *find(__u32 heap)
{
	struct usable *u = heaps;

	while (u && u->heap != heap)
		u = u->other;
	return u;
}

static __u32 pools_of(const char *name)
{
	char *geometry;
	u64 pools = KPY_ANY;

	if (heap_file(name, "geometry", &geometry))
		return KPY_ANY;
	key_u64(geometry, "pools_per_arena", &pools);
	free(geometry);
	return pools;
}

static struct usable *add(__u32 heap)
{
	struct usable *u = calloc(1, sizeof(*u));

	if (!u)
		exit(trouble("out of memory"));
	u->heap = heap;
	u->first = KPY_ANY;
	u->pools = pools_of(heap_by_id(heap));
	u->other = heaps;
	heaps = u;
	return u;
}

static void drop(struct usable *u)
{
	struct usable **at = &heaps;

	while (*at != u)
		at = &(*at)->other;
	*at = u->other;
	free(u->slots);
	free(u->text);
	free(u);
}

static struct slot *slot_of(struct usable *u, __u32 slot)
{
	if (slot >= u->nr_slots) {
		__u32 nr = 2 * slot + 16;

		u->slots = realloc(u->slots, nr * sizeof(*u->slots));
		if (!u->slots)
			exit(trouble("out of memory"));
		memset(u->slots + u->nr_slots, 0, (nr - u->nr_slots) * sizeof(*u->slots));
		u->nr_slots = nr;
	}
	return &u->slots[slot];
}

static void take_out(struct usable *u, __u32 slot)
{
	struct slot *s = slot_of(u, slot);

	if (!s->listed)
		return;
	if (s->prev == KPY_ANY)
		u->first = s->next;
	else
		u->slots[s->prev].next = s->next;
	if (s->next != KPY_ANY)
		u->slots[s->next].prev = s->prev;
	s->listed = false;
	u->length--;
}

/* Behind that slot, or at the front. */
static void put_in(struct usable *u, __u32 slot, __u32 nfree, __u32 behind)
{
	struct slot *s = slot_of(u, slot);

	s->listed = true;
	s->nfree = nfree;
	s->prev = behind;
	s->next = behind == KPY_ANY ? u->first : u->slots[behind].next;
	if (behind == KPY_ANY)
		u->first = slot;
	else
		u->slots[behind].next = slot;
	if (s->next != KPY_ANY)
		u->slots[s->next].prev = slot;
	u->length++;
}

static bool is_listed(const struct usable *u, __u32 slot)
{
	return slot < u->nr_slots && u->slots[slot].listed;
}

static void clear(struct usable *u)
{
	while (u->first != KPY_ANY)
		take_out(u, u->first);
}

/* The lines "slot 3 nfree 1" at the end of the file `arenas'. */
static void set_from_text(struct usable *u)
{
	const char *line = strstr(u->text, "\nusable_arenas\n");
	__u32 last = KPY_ANY;

	clear(u);
	line = line ? strchr(line + 1, '\n') : NULL;
	while (line && !strncmp(line + 1, "slot ", 5)) {
		char *end;
		__u32 slot = strtoul(line + 6, &end, 10);

		put_in(u, slot, strtoul(end + strlen(" nfree "), &end, 10), last);
		last = slot;
		line = end;
	}
	free(u->text);
	u->text = NULL;
	u->knowledge = KNOWN;
}

/* What cannot be true of this list says that it is not the heap's. */
static bool fits(const struct usable *u, const struct stream_event *e)
{
	switch (e->op) {
	case STREAM_ARENA_NEW:
		return u->first == KPY_ANY;
	case STREAM_ARENA_MOVE:
		if (is_listed(u, e->arena) != !!e->from || e->behind == e->arena)
			return false;
		if (e->from && u->slots[e->arena].nfree != e->from &&
		    u->slots[e->arena].nfree != KPY_ANY)
			return false;
		return !e->to || e->behind == KPY_ANY || is_listed(u, e->behind);
	case STREAM_ARENA_RELEASE:
		return is_listed(u, e->arena);
	}
	return true;
}

static void change(struct usable *u, const struct stream_event *e)
{
	switch (e->op) {
	case STREAM_ARENA_NEW:
		put_in(u, e->arena, u->pools, KPY_ANY);
		break;
	case STREAM_ARENA_MOVE:
		take_out(u, e->arena);
		if (e->to)
			put_in(u, e->arena, e->to, e->behind);
		break;
	case STREAM_ARENA_RELEASE:
		take_out(u, e->arena);
		break;
	case STREAM_HEAP_END:
		clear(u);
		break;
	}
}

const struct usable *usable_apply(const struct stream_event *e)
{
	struct usable *u = find(e->heap);

	if (!u) {
		u = add(e->heap);
		u->lost = e->lost;
		if (e->op == STREAM_ARENA_NEW && !e->serial)
			u->knowledge = KNOWN;
	}
	if (e->op == STREAM_ARENAS_READ && u->knowledge == READ) {
		set_from_text(u);
		u->lost = e->lost;
	}
	if (u->knowledge == KNOWN && (e->lost != u->lost || !fits(u, e)))
		u->knowledge = UNKNOWN;
	if (u->knowledge != KNOWN)
		return NULL;
	change(u, e);
	return u;
}

void usable_forget(const struct stream_event *e)
{
	struct usable *u = find(e->heap);

	if (u)
		drop(u);
}

/* Fires the record that says from when on this holds. */
static int read_list(const char *name, struct usable *u)
{
	int err;

	free(u->text);
	u->text = NULL;
	err = heap_file(name, "arenas", &u->text);
	u->knowledge = err ? GONE : READ;
	return err;
}

static int begin(const char *name, void *heap)
{
	u64 id;
	int err;

	if (heap && strcmp(heap, name))
		return 0;
	err = heap_id(name, &id);
	if (!err)
		err = read_list(name, add(id));
	return err ? heap_vanished(name, err) : 0;
}

int usable_begin(const char *heap)
{
	return heap_each(begin, (void *)heap);
}

/* Where all records have been met, one that is not among them was lost. */
void usable_reread(bool drained)
{
	for (struct usable *u = heaps; u; u = u->other) {
		if (drained && u->knowledge == READ)
			u->knowledge = UNKNOWN;
		if (u->knowledge == UNKNOWN)
			read_list(heap_by_id(u->heap), u);
	}
}

void usable_end(void)
{
	while (heaps)
		drop(heaps);
}

void usable_each(const struct usable *u, usable_visit visit, void *arg)
{
	__u32 place = 0;

	for (__u32 slot = u->first; slot != KPY_ANY; slot = u->slots[slot].next)
		visit(place++, slot, u->slots[slot].nfree, arg);
}

__u32 usable_length(const struct usable *u)
{
	return u->length;
}

__u32 usable_place(const struct usable *u, __u32 slot)
{
	__u32 place = 0;

	if (!is_listed(u, slot))
		return KPY_ANY;
	for (__u32 at = u->first; at != slot; at = u->slots[at].next)
		place++;
	return place;
}
