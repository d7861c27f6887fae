// SPDX-License-Identifier: GPL-2.0
/*
 * What is outstanding, kept in a file, and what changed between two of them:
 *
 *	{ "stacks": [ { "bytes": N, "blocks": N, "oldest_ms": N, "frames": [...] } ] }
 *
 * Stacks are the same if their frames read the same.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

struct change {
	struct json_object *frames;
	int64_t bytes;			/* after */
	int64_t blocks;
	int64_t more_bytes;		/* than before */
	int64_t more_blocks;
};

int snapshot_write(const char *path, const struct holders *all)
{
	struct json_object *obj = json_object_new_object(), *list = json_object_new_array();
	FILE *out = fopen(path, "w");
	int err = 0;

	for (size_t i = 0; i < all->nr; i++)
		json_object_array_add(list, holder_json(all->list[i]));
	json_object_object_add(obj, "stacks", list);
	if (out)
		json_write(out, obj);
	if (!out || ferror(out) | fclose(out))
		err = trouble("%s: %s", path, strerror(errno));
	json_object_put(obj);
	return err;
}

static const char *frames_text(struct json_object *stack)
{
	return json_object_to_json_string(json_member(stack, "frames"));
}

/* The file's stacks by their frames' text; NULL if it holds something else. */
static struct json_object *by_frames(struct json_object *snapshot)
{
	struct json_object *stacks = json_member(snapshot, "stacks"), *all;

	if (!json_object_is_type(stacks, json_type_array))
		return NULL;
	all = json_object_new_object();
	for (size_t i = 0; i < json_object_array_length(stacks); i++) {
		struct json_object *stack = json_object_array_get_idx(stacks, i);

		if (!json_object_is_type(json_member(stack, "frames"), json_type_array)) {
			json_object_put(all);
			return NULL;
		}
		json_object_object_add(all, frames_text(stack), json_object_get(stack));
	}
	return all;
}

static int load(const char *path, struct json_object **all)
{
	struct json_object *snapshot;
	int err = json_load(path, &snapshot);

	if (err)
		return err;
	*all = by_frames(snapshot);
	json_object_put(snapshot);
	return *all ? 0 : trouble("%s: this is no snapshot of kpy leak", path);
}

static int64_t get(struct json_object *stack, const char *key)
{
	return json_object_get_int64(json_member(stack, key));
}

/* A stack that stands in one of the files only has nothing in the other. */
static struct change compare(struct json_object *before, struct json_object *after)
{
	return (struct change){
		json_member(after ? after : before, "frames"),
		get(after, "bytes"), get(after, "blocks"),
		get(after, "bytes") - get(before, "bytes"),
		get(after, "blocks") - get(before, "blocks"),
	};
}

static size_t compare_all(struct json_object *before, struct json_object *after,
			  struct change *list)
{
	size_t nr = 0;

	json_object_object_foreach(after, key, stack)
		list[nr++] = compare(json_member(before, key), stack);
	json_object_object_foreach(before, old_key, old)
		if (!json_member(after, old_key))
			list[nr++] = compare(old, NULL);
	return nr;
}

static int by_growth(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	if (x->more_bytes != y->more_bytes)
		return x->more_bytes < y->more_bytes ? 1 : -1;
	return (x->more_blocks < y->more_blocks) - (x->more_blocks > y->more_blocks);
}

/* As tracemalloc words it. */
static void print_change(const struct change *c)
{
	printf("size=%lld B (%+lld B), count=%lld (%+lld)", (long long)c->bytes,
	       (long long)c->more_bytes, (long long)c->blocks, (long long)c->more_blocks);
	if (c->blocks)
		printf(", average=%lld B", (long long)(c->bytes / c->blocks));
	putchar('\n');
	for (size_t i = 0; i < json_object_array_length(c->frames); i++)
		printf("\t%s\n", json_object_get_string(json_object_array_get_idx(c->frames, i)));
}

static void json_change(const struct change *c)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "bytes", json_object_new_int64(c->bytes));
	json_object_object_add(obj, "bytes_diff", json_object_new_int64(c->more_bytes));
	json_object_object_add(obj, "blocks", json_object_new_int64(c->blocks));
	json_object_object_add(obj, "blocks_diff", json_object_new_int64(c->more_blocks));
	json_object_object_add(obj, "frames", json_object_get(c->frames));
	tracing_json(obj);
}

static void print_changes(const struct change *list, size_t nr, u64 top, bool json)
{
	struct change all = { 0 };

	for (size_t i = 0; i < nr; i++) {
		const struct change *c = &list[i];

		all.more_bytes += c->more_bytes;
		all.more_blocks += c->more_blocks;
		if (!c->more_bytes && !c->more_blocks)
			continue;
		if (json)
			json_change(c);
		else if (top && top--)
			print_change(c);
	}
	if (!json)
		printf("%+lld B, %+lld blocks in all\n", (long long)all.more_bytes,
		       (long long)all.more_blocks);
}

static void diff(struct json_object *before, struct json_object *after, u64 top, bool json)
{
	size_t nr = json_object_object_length(before) + json_object_object_length(after);
	struct change *list = calloc(nr + 1, sizeof(*list));

	if (!list)
		exit(trouble("out of memory"));
	nr = compare_all(before, after, list);
	qsort(list, nr, sizeof(*list), by_growth);
	print_changes(list, nr, top, json);
	free(list);
}

int snapshot_diff(const char *before, const char *after, u64 top, bool json)
{
	struct json_object *a = NULL, *b = NULL;
	int err = load(before, &a);

	if (!err)
		err = load(after, &b);
	if (!err)
		diff(a, b, top, json);
	json_object_put(a);
	json_object_put(b);
	return err;
}
