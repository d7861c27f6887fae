// SPDX-License-Identifier: GPL-2.0
/*
 * The numbers of a heap and of a replay at one moment, whoever tells them:
 * the `stats` text in the layout of sys._debugmallocstats(), the modules'
 * `key value` files, or JSON.  One table knows each number's name in all of
 * them; a number that nobody told stays unknown.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "kpy.h"

static const struct field {
	const char *group;		/* JSON object it lies in; NULL: the state itself */
	const char *json;
	const char *stats;		/* label in the stats text */
	const char *key;		/* in `counters` or `status` */
	bool hex;
} fields[] = {
	[S_AFTER_OPS]		 = { .json = "after_ops", .key = "ops_done" },
	[S_ARENAS_TOTAL]	 = { "arenas", "total", "# arenas allocated total" },
	[S_ARENAS_RECLAIMED]	 = { "arenas", "reclaimed", "# arenas reclaimed" },
	[S_ARENAS_HIGHWATER]	 = { "arenas", "highwater", "# arenas highwater mark" },
	[S_ARENAS_CURRENT]	 = { "arenas", "current", "# arenas allocated current" },
	[S_BYTES_ALLOCATED]	 = { "bytes", "allocated_blocks", "# bytes in allocated blocks" },
	[S_BYTES_AVAILABLE]	 = { "bytes", "available_blocks", "# bytes in available blocks" },
	[S_BYTES_UNUSED_POOLS]	 = { "bytes", "unused_pools" },
	[S_BYTES_POOL_HEADERS]	 = { "bytes", "pool_headers", "# bytes lost to pool headers" },
	[S_BYTES_QUANTIZATION]	 = { "bytes", "quantization", "# bytes lost to quantization" },
	[S_BYTES_ALIGNMENT]	 = { "bytes", "arena_alignment",
				     "# bytes lost to arena alignment" },
	[S_BYTES_TOTAL]		 = { "bytes", "total", "Total" },
	[S_UNUSED_POOLS]	 = { .json = "unused_pools" },
	[S_RAW_LIVE_BLOCKS]	 = { .json = "raw_live_blocks", .key = "large_blocks" },
	[S_LIVE_BLOCKS]		 = { .json = "live_blocks", .key = "live_blocks" },
	[S_LIVE_REQUESTED_SMALL] = { .json = "live_requested_small",
				     .key = "live_requested_small" },
	[S_LIVE_REQUESTED_ALL]	 = { .json = "live_requested_all", .key = "live_requested_all" },
	[S_DIGEST]		 = { .json = "placement_digest", .key = "placement_digest",
				     .hex = true },
	[S_DIGEST_SERIAL]	 = { .json = "placement_digest_serial",
				     .key = "placement_digest_serial", .hex = true },
};

_Static_assert(ARRAY_SIZE(fields) == NR_STATE_FIELDS, "a field without a name");

static void learn(struct state *s, enum state_field f, u64 value)
{
	s->value[f] = value;
	s->known[f] = true;
}

static void add_class(struct state *s, unsigned int szidx, const struct class_state *class)
{
	if (szidx < KPY_CLASSES)
		s->classes[szidx] = *class;
}

/* "label   =   1,234" */
static bool split_total(const char *line, size_t len, size_t *label, u64 *value)
{
	const char *sign = memchr(line, '=', len);

	if (!sign)
		return false;
	*value = 0;
	for (const char *p = sign + 1; p < line + len; p++)
		if (*p >= '0' && *p <= '9')
			*value = *value * 10 + (*p - '0');
	while (sign > line && sign[-1] == ' ')
		sign--;
	*label = sign - line;
	return true;
}

static void add_total(struct state *s, const char *label, size_t len, u64 value)
{
	u64 pools, size;
	int end = 0;

	for (int f = 0; f < NR_STATE_FIELDS; f++)
		if (fields[f].stats && strlen(fields[f].stats) == len &&
		    !strncmp(fields[f].stats, label, len))
			learn(s, f, value);

	if (sscanf(label, "%llu unused pools * %llu bytes%n", &pools, &size, &end) == 2 && end) {
		learn(s, S_UNUSED_POOLS, pools);
		learn(s, S_BYTES_UNUSED_POOLS, value);
	}
}

/* Reads a stats text up to CPython's "arena map counts", which depend on addresses only. */
void state_add_stats(struct state *s, const char *text)
{
	static const char map[] = "arena map counts";

	for (const char *line = text; *line && strncmp(line, map, strlen(map)); ) {
		size_t len = strcspn(line, "\n"), label;
		struct class_state class;
		unsigned int szidx;
		u64 value;

		if (split_total(line, len, &label, &value))
			add_total(s, line, label, value);
		else if (sscanf(line, " %u %llu %llu %llu %llu", &szidx, &class.size,
				&class.pools, &class.in_use, &class.available) == 5)
			add_class(s, szidx, &class);
		line += len + (line[len] == '\n');
	}
}

/* Reads a file of `key value` lines: `counters` or `status`. */
void state_add_keys(struct state *s, const char *text)
{
	for (int f = 0; f < NR_STATE_FIELDS; f++) {
		char *value = fields[f].key ? key_text(text, fields[f].key) : NULL;

		if (value)
			learn(s, f, strtoull(value, NULL, fields[f].hex ? 16 : 10));
		free(value);
	}
}

static int add_json_class(struct state *s, struct json_object *row)
{
	struct class_state class;
	u64 n[5];

	if (!json_object_is_type(row, json_type_array) || json_object_array_length(row) != 5)
		return trouble("JSON: a class is [class, size, pools, in use, available]");
	for (int i = 0; i < 5; i++)
		n[i] = json_object_get_uint64(json_object_array_get_idx(row, i));
	if (n[0] >= KPY_CLASSES)
		return trouble("JSON: there is no class %llu", n[0]);
	class = (struct class_state){ n[1], n[2], n[3], n[4] };
	add_class(s, n[0], &class);
	return 0;
}

int state_add_json(struct state *s, struct json_object *obj)
{
	struct json_object *classes = json_member(obj, "classes");
	int err = 0;

	for (int f = 0; f < NR_STATE_FIELDS; f++) {
		const char *group = fields[f].group;
		struct json_object *value = json_member(group ? json_member(obj, group) : obj,
							fields[f].json);

		if (value && fields[f].hex)
			learn(s, f, strtoull(json_object_get_string(value), NULL, 16));
		else if (value)
			learn(s, f, json_object_get_uint64(value));
	}
	if (!s->known[S_AFTER_OPS] || !json_object_is_type(classes, json_type_array))
		return trouble("JSON: a state needs after_ops and classes");
	for (size_t i = 0; !err && i < json_object_array_length(classes); i++)
		err = add_json_class(s, json_object_array_get_idx(classes, i));
	return err;
}

static struct json_object *json_class(unsigned int szidx, const struct class_state *class)
{
	const u64 n[] = { szidx, class->size, class->pools, class->in_use, class->available };
	struct json_object *row = json_object_new_array_ext(ARRAY_SIZE(n));

	for (size_t i = 0; i < ARRAY_SIZE(n); i++)
		json_object_array_add(row, json_object_new_uint64(n[i]));
	return row;
}

static struct json_object *json_field(const struct state *s, enum state_field f)
{
	char text[32];

	if (!fields[f].hex)
		return json_object_new_uint64(s->value[f]);
	state_field_text(s, f, text);
	return json_object_new_string(text);
}

struct json_object *state_json(const struct state *s)
{
	struct json_object *classes = json_object_new_array();
	struct json_object *obj = json_object_new_object();

	if (s->known[S_AFTER_OPS])
		json_object_object_add(obj, "after_ops", json_field(s, S_AFTER_OPS));
	json_object_object_add(obj, "arenas", json_object_new_object());
	json_object_object_add(obj, "bytes", json_object_new_object());

	for (int f = S_AFTER_OPS + 1; f < NR_STATE_FIELDS; f++) {
		const char *group = fields[f].group;

		if (s->known[f])
			json_object_object_add(group ? json_member(obj, group) : obj,
					       fields[f].json, json_field(s, f));
	}
	for (unsigned int c = 0; c < KPY_CLASSES; c++)
		if (s->classes[c].pools)
			json_object_array_add(classes, json_class(c, &s->classes[c]));
	json_object_object_add(obj, "classes", classes);
	return obj;
}

/* "arenas.total", "live_blocks" */
void state_field_name(enum state_field f, char buf[64])
{
	const char *group = fields[f].group;

	snprintf(buf, 64, "%s%s%s", group ? group : "", group ? "." : "", fields[f].json);
}

void state_field_text(const struct state *s, enum state_field f, char buf[32])
{
	if (!s->known[f])
		snprintf(buf, 32, "-");
	else if (fields[f].hex)
		snprintf(buf, 32, "%016llx", s->value[f]);
	else
		commas(buf, s->value[f]);
}
