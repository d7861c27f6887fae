// SPDX-License-Identifier: GPL-2.0
/*
 * kpy stat: how full the heaps are.  Bytes held are arenas and large blocks;
 * bytes in use are the small blocks', by class size, and the large blocks'.
 */
#include <argp.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "kpy.h"

struct view {
	char *geometry;
	char *stats;
	char *counters;
	struct state state;
	u64 pools_used;
	u64 held;
	u64 in_use;
};

struct arguments {
	const char *heap;
	bool json;
};

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "Print JSON", 0 },
	{ 0 }
};

static const char doc[] =
	"Show how full kpymalloc's heaps are: a line for each, or one heap in full.\v"
	"EXAMPLES\n"
	"  kpy stat                   all heaps\n"
	"  kpy stat web               size classes, arenas, byte totals, counters\n"
	"  kpy stat --json web\n";

static double percent(u64 part, u64 whole)
{
	return whole ? 100.0 * part / whole : 0;
}

static u64 counter(const struct view *v, const char *key)
{
	u64 value = 0;

	key_u64(v->counters, key, &value);
	return value;
}

static void view_close(struct view *v)
{
	free(v->geometry);
	free(v->stats);
	free(v->counters);
}

/* Gives -errno and stays silent. */
static int view_open(struct view *v, const char *heap)
{
	int err;

	memset(v, 0, sizeof(*v));
	err = heap_file(heap, "geometry", &v->geometry);
	if (!err)
		err = heap_file(heap, "stats", &v->stats);
	if (!err)
		err = heap_file(heap, "counters", &v->counters);
	if (err) {
		view_close(v);
		return err;
	}
	state_add_stats(&v->state, v->stats);
	state_add_keys(&v->state, v->counters);
	for (int i = 0; i < KPY_CLASSES; i++)
		v->pools_used += v->state.classes[i].pools;
	v->held = counter(v, "held_bytes");
	v->in_use = v->state.value[S_BYTES_ALLOCATED] + counter(v, "large_bytes");
	return 0;
}

static struct json_object *view_json(const struct view *v, const char *heap)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *use = json_object_new_object();
	char text[16];

	json_object_object_add(use, "bytes_held", json_object_new_uint64(v->held));
	json_object_object_add(use, "bytes_in_use", json_object_new_uint64(v->in_use));
	snprintf(text, sizeof(text), "%.1f", percent(v->in_use, v->held));
	json_object_object_add(use, "percent",
			       json_object_new_double_s(percent(v->in_use, v->held), text));
	json_object_object_add(use, "pools", json_object_new_uint64(v->pools_used));
	json_object_object_add(obj, "name", json_object_new_string(heap));
	json_object_object_add(obj, "geometry", geometry_json(v->geometry));
	json_object_object_add(obj, "use", use);
	json_object_object_add(obj, "counters", json_keys(v->counters));
	json_object_object_add(obj, "state", state_json(&v->state));
	return obj;
}

static void print_use(const struct view *v)
{
	const u64 *bytes = v->state.value;
	u64 requestable = bytes[S_BYTES_ALLOCATED] + bytes[S_BYTES_AVAILABLE];
	char in_use[32], held[32];

	printf("%s bytes in use of %s held, %.1f %%\n", commas(in_use, v->in_use),
	       commas(held, v->held), percent(v->in_use, v->held));
	printf("arenas: %.1f %% in blocks in use, %.1f %% in free blocks of used pools, "
	       "%.1f %% in unused pools, %.1f %% lost\n",
	       percent(bytes[S_BYTES_ALLOCATED], bytes[S_BYTES_TOTAL]),
	       percent(bytes[S_BYTES_AVAILABLE], bytes[S_BYTES_TOTAL]),
	       percent(bytes[S_BYTES_UNUSED_POOLS], bytes[S_BYTES_TOTAL]),
	       percent(bytes[S_BYTES_TOTAL] - requestable - bytes[S_BYTES_UNUSED_POOLS],
		       bytes[S_BYTES_TOTAL]));
}

static void print_counters(const char *counters)
{
	struct json_object *obj = json_keys(counters);
	char number[32];

	json_object_object_foreach(obj, key, value)
		printf("%-20s %20s\n", key, commas(number, json_object_get_uint64(value)));
	json_object_put(obj);
}

static int stat_heap(const char *heap, bool json)
{
	struct json_object *obj;
	struct view v;
	int err = view_open(&v, heap);

	if (err)
		return heap_trouble(heap, err);
	if (json) {
		obj = view_json(&v, heap);
		json_write(stdout, obj);
		json_object_put(obj);
	} else {
		fputs(v.stats, stdout);
		putchar('\n');
		print_counters(v.counters);
		putchar('\n');
		print_use(&v);
	}
	view_close(&v);
	return 0;
}

static int add_heap(const char *heap, void *list)
{
	struct view v;
	int err = view_open(&v, heap);

	if (err)
		return heap_vanished(heap, err);
	json_object_array_add(list, view_json(&v, heap));
	view_close(&v);
	return 0;
}

static int stat_all(bool json)
{
	static const struct column columns[] = {
		{ "NAME", -20, "/name" },
		{ "ARENAS", 8, "/state/arenas/current" },
		{ "BYTES HELD", 13, "/use/bytes_held" },
		{ "USED %", 7, "/use/percent" },
		{ "POOLS", 8, "/use/pools" },
		{ "UNUSED", 8, "/state/unused_pools" },
		{ "LARGE", 8, "/state/raw_live_blocks" },
		{ "FAILED", 8, "/counters/alloc_failures" },
		{ "BAD PTR", 8, "/counters/bad_pointers" },
	};
	struct json_object *list = json_object_new_array();
	int err = heap_each(add_heap, list);

	if (!err && json)
		json_write(stdout, list);
	else if (!err)
		json_table(list, columns, ARRAY_SIZE(columns));
	json_object_put(list);
	return err;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case 'j':
		args->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (args->heap)
			argp_usage(state);
		args->heap = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int cmd_stat(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "[HEAP]", doc, NULL, NULL, NULL };
	struct arguments args = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	return args.heap ? stat_heap(args.heap, args.json) : stat_all(args.json);
}
