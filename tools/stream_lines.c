// SPDX-License-Identifier: GPL-2.0
/* The lines of kpy trace: events as columns or as JSON. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "out.h"
#include "stream.h"
#include "usable.h"

#define NS		1000000000ULL
#define LIST_ALL	24	/* arenas that are drawn; of longer lists some */
#define LIST_ENDS	6	/* at the front of those, */
#define LIST_AROUND	6	/* and this far from the one that moved */

static const char *const ops[] = {
	[STREAM_ALLOC] = "alloc",
	[STREAM_FREE] = "free",
	[STREAM_REALLOC] = "realloc",
	[STREAM_LARGE] = "large",
	[STREAM_FALLBACK] = "fallback",
	[STREAM_LARGE_FREE] = "lfree",
	[STREAM_POOL] = "pool",
	[STREAM_ARENA_NEW] = "new",
	[STREAM_ARENA_MOVE] = "move",
	[STREAM_ARENA_RELEASE] = "release",
	[STREAM_HEAP_END] = "end",
};

static const char *pool_state(__u32 state)
{
	static const char *const states[] = { "empty", "used", "full" };

	return state < ARRAY_SIZE(states) ? states[state] : "?";
}

/* ---- symbols: the same few, over and over ---- */

struct known {
	__u64 address;
	char *text;
};

static const char *symbol(__u64 address)
{
	static struct known known[4096];
	struct known *k = &known[(address ^ address >> 12) % ARRAY_SIZE(known)];

	if (k->text && k->address == address)
		return k->text;
	free(k->text);
	k->address = address;
	k->text = ksym_text(address);
	return k->text;
}

/* BPF and the tracepoint itself, where no call site says what comes behind them. */
static bool is_tracer(const char *name)
{
	return !strncmp(name, "bpf_", 4) || !strncmp(name, "__bpf_trace_", 12) ||
	       !strncmp(name, "__traceiter_", 12);
}

static const struct frames *frames_of(const struct stream_lines *l, const struct stream_event *e,
				      int *first)
{
	const struct frames *f = stacks_find(l->stacks, e->stack, e->call_site);

	*first = 0;
	while (!e->call_site && *first < f->nr && is_tracer(symbol(f->ip[*first])))
		++*first;
	return f;
}

static void text_stack(const struct stream_lines *l, const struct stream_event *e)
{
	int first;
	const struct frames *f = frames_of(l, e, &first);

	for (int i = first; i < f->nr; i++) {
		out_text("    ");
		out_text(symbol(f->ip[i]));
		out_char('\n');
	}
}

static void json_stack(const struct stream_lines *l, const struct stream_event *e)
{
	int first;
	const struct frames *f = frames_of(l, e, &first);

	out_text(",\"stack\":[");
	for (int i = first; i < f->nr; i++) {
		if (i > first)
			out_char(',');
		out_json(symbol(f->ip[i]));
	}
	out_char(']');
}

/* ---- the time of day, of an event and not of its line ---- */

static __u64 epoch;			/* ns of the day's clock where records have 0 */

static __u64 clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS + t.tv_nsec;
}

static const char *time_of_day(__u64 ns)
{
	static char text[16];
	static time_t last;
	time_t t = (epoch + ns) / NS;

	if (t != last)
		strftime(text, sizeof(text), "%H:%M:%S", localtime(&t));
	last = t;
	return text;
}

/* ---- columns ---- */

static const char *number(char text[16], __u32 value)
{
	if (value == KPY_ANY)
		return "-";
	snprintf(text, 16, "%u", value);
	return text;
}

static void hex_or_dash(__u64 value)
{
	if (value)
		out_hex(value);
	else
		out_left("-", 16);
	out_char(' ');
}

static void text_head(const struct stream_lines *l, const struct stream_event *e)
{
	if (l->timestamp) {
		out_text(time_of_day(e->ns));
		out_char(' ');
	}
	out_fixed((e->ns - l->start) / 1000, 6, 12);
	out_u64(e->cpu, 4);
	out_char(' ');
	out_plain(e->comm, 16);
	out_u64(e->pid, 8);
	out_char(' ');
	out_left(heap_by_id(e->heap), 12);
	out_char(' ');
}

static void text_block(const struct stream_event *e)
{
	char text[16];

	out_left(ops[e->op], 8);
	out_u64(e->size, 11);
	out_text("→");
	out_left(number(text, e->szidx), 6);
	hex_or_dash(e->ptr);
	hex_or_dash(e->pool);
	out_right(number(text, e->arena), 5);
	if (e->latency == STREAM_NO_LATENCY)
		out_right("-", 11);
	else
		out_fixed(e->latency, 3, 11);
	out_char(' ');
	out_text(symbol(e->call_site));
	if (e->old && e->old != e->ptr) {
		out_text(" from ");
		out_hex(e->old);
	}
}

static void text_pool(const struct stream_event *e)
{
	char text[16];

	out_right(pool_state(e->from), 5);
	out_text("→");
	out_left(pool_state(e->to), 6);
	out_right(number(text, e->szidx), 5);
	out_char(' ');
	hex_or_dash(e->pool);
	out_right(number(text, e->arena), 5);
}

struct drawing {
	__u32 moved;			/* slot */
	__u32 place;			/* of that one, KPY_ANY if it is in no list */
	bool all;
	__u32 folded;
};

static void draw_folded(struct drawing *d)
{
	if (!d->folded)
		return;
	out_text(" …");
	out_u64(d->folded, 0);
	out_text("…");
	d->folded = 0;
}

static void draw(__u32 place, __u32 slot, __u32 nfree, void *arg)
{
	struct drawing *d = arg;
	char text[16];

	if (!d->all && place >= LIST_ENDS &&
	    (d->place == KPY_ANY || place + LIST_AROUND < d->place ||
	     place > d->place + LIST_AROUND)) {
		d->folded++;
		return;
	}
	draw_folded(d);
	out_text(slot == d->moved ? " [" : " ");
	out_u64(slot, 0);
	out_text(place ? "(" : "(nfree ");
	out_text(nfree == KPY_ANY ? "?" : number(text, nfree));
	out_text(slot == d->moved ? ")]" : ")");
}

static void text_usable(const struct usable *u, const struct stream_event *e)
{
	struct drawing d = { .moved = e->arena };

	out_text("  usable:");
	if (!u) {
		out_text(" ?");
		return;
	}
	if (!usable_length(u))
		out_text(" none");
	d.all = usable_length(u) <= LIST_ALL;
	d.place = usable_place(u, e->arena);
	usable_each(u, draw, &d);
	draw_folded(&d);
}

static void text_arena(const struct stream_event *e, const struct usable *u)
{
	char text[16];

	out_left(ops[e->op], 8);
	out_right(number(text, e->arena), 5);
	if (e->op == STREAM_ARENA_MOVE) {
		out_u64(e->from, 6);
		out_text("→");
		out_left(number(text, e->to), 5);
	} else {
		out_left("", 12);
	}
	text_usable(u, e);
}

static void text_line(const struct stream_lines *l, const struct stream_event *e,
		      const struct usable *u)
{
	text_head(l, e);
	switch (l->mode) {
	case STREAM_BLOCKS:
		text_block(e);
		break;
	case STREAM_POOLS:
		text_pool(e);
		break;
	case STREAM_ARENAS:
		text_arena(e, u);
		break;
	}
	out_char('\n');
	if (l->stacks)
		text_stack(l, e);
}

static void text_title(const struct stream_lines *l)
{
	static const char *const titles[] = {
		[STREAM_BLOCKS] = "OP             SIZE→CLASS PTR              POOL             ARENA    LAT(us) CALLER",
		[STREAM_POOLS] = " FROM→TO     CLASS POOL             ARENA",
		[STREAM_ARENAS] = "EVENT    ARENA      NFREE   USABLE",
	};

	if (l->timestamp)
		out_left("TIME", 9);
	out_right("TIME(s)", 12);
	out_text(" CPU COMM                  PID HEAP         ");
	out_text(titles[l->mode]);
	out_char('\n');
}

/* ---- JSON ---- */

static void json_key(const char *key)
{
	out_text(",\"");
	out_text(key);
	out_text("\":");
}

static void json_text(const char *key, const char *value)
{
	json_key(key);
	out_json(value);
}

static void json_number(const char *key, __u64 value)
{
	json_key(key);
	out_u64(value, 0);
}

static void json_u32(const char *key, __u32 value)
{
	json_key(key);
	if (value == KPY_ANY)
		out_text("null");
	else
		out_u64(value, 0);
}

static void json_hex(const char *key, __u64 value)
{
	json_key(key);
	if (!value) {
		out_text("null");
		return;
	}
	out_text("\"0x");
	out_hex(value);
	out_char('"');
}

static void json_head(const struct stream_lines *l, const struct stream_event *e)
{
	out_text("{\"ts\":");
	out_fixed(e->ns - l->start, 9, 0);
	if (l->timestamp)
		json_text("time", time_of_day(e->ns));
	json_number("cpu", e->cpu);
	json_text("comm", e->comm);
	json_number("pid", e->pid);
	json_text("heap", heap_by_id(e->heap));
	json_text("op", ops[e->op]);
}

static void json_block(const struct stream_event *e)
{
	json_number("size", e->size);
	json_u32("class", e->szidx);
	json_hex("ptr", e->ptr);
	if (e->op == STREAM_REALLOC) {
		json_hex("old", e->old);
		json_number("old_size", e->old_size);
	}
	json_hex("pool", e->pool);
	json_u32("arena", e->arena);
	json_key("latency_us");
	if (e->latency == STREAM_NO_LATENCY)
		out_text("null");
	else
		out_fixed(e->latency, 3, 0);
	json_text("caller", symbol(e->call_site));
}

static void json_pool(const struct stream_event *e)
{
	json_text("from", pool_state(e->from));
	json_text("to", pool_state(e->to));
	json_u32("class", e->szidx);
	json_hex("pool", e->pool);
	json_u32("arena", e->arena);
}

static void json_listed(__u32 place, __u32 slot, __u32 nfree, void *arg)
{
	(void)arg;
	out_text(place ? ",[" : "[");
	out_u64(slot, 0);
	out_char(',');
	if (nfree == KPY_ANY)
		out_text("null");
	else
		out_u64(nfree, 0);
	out_char(']');
}

static void json_arena(const struct stream_event *e, const struct usable *u)
{
	json_u32("arena", e->arena);
	if (e->op == STREAM_ARENA_MOVE) {
		json_number("nfree_before", e->from);
		json_number("nfree_after", e->to);
	} else if (e->op != STREAM_HEAP_END) {
		json_number("serial", e->serial);
		json_hex("address", e->ptr);
	}
	json_key("usable");
	if (!u) {
		out_text("null");
		return;
	}
	out_char('[');
	usable_each(u, json_listed, NULL);
	out_char(']');
}

static void json_line(const struct stream_lines *l, const struct stream_event *e,
		      const struct usable *u)
{
	json_head(l, e);
	switch (l->mode) {
	case STREAM_BLOCKS:
		json_block(e);
		break;
	case STREAM_POOLS:
		json_pool(e);
		break;
	case STREAM_ARENAS:
		json_arena(e, u);
		break;
	}
	if (l->stacks)
		json_stack(l, e);
	out_text("}\n");
}

/* ---- both ---- */

void stream_lines_begin(struct stream_lines *l)
{
	symbol(0);		/* reads them all, before there is anything to be late for */
	l->start = clock_ns(CLOCK_MONOTONIC);
	epoch = clock_ns(CLOCK_REALTIME) - l->start;
	if (!l->json)
		text_title(l);
}

/* The record of a list that was read has its effect, but no line. */
void stream_line(const struct stream_lines *l, const struct stream_event *e)
{
	const struct usable *u = l->mode == STREAM_ARENAS ? usable_apply(e) : NULL;

	if (e->op == STREAM_ARENAS_READ)
		return;
	if (l->json)
		json_line(l, e, u);
	else
		text_line(l, e, u);
	if (e->op == STREAM_HEAP_END)
		usable_forget(e);
}
