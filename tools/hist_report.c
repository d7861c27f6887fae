// SPDX-License-Identifier: GPL-2.0
/* kpy hist: reports, as text laid out like bcc's, and as JSON. */
#include <json-c/json.h>
#include <stdlib.h>

#include "hist.h"

#define STARS		40

static const char *const call_names[NR_HIST_CALLS] = { "alloc", "realloc", "free" };

static const char *const path_names[NR_HIST_PATHS] = {
	"all", "new pool", "new arena", "released arena"
};

static struct json_object *new_object(struct hist *h)
{
	struct json_object *obj = json_object_new_object();
	char clock[16];

	if (h->t.timestamp)
		json_object_object_add(obj, "time", json_object_new_string(tracing_clock(clock)));
	json_object_object_add(obj, "what", json_object_new_string(hist_names[h->what]));
	return obj;
}

static void add_u64(struct json_object *obj, const char *key, u64 value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

/* The values that a slot is for. */
static void bounds(const struct hist *h, __u32 slot, u64 *low, u64 *high)
{
	*low = h->linear ? slot * h->step + 1 : slot ? 1ULL << slot : 0;
	*high = h->linear ? (slot + 1) * h->step : (2ULL << slot) - 1;
	if (h->linear && !slot)
		*low = 0;
	if (h->linear && slot == h->nr_slots - 1)
		*high = ~0ULL;
}

static u64 total(const u64 *slots, __u32 nr)
{
	u64 sum = 0;

	for (__u32 i = 0; i < nr; i++)
		sum += slots[i];
	return sum;
}

static void print_slot(const struct hist *h, __u32 slot, u64 count, u64 max)
{
	static const char stars[STARS + 1] = "****************************************";
	char to[24] = "...";
	u64 low, high;

	bounds(h, slot, &low, &high);
	if (high != ~0ULL)
		snprintf(to, sizeof(to), "%llu", high);
	printf("%10llu -> %-10s : %-8llu |%-*.*s|\n", low, to, count, STARS,
	       (int)(max ? (double)count / max * STARS : 0), stars);
}

/* As bcc's print_log2_hist(); of a linear one empty lines between are left out. */
static void print_slots(const struct hist *h, const u64 *slots, __u32 nr, const char *unit)
{
	u64 max = 0;
	__u32 last = 0;

	for (__u32 i = 0; i < nr; i++) {
		if (slots[i])
			last = i;
		if (slots[i] > max)
			max = slots[i];
	}
	if (!max)
		return;
	printf("%5s%-19s : count    distribution\n", "", unit);
	for (__u32 i = 0; i <= last; i++)
		if (slots[i] || !h->linear)
			print_slot(h, i, slots[i], max);
}

static struct json_object *slots_json(const struct hist *h, const u64 *slots, __u32 nr)
{
	struct json_object *list = json_object_new_array();

	for (__u32 i = 0; i < nr; i++) {
		struct json_object *obj;
		u64 low, high;

		if (!slots[i])
			continue;
		bounds(h, i, &low, &high);
		obj = json_object_new_object();
		add_u64(obj, "low", low);
		if (high != ~0ULL)
			add_u64(obj, "high", high);
		add_u64(obj, "count", slots[i]);
		json_object_array_add(list, obj);
	}
	return list;
}

static int report_size(struct hist *h)
{
	struct json_object *obj;

	hist_read_slots(h);
	if (!h->t.json) {
		print_slots(h, h->slots, h->nr_slots, "bytes");
		return 0;
	}
	obj = new_object(h);
	add_u64(obj, "requests", total(h->slots, h->nr_slots));
	json_object_object_add(obj, "slots", slots_json(h, h->slots, h->nr_slots));
	tracing_json(obj);
	return 0;
}

static double percent(u64 part, u64 all)
{
	return all ? 100.0 * part / all : 0;
}

static void print_paths(const struct hist_paths *p)
{
	printf("\n%5s%-14s %12s %8s %12s\n", "", "PATH", "CALLS", "%CALLS", "AVG(ns)");
	for (int i = 0; i < NR_HIST_PATHS; i++)
		printf("%5s%-14s %12llu %8.3f %12llu\n", "", path_names[i], (u64)p->calls[i],
		       percent(p->calls[i], p->calls[HIST_ALL]),
		       p->calls[i] ? (u64)(p->ns[i] / p->calls[i]) : 0);
}

static struct json_object *paths_json(const struct hist_paths *p)
{
	static const char *const keys[NR_HIST_PATHS] = {
		"all", "new_pool", "new_arena", "released_arena"
	};
	struct json_object *obj = json_object_new_object();

	for (int i = 0; i < NR_HIST_PATHS; i++) {
		struct json_object *path = json_object_new_object();

		add_u64(path, "calls", p->calls[i]);
		add_u64(path, "ns", p->ns[i]);
		json_object_object_add(obj, keys[i], path);
	}
	return obj;
}

static void report_call(struct hist *h, enum hist_call which)
{
	const u64 *slots = &h->slots[which * HIST_LOG2];
	struct json_object *obj;

	if (h->t.json) {
		obj = new_object(h);
		json_object_object_add(obj, "call", json_object_new_string(call_names[which]));
		json_object_object_add(obj, "paths", paths_json(&h->paths[which]));
		json_object_object_add(obj, "slots", slots_json(h, slots, HIST_LOG2));
		tracing_json(obj);
	} else if (h->paths[which].calls[HIST_ALL]) {
		printf("%s\n", call_names[which]);
		print_slots(h, slots, HIST_LOG2, "ns");
		print_paths(&h->paths[which]);
		putchar('\n');
	}
}

static int report_latency(struct hist *h)
{
	hist_read_slots(h);
	hist_read_paths(h);
	for (int which = 0; which < NR_HIST_CALLS; which++)
		report_call(h, which);
	return 0;
}

/* "-" and null: a heap went before anything told its alignment. */
static void number_or_dash(char text[24], bool known, u64 value)
{
	snprintf(text, 24, known ? "%llu" : "-", value);
}

static void waste_json(struct hist *h, const struct hist_known *heap, const struct class_row *row, u64 size)
{
	struct json_object *obj = new_object(h);
	u64 bytes = row->since.blocks * size;

	json_object_object_add(obj, "heap", json_object_new_string(heap->name));
	add_u64(obj, "class", row->key.szidx);
	add_u64(obj, "blocks", row->since.blocks);
	add_u64(obj, "requested", row->since.sum);
	json_object_object_add(obj, "size", size ? json_object_new_uint64(size) : NULL);
	json_object_object_add(obj, "bytes", size ? json_object_new_uint64(bytes) : NULL);
	json_object_object_add(obj, "waste",
			       size ? json_object_new_uint64(bytes - row->since.sum) : NULL);
	tracing_json(obj);
}

static void print_waste(const char *name, const char *class, u64 size, const struct hist_class_sum *s,
			u64 bytes)
{
	char of_class[24], in_class[24], waste[24], share[24] = "-";

	number_or_dash(of_class, size, size);
	number_or_dash(in_class, bytes, bytes);
	number_or_dash(waste, bytes, bytes - s->sum);
	if (bytes)
		snprintf(share, sizeof(share), "%.2f", percent(bytes - s->sum, bytes));
	printf("%-16s %5s %6s %12llu %14llu %14s %14s %7s\n", name, class, of_class,
	       (u64)s->blocks, (u64)s->sum, in_class, waste, share);
}

static void waste_row(struct hist *h, const struct class_row *row, struct hist_class_sum *sum,
		      u64 *bytes)
{
	const struct hist_known *heap = hist_heap(h, row->key.heap);
	u64 size = (u64)heap->align * (row->key.szidx + 1);
	char class[24];

	if (!row->since.blocks)
		return;
	if (h->t.json) {
		waste_json(h, heap, row, size);
		return;
	}
	number_or_dash(class, true, row->key.szidx);
	print_waste(heap->name, class, size, &row->since, size * row->since.blocks);
	if (!size)
		return;
	sum->blocks += row->since.blocks;
	sum->sum += row->since.sum;
	*bytes += size * row->since.blocks;
}

static int report_waste(struct hist *h)
{
	struct hist_class_sum sum = { 0 };
	u64 bytes = 0;
	int err = hist_read_classes(h);

	if (err)
		return err;
	if (!h->t.json)
		printf("%-16s %5s %6s %12s %14s %14s %14s %7s\n", "HEAP", "CLASS", "SIZE", "BLOCKS",
		       "REQUESTED", "BYTES", "WASTE", "%WASTE");
	for (size_t i = 0; i < h->nr_rows; i++)
		waste_row(h, &h->rows[i], &sum, &bytes);
	if (sum.blocks)
		print_waste("total", "", 0, &sum, bytes);
	return 0;
}

static void life_row(struct hist *h, const struct class_row *row)
{
	const struct hist_known *heap = hist_heap(h, row->key.heap);
	u64 unit = h->milliseconds ? 1000000 : 1000;
	bool large = row->key.szidx == KPY_ANY;
	char class[24], size[24];

	if (!row->since.blocks)
		return;
	number_or_dash(class, !large, row->key.szidx);
	number_or_dash(size, !large && heap->align, (u64)heap->align * (row->key.szidx + 1));
	printf("%-16s %5s %6s %12llu %14llu\n", heap->name, large ? "large" : class, size,
	       (u64)row->since.blocks, (u64)(row->since.sum / row->since.blocks / unit));
}

static struct json_object *life_row_json(struct hist *h, const struct class_row *row)
{
	const struct hist_known *heap = hist_heap(h, row->key.heap);
	struct json_object *obj = json_object_new_object();
	bool large = row->key.szidx == KPY_ANY;

	json_object_object_add(obj, "heap", json_object_new_string(heap->name));
	json_object_object_add(obj, "class", large ? NULL : json_object_new_uint64(row->key.szidx));
	add_u64(obj, "blocks", row->since.blocks);
	add_u64(obj, "ns", row->since.sum);
	return obj;
}

static void life_json(struct hist *h)
{
	struct json_object *obj = new_object(h), *list = json_object_new_array();

	for (size_t i = 0; i < h->nr_rows; i++)
		if (h->rows[i].since.blocks)
			json_object_array_add(list, life_row_json(h, &h->rows[i]));
	json_object_object_add(obj, "unit",
			       json_object_new_string(h->milliseconds ? "ms" : "us"));
	add_u64(obj, "blocks", total(h->slots, h->nr_slots));
	json_object_object_add(obj, "slots", slots_json(h, h->slots, h->nr_slots));
	json_object_object_add(obj, "classes", list);
	tracing_json(obj);
}

static int report_life(struct hist *h)
{
	int err;

	hist_read_slots(h);
	err = hist_read_classes(h);
	if (err)
		return err;
	if (h->t.json) {
		life_json(h);
		return 0;
	}
	print_slots(h, h->slots, h->nr_slots, h->milliseconds ? "ms" : "us");
	printf("\n%-16s %5s %6s %12s %14s\n", "HEAP", "CLASS", "SIZE", "FREED",
	       h->milliseconds ? "AVG_LIFE(ms)" : "AVG_LIFE(us)");
	for (size_t i = 0; i < h->nr_rows; i++)
		life_row(h, &h->rows[i]);
	return 0;
}

int hist_report(struct hist *h)
{
	static int (*const reports[NR_WHATS])(struct hist *h) = {
		report_size, report_waste, report_latency, report_life
	};
	char clock[16];
	int err;

	if (h->t.timestamp && !h->t.json)
		puts(tracing_clock(clock));
	err = reports[h->what](h);
	if (!h->t.json && h->t.interval)
		putchar('\n');
	fflush(stdout);
	return err;
}

static void say(u64 n, const char *what)
{
	if (n)
		fprintf(stderr, "%llu %s\n", n, what);
}

/* What the numbers above do not contain. */
void hist_conclude(struct hist *h)
{
	u64 lost = h->skel->bss->lost + tracing_missed(&h->t);
	u64 strangers = h->skel->bss->strangers, unknown = h->skel->bss->calls_unknown;
	struct json_object *obj;

	if (h->t.json) {
		obj = json_object_new_object();
		add_u64(obj, "lost", lost);
		if (h->what == LATENCY)
			add_u64(obj, "not_timed", unknown);
		if (h->what == LIFE)
			add_u64(obj, "not_seen_born", strangers);
		tracing_json(obj);
		return;
	}
	say(lost, h->what == LIFE ? "events lost (--max-blocks N makes room)" : "events lost");
	say(unknown, "calls not timed: their begin was not seen");
	say(strangers, hist_filtered(h) || lost ?
	    "frees of blocks from before tracing began, lost, or filtered out" :
	    "frees of blocks from before tracing began");
}
