// SPDX-License-Identifier: GPL-2.0
/*
 * kpy pin: who keeps arenas from being given back.  An arena goes back when its
 * last block is freed, so a few blocks can hold a whole one.  For the arenas that
 * are little used: the stacks whose blocks lie in them, and what would come back
 * if a stack freed its blocks.  Holes, pools whose pages went back alone, are not
 * held by anybody.
 *
 * How full an arena is comes from the module, so blocks from before tracing began
 * are seen, too; nobody knows who asked for them.  While a heap is in use, the
 * module's numbers and the table of blocks are of slightly different moments.
 */
#include <argp.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

enum {
	OPT_BELOW = 0x400,
	OPT_TOP,
};

/* A holder's blocks in an arena. */
struct seat {
	struct seat *next;		/* in the arena */
	struct seat *next_arena;	/* of the holder */
	struct arena *arena;
	struct holder *holder;
	u64 blocks;
	u64 bytes;			/* of their class */
};

struct arena {
	struct heap *heap;
	bool there;
	u64 held;			/* bytes, without those of holes */
	u64 holes;
	u64 blocks;			/* in use, as the module says */
	u64 bytes;
	u64 seen_blocks;		/* of them, whoever asked for them is known */
	u64 seen_bytes;
	struct seat *seats;
	u64 left;			/* holders that have not freed theirs yet */
};

struct heap {
	struct heap *next;
	char *name;
	u64 id;
	u64 arena_size;
	u64 pool_size;
	u64 align;
	u64 at_hand;			/* blocks that CPUs have, which pools call used */
	char *release;
	struct arena *arenas;		/* by slot */
	u64 nr_slots;
};

struct pin {
	struct live live;
	/* asked for */
	double below;			/* per cent */
	u64 top;
	/* of one report */
	struct heap *heaps;
	struct holders holders;
};

static const char doc[] =
	"Show who keeps arenas from being given back: for arenas that are used to less than PERCENT, "
	"the stacks whose blocks lie in them. COMES_BACK are the bytes of the arenas that a stack "
	"holds alone, without pools whose pages are given back already, TOGETHER what comes back if "
	"the stacks above free their blocks as well. BYTES "
	"are those of the blocks' classes, OLDEST is in seconds.\v"
	"EXAMPLES\n"
	"  kpy pin -d 10                    after ten seconds, all heaps\n"
	"  kpy pin -H web --below 10 -i 5   arenas used to less than 10 %\n"
	"  kpy pin -s -- ./work             by call site: far cheaper\n";

static const struct argp_option options[] = {
	{ "below", OPT_BELOW, "PERCENT", 0, "Only arenas used to less than PERCENT (25)", 0 },
	{ "top", OPT_TOP, "N", 0, "Print N stacks, and N arenas of each (10)", 0 },
	{ 0 }
};

static double percent(struct argp_state *state, const char *arg)
{
	char *end;
	double value = strtod(arg, &end);

	if (end == arg || *end || !(value > 0 && value <= 100))
		argp_error(state, "'%s' is no number above 0 and up to 100", arg);
	return value;
}

static void start(struct pin *p, struct argp_state *state)
{
	state->child_inputs[0] = &p->live.t;
	state->child_inputs[1] = &p->live.t;
	state->child_inputs[2] = &p->live;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pin *p = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		start(p, state);
		return 0;
	case OPT_BELOW:
		p->below = percent(state, arg);
		return 0;
	case OPT_TOP:
		if (!parse_u64(arg, &end, &p->top) || *end)
			argp_error(state, "'%s' is no number", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* ---- the module's arenas ---- */

static struct arena *arena_at(struct heap *h, u64 slot)
{
	if (slot >= h->nr_slots) {
		u64 nr = 2 * slot + 1;

		h->arenas = realloc(h->arenas, nr * sizeof(*h->arenas));
		if (!h->arenas)
			exit(trouble("out of memory"));
		memset(h->arenas + h->nr_slots, 0, (nr - h->nr_slots) * sizeof(*h->arenas));
		h->nr_slots = nr;
	}
	return &h->arenas[slot];
}

/* "arena pool class size used capacity state"; a virgin pool has neither class nor size */
static void add_pool(struct heap *h, const char *line)
{
	struct arena *a;
	u64 slot, size = 0, used = 0;
	bool hole = strstr(line, " hole");

	if (sscanf(line, "%llu %*u %*s %llu %llu", &slot, &size, &used) < 1)
		return;
	a = arena_at(h, slot);
	a->heap = h;
	a->there = true;
	a->holes += hole;
	a->held += hole ? 0 : h->pool_size;
	a->blocks += used;
	a->bytes += used * size;
}

/* "cpu class size task irq shelf allocs" */
static void add_at_hand(struct heap *h, const char *line)
{
	u64 task, irq, shelf;

	if (sscanf(line, "%*s %*u %*u %llu %llu %llu", &task, &irq, &shelf) == 3)
		h->at_hand += task + irq + shelf;
}

static int read_lines(struct heap *h, const char *file, void (*add)(struct heap *, const char *))
{
	char *text, *rest, *line;
	int err = heap_file(h->name, file, &text);

	if (err)
		return err;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		add(h, line);
	free(text);
	return 0;
}

/* Gives -errno. */
static int read_heap(struct heap *h)
{
	char *text;
	int err = heap_id(h->name, &h->id);

	if (!err)
		err = heap_file(h->name, "geometry", &text);
	if (err)
		return err;
	key_u64(text, "arena", &h->arena_size);
	key_u64(text, "pool", &h->pool_size);
	key_u64(text, "align", &h->align);
	h->release = key_text(text, "release");
	free(text);
	err = read_lines(h, "pools", add_pool);
	return err ? err : read_lines(h, "cpus", add_at_hand);
}

static void free_heap(struct heap *h)
{
	for (u64 slot = 0; slot < h->nr_slots; slot++) {
		struct seat *s, *next;

		for (s = h->arenas[slot].seats; s; s = next) {
			next = s->next;
			free(s);
		}
	}
	free(h->arenas);
	free(h->release);
	free(h->name);
	free(h);
}

static int add_heap(const char *name, void *arg)
{
	struct pin *p = arg;
	struct heap *h;
	int err;

	if (p->live.t.heap && strcmp(p->live.t.heap, name))
		return 0;
	h = calloc(1, sizeof(*h));
	if (!h)
		exit(trouble("out of memory"));
	h->name = format("%s", name);
	err = read_heap(h);
	if (err) {
		free_heap(h);
		return heap_vanished(name, err);
	}
	h->next = p->heaps;
	p->heaps = h;
	return 0;
}

static double occupancy(const struct arena *a)
{
	return 100.0 * a->bytes / a->held;
}

/* An arena without any block in use is nobody's fault. */
static bool little_used(const struct pin *p, const struct arena *a)
{
	return a->there && a->blocks && occupancy(a) < p->below;
}

/* ---- who sits in them ---- */

static struct seat *seat_of(struct arena *a, struct holder *h)
{
	struct seat *s = a->seats;

	while (s && s->holder != h)
		s = s->next;
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		exit(trouble("out of memory"));
	s->arena = a;
	s->holder = h;
	s->next = a->seats;
	a->seats = s;
	return s;
}

static void sit(struct arena *a, struct holder *h, u64 blocks, u64 bytes, u64 born)
{
	struct seat *s = seat_of(a, h);

	s->blocks += blocks;
	s->bytes += bytes;
	holder_add(h, blocks, bytes, born);
}

static struct heap *heap_of(struct pin *p, __u32 id)
{
	struct heap *h = p->heaps;

	while (h && h->id != id)
		h = h->next;
	return h;
}

static void add_block(const struct live_block *b, void *arg)
{
	struct pin *p = arg;
	struct heap *h = heap_of(p, b->heap);
	struct arena *a;
	u64 size;

	if (!h || b->arena >= h->nr_slots)
		return;
	a = &h->arenas[b->arena];
	if (!little_used(p, a))
		return;
	size = (b->szidx + 1) * h->align;
	a->seen_blocks++;
	a->seen_bytes += size;
	sit(a, holders_get(&p->holders, live_frames(&p->live, b)), 1, size, b->born);
}

/*
 * Nobody is known for those blocks that the module has and the table has not,
 * unless they were freed after the module had been asked.
 */
static void seat_unknown(struct pin *p, struct arena *a)
{
	if (live_knows_all(&p->live, a->heap->id))
		return;
	if (a->blocks > a->seen_blocks && a->bytes > a->seen_bytes)
		sit(a, holders_get(&p->holders, NULL), a->blocks - a->seen_blocks,
		    a->bytes - a->seen_bytes, 0);
}

/* From the last slot to the first, so that each holder has the first one in front. */
static void link_seats(struct arena *a)
{
	for (struct seat *s = a->seats; s; s = s->next) {
		s->next_arena = s->holder->seats;
		s->holder->seats = s;
		a->left++;
	}
	if (a->left == 1)
		a->seats->holder->comes_back += a->held;
}

static void fill_seats(struct pin *p)
{
	for (struct heap *h = p->heaps; h; h = h->next) {
		for (u64 slot = h->nr_slots; slot--; ) {
			if (!little_used(p, &h->arenas[slot]))
				continue;
			seat_unknown(p, &h->arenas[slot]);
			link_seats(&h->arenas[slot]);
		}
	}
}

static int by_comes_back(const void *a, const void *b)
{
	const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;

	if (x->comes_back != y->comes_back)
		return x->comes_back < y->comes_back ? 1 : -1;
	return holders_by_bytes(a, b);
}

/* An arena that several hold comes back with the last of them. */
static void add_up(struct holders *all)
{
	u64 together = 0;

	for (size_t i = 0; i < all->nr; i++) {
		for (struct seat *s = all->list[i]->seats; s; s = s->next_arena)
			if (!--s->arena->left)
				together += s->arena->held;
		all->list[i]->together = together;
	}
}

static int look(struct pin *p)
{
	int err = heap_each(add_heap, p);

	if (!err)
		err = live_read(&p->live, add_block, p);
	if (err)
		return err;
	fill_seats(p);
	holders_sort(&p->holders, by_comes_back);
	add_up(&p->holders);
	return 0;
}

/* ---- the report ---- */

static u64 nr_arenas(const struct holder *h)
{
	u64 nr = 0;

	for (const struct seat *s = h->seats; s; s = s->next_arena)
		nr++;
	return nr;
}

/* To be freed. */
static char *caller(const struct pin *p, const struct holder *h)
{
	if (h->frames)
		return ksym_text(h->frames->ip[0]);
	return format("(unknown: from before tracing began%s)",
		      live_complete(&p->live) ? "" : ", filtered out or lost");
}

static u64 slot_of(const struct seat *s)
{
	return s->arena - s->arena->heap->arenas;
}

static void print_row(const struct pin *p, const struct holder *h)
{
	char *who = caller(p, h), age[32];

	printf("%12llu %12llu %7llu %8llu %12llu %10s  %s\n", h->comes_back, h->together,
	       nr_arenas(h), h->blocks, h->bytes, age_text(age, h->born), who);
	free(who);
}

static void print_seat(const struct seat *s)
{
	printf("\t%s: slot %llu, %.1f %% in use, %llu of its %llu blocks, %llu bytes\n",
	       s->arena->heap->name, slot_of(s), occupancy(s->arena), s->blocks,
	       s->arena->blocks, s->bytes);
}

static void print_seats(const struct pin *p, const struct holder *h)
{
	u64 nr = 0, all = nr_arenas(h);

	for (const struct seat *s = h->seats; s && nr < p->top; s = s->next_arena, nr++)
		print_seat(s);
	if (nr < all)
		printf("\tand %llu arenas more\n", all - nr);
}

static void print_holder(const struct pin *p, const struct holder *h)
{
	char *who = caller(p, h);

	printf("\n%s\n", who);
	free(who);
	for (int i = 1; h->frames && i < h->frames->nr; i++) {
		who = ksym_text(h->frames->ip[i]);
		printf("    %s\n", who);
		free(who);
	}
	print_seats(p, h);
}

static void print_holders(const struct pin *p)
{
	size_t top = p->holders.nr < p->top ? p->holders.nr : p->top;
	char clock[16];

	if (p->live.t.timestamp)
		puts(tracing_clock(clock));
	printf("%12s %12s %7s %8s %12s %10s  %s\n", "COMES_BACK", "TOGETHER", "ARENAS", "BLOCKS",
	       "BYTES", "OLDEST", "CALLER");
	for (size_t i = 0; i < top; i++)
		print_row(p, p->holders.list[i]);
	if (top < p->holders.nr)
		printf("and %zu more\n", p->holders.nr - top);
	for (size_t i = 0; i < top; i++)
		print_holder(p, p->holders.list[i]);
	putchar('\n');
}

static struct json_object *seat_json(const struct seat *s)
{
	struct json_object *obj = json_object_new_object();
	char text[16];

	json_object_object_add(obj, "heap", json_object_new_string(s->arena->heap->name));
	json_object_object_add(obj, "slot", json_object_new_uint64(slot_of(s)));
	snprintf(text, sizeof(text), "%.1f", occupancy(s->arena));
	json_object_object_add(obj, "occupancy",
			       json_object_new_double_s(occupancy(s->arena), text));
	json_object_object_add(obj, "arena_blocks", json_object_new_uint64(s->arena->blocks));
	json_object_object_add(obj, "blocks", json_object_new_uint64(s->blocks));
	json_object_object_add(obj, "bytes", json_object_new_uint64(s->bytes));
	return obj;
}

static void json_holder(const struct pin *p, const struct holder *h)
{
	struct json_object *obj = holder_json(h), *arenas = json_object_new_array();
	char *who = caller(p, h);

	for (const struct seat *s = h->seats; s; s = s->next_arena)
		json_object_array_add(arenas, seat_json(s));
	json_object_object_add(obj, "caller", json_object_new_string(who));
	json_object_object_add(obj, "comes_back", json_object_new_uint64(h->comes_back));
	json_object_object_add(obj, "together", json_object_new_uint64(h->together));
	json_object_object_add(obj, "arenas", arenas);
	tracing_json(obj);
	free(who);
}

struct heap_sum {
	u64 arenas;
	u64 pinned;			/* little used ones */
	u64 held;			/* bytes of those */
	u64 holes;			/* in those */
	bool may_keep;			/* of those, one is kept when all is freed */
};

/* A wholly free arena that is there already is the one that is kept; with holes none is. */
static struct heap_sum sum_of(const struct pin *p, const struct heap *h)
{
	struct heap_sum sum = { 0 };
	bool free_one = false, whole_one = false;

	for (u64 slot = 0; slot < h->nr_slots; slot++) {
		const struct arena *a = &h->arenas[slot];

		sum.arenas += a->there;
		free_one |= a->there && !a->blocks;
		if (!little_used(p, a))
			continue;
		sum.pinned++;
		sum.held += a->held;
		sum.holes += a->holes;
		whole_one |= !a->holes;
	}
	sum.may_keep = h->release && strcmp(h->release, "always") && whole_one && !free_one;
	return sum;
}

static void print_heap(const struct pin *p, const struct heap *h)
{
	struct heap_sum sum = sum_of(p, h);
	char bytes[32];

	printf("%s: %llu of %llu arenas are used to less than %g %%, %s bytes\n", h->name,
	       sum.pinned, sum.arenas, p->below, commas(bytes, sum.held));
	if (sum.holes)
		printf("%s: %llu of their pools are given back already, %s bytes\n", h->name,
		       sum.holes, commas(bytes, sum.holes * h->pool_size));
	if (h->at_hand)
		printf("%s: %llu free blocks that CPUs have at hand count as used\n", h->name,
		       h->at_hand);
	if (sum.may_keep)
		printf("%s: release=%s: one wholly free arena may be kept, %s bytes\n",
		       h->name, h->release, commas(bytes, h->arena_size));
}

static void json_heap(const struct pin *p, const struct heap *h)
{
	struct heap_sum sum = sum_of(p, h);
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "heap", json_object_new_string(h->name));
	json_object_object_add(obj, "arena_size", json_object_new_uint64(h->arena_size));
	json_object_object_add(obj, "arenas", json_object_new_uint64(sum.arenas));
	json_object_object_add(obj, "pinned", json_object_new_uint64(sum.pinned));
	json_object_object_add(obj, "holes", json_object_new_uint64(sum.holes));
	json_object_object_add(obj, "at_hand", json_object_new_uint64(h->at_hand));
	json_object_object_add(obj, "may_keep_one", json_object_new_boolean(sum.may_keep));
	tracing_json(obj);
}

static void print_all(struct pin *p)
{
	if (!p->live.t.json)
		print_holders(p);
	for (size_t i = 0; i < p->holders.nr && p->live.t.json; i++)
		json_holder(p, p->holders.list[i]);
	for (const struct heap *h = p->heaps; h; h = h->next) {
		if (p->live.t.json)
			json_heap(p, h);
		else
			print_heap(p, h);
	}
	live_remarks(&p->live, stdout);
	fflush(stdout);
}

static int report(struct pin *p)
{
	int err = look(p);

	if (!err)
		print_all(p);
	holders_free(&p->holders);
	while (p->heaps) {
		struct heap *h = p->heaps;

		p->heaps = h->next;
		free_heap(h);
	}
	return err;
}

int cmd_pin(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &tracing_argp }, { .argp = &filter_argp }, { .argp = &live_argp }, { 0 }
	};
	static const struct argp argp = {
		options, parse, "[COUNT] [COMMAND...]", doc, children, NULL, NULL
	};
	struct pin p = { .live = LIVE_INIT, .below = 25, .top = 10 };
	bool more = true;
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &p);
	err = live_begin(&p.live);
	while (!err && more) {
		more = tracing_wait(&p.live.t);
		err = report(&p);
	}
	return live_end(&p.live, err);
}
