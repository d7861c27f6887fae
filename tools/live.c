// SPDX-License-Identifier: GPL-2.0
/* The blocks in use, see live.h. */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live.h"
#include "live.skel.h"

#define BATCH		4096		/* blocks read by one call */
#define MAX_BLOCKS	(1 << 28)

enum {
	OPT_MAX_BLOCKS = 0x200,
};

static const struct argp_option options[] = {
	{ "sites", 's', NULL, 0, "Tell call sites only, not whole stacks: far cheaper", 0 },
	{ "max-blocks", OPT_MAX_BLOCKS, "N", 0, "Follow at most N blocks at a time (1048576)", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct live *l = state->input;

	switch (key) {
	case 's':
		l->sites = true;
		return 0;
	case OPT_MAX_BLOCKS:
		l->max_blocks = tracing_positive(state, arg, MAX_BLOCKS);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp live_argp = { options, parse, NULL, NULL, NULL, NULL, NULL };

static struct live_known *find_heap(struct live *l, __u32 id)
{
	struct live_known *h = l->heaps;

	while (h && h->id != id)
		h = h->next;
	return h;
}

static struct live_known *add_heap(struct live *l, __u32 id, char *name)
{
	struct live_known *h = calloc(1, sizeof(*h));

	if (!h)
		exit(trouble("out of memory"));
	h->id = id;
	h->name = name;
	h->next = l->heaps;
	l->heaps = h;
	return h;
}

/* The reading of `stats` is the event that marks the start for BPF, too. */
static int read_start(struct live_known *h)
{
	struct state s = { 0 };
	char *text;
	int err = heap_file(h->name, "geometry", &text);

	if (err)
		return err;
	key_u64(text, "align", &h->align);
	free(text);
	err = heap_file(h->name, "stats", &text);
	if (err)
		return err;
	state_add_stats(&s, text);
	free(text);
	h->bytes_at_start = s.value[S_BYTES_ALLOCATED];
	h->started = true;
	return 0;
}

static int start_heap(const char *name, void *arg)
{
	struct live *l = arg;
	u64 id;
	int err;

	if (l->t.heap && strcmp(l->t.heap, name))
		return 0;
	err = heap_id(name, &id);
	if (!err)
		err = read_start(add_heap(l, id, format("%s", name)));
	return err ? heap_vanished(name, err) : 0;
}

int live_begin(struct live *l)
{
	int err = tracing_prepare(&l->t);

	if (err)
		return err;
	l->skel = live_bpf__open();
	if (!l->skel)
		return trouble("cannot open the programs: %s", strerror(errno));
	l->skel->rodata->filter = l->t.filter;
	l->skel->rodata->with_stacks = !l->sites;
	l->skel->rodata->reader = getpid();
	bpf_map__set_max_entries(l->skel->maps.blocks, l->max_blocks);
	err = tracing_load(&l->t, l->skel->skeleton);
	if (!err)
		err = tracing_attach(&l->t);
	if (err)
		return err;
	l->stacks = stacks_new(bpf_map__fd(l->skel->maps.stacks));
	err = heap_each(start_heap, l);
	return err ? err : tracing_run(&l->t);
}

static void read_heaps(struct live *l)
{
	int fd = bpf_map__fd(l->skel->maps.heaps);
	__u32 id, *at = NULL;

	while (!bpf_map_get_next_key(fd, at, &id)) {
		struct live_heap now;
		struct live_known *h = find_heap(l, id);

		at = &id;
		if (bpf_map_lookup_elem(fd, &id, &now))
			continue;
		if (!h)
			h = add_heap(l, id, format("%s", now.ended ? now.name : heap_by_id(id)));
		h->now = now;
	}
}

/* What a heap took with it is in use no more. */
static bool in_use(struct live *l, const struct live_block *b)
{
	const struct live_known *h = find_heap(l, b->heap);

	return !h || !h->now.ended;
}

static int read_blocks(struct live *l, live_visit visit, void *arg)
{
	static struct live_block found[BATCH];
	static __u64 keys[BATCH];
	int fd = bpf_map__fd(l->skel->maps.blocks), err;
	__u64 place, *from = NULL;
	__u32 nr;

	do {
		nr = BATCH;
		err = bpf_map_lookup_batch(fd, from, &place, keys, found, &nr, NULL);
		if (err && err != -ENOENT)
			return trouble("cannot read the blocks: %s", strerror(-err));
		for (__u32 i = 0; i < nr; i++)
			if (in_use(l, &found[i]))
				visit(&found[i], arg);
		from = &place;
	} while (!err);
	return 0;
}

int live_read(struct live *l, live_visit visit, void *arg)
{
	read_heaps(l);
	return read_blocks(l, visit, arg);
}

const struct frames *live_frames(struct live *l, const struct live_block *b)
{
	return stacks_find(l->stacks, b->stack, b->call_site);
}

static bool filtered(const struct live *l)
{
	const struct kpy_filter *f = &l->t.filter;

	return f->min_size || f->max_size != ~0ULL || f->szidx != KPY_ANY || f->pid != KPY_ANY ||
	       f->by_comm;
}

/* Every block that came since the start is followed: the others were there before. */
bool live_complete(const struct live *l)
{
	for (const struct live_known *h = l->heaps; h; h = h->next)
		if (h->now.lost)
			return false;
	return !filtered(l) && !l->skel->bss->lost && !tracing_missed(&l->t);
}

struct sum {
	u64 blocks;
	u64 bytes;
};

static struct sum before(const struct live_known *h)
{
	const struct live_moment *seen = &h->now.tracked_at_start;

	return (struct sum){
		h->now.small_at_start + h->now.large_at_start - seen->small - seen->large,
		h->bytes_at_start + h->now.large_bytes_at_start -
			seen->units * h->align - seen->large_bytes,
	};
}

static struct sum freed_since(const struct live_known *h)
{
	const struct live_moment *now = &h->now.freed, *then = &h->now.freed_at_start;

	return (struct sum){
		now->small + now->large - then->small - then->large,
		now->small_bytes + now->large_bytes - then->small_bytes - then->large_bytes,
	};
}

/* As of the last live_read(): none is left of those from before. */
bool live_knows_all(struct live *l, __u32 heap)
{
	const struct live_known *h = find_heap(l, heap);

	if (!live_complete(l))
		return false;
	if (!h || !h->started)
		return true;
	return h->now.small_at_start - h->now.tracked_at_start.small ==
	       h->now.freed.small - h->now.freed_at_start.small;
}

static struct sum tracked(const struct live_known *h)
{
	const struct live_moment *now = &h->now.tracked;

	return (struct sum){ now->small + now->large, now->small_bytes + now->large_bytes };
}

static void say(FILE *out, const struct live_known *h, const char *text, struct sum s,
		const char *end)
{
	char blocks[32], bytes[32];

	fprintf(out, "%s: %s%s blocks, %s bytes%s", h->name, text, commas(blocks, s.blocks),
		commas(bytes, s.bytes), end);
}

static void say_before(FILE *out, const struct live *l, const struct live_known *h)
{
	struct sum freed = freed_since(h);
	char blocks[32], bytes[32];

	say(out, h, "", before(h), " were there before tracing began");
	if (live_complete(l))
		fprintf(out, "; %s of them, %s bytes, were freed since",
			commas(blocks, freed.blocks), commas(bytes, freed.bytes));
	fputc('\n', out);
}

static void say_heap(FILE *out, const struct live *l, struct live_known *h)
{
	struct sum lost = { h->now.lost, h->now.lost_bytes };
	bool old = h->started && before(h).blocks;

	if (h->end_said)
		return;
	if (old)
		say_before(out, l, h);
	if (h->now.lost)
		say(out, h, "", lost,
		    " were not followed: the table was full, try --max-blocks\n");
	if (h->now.ended && (old || tracked(h).blocks))
		say(out, h, "the heap is gone, and with it ", tracked(h),
		    " of what was followed\n");
	h->end_said = h->now.ended;
}

static void add_sum(struct json_object *obj, const char *what, struct sum s)
{
	struct json_object *sum = json_object_new_object();

	json_object_object_add(sum, "blocks", json_object_new_uint64(s.blocks));
	json_object_object_add(sum, "bytes", json_object_new_uint64(s.bytes));
	json_object_object_add(obj, what, sum);
}

static void json_heap(const struct live *l, struct live_known *h)
{
	struct json_object *obj = json_object_new_object();
	struct sum lost = { h->now.lost, h->now.lost_bytes };

	json_object_object_add(obj, "heap", json_object_new_string(h->name));
	json_object_object_add(obj, "gone", json_object_new_boolean(h->now.ended));
	add_sum(obj, "followed", tracked(h));
	add_sum(obj, "not_followed", lost);
	add_sum(obj, "before", h->started ? before(h) : (struct sum){ 0 });
	if (live_complete(l))
		add_sum(obj, "before_freed", freed_since(h));
	tracing_json(obj);
}

static void say_losses(FILE *out, const struct live *l)
{
	u64 missed = l->skel->bss->lost + tracing_missed(&l->t);

	if (missed)
		fprintf(out, "%llu events were missed\n", missed);
	if (l->skel->bss->stacks_lost)
		fprintf(out, "%llu times no stack could be had: their blocks are under a call site alone\n",
			l->skel->bss->stacks_lost);
}

static void json_losses(const struct live *l)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "events_missed", json_object_new_uint64(l->skel->bss->lost +
									  tracing_missed(&l->t)));
	json_object_object_add(obj, "stacks_lost",
			       json_object_new_uint64(l->skel->bss->stacks_lost));
	tracing_json(obj);
}

void live_remarks(struct live *l, FILE *out)
{
	for (struct live_known *h = l->heaps; h; h = h->next) {
		if (l->t.json)
			json_heap(l, h);
		else
			say_heap(out, l, h);
	}
	if (l->t.json)
		json_losses(l);
	else
		say_losses(out, l);
}

int live_end(struct live *l, int err)
{
	err = tracing_end(&l->t, err);
	stacks_free(l->stacks);
	while (l->heaps) {
		struct live_known *h = l->heaps;

		l->heaps = h->next;
		free(h->name);
		free(h);
	}
	live_bpf__destroy(l->skel);
	return err;
}
