// SPDX-License-Identifier: GPL-2.0
/*
 * What a heap is made from, in its three spellings: an option, the text that
 * debugfs' `create` takes, and JSON.  The kernel judges the values; only what
 * could be taken for something else on its way there is refused here.
 */
#include <argp.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "kpy.h"

#define DEFAULT_PRESET	"cpython-3.10"

static const struct spelling {
	const char *text;		/* in `create` and in the file `geometry` */
	const char *json;
	bool given;			/* to `create`; the others follow from these */
} spellings[] = {
	{ "arena",	 "arena_size",	 true },
	{ "pool",	 "pool_size",	 true },
	{ "align",	 "alignment",	 true },
	{ "max",	 "max_small",	 true },
	{ "pool_header", "pool_header",	 false },
	{ "release",	 "release_rule", true },
};

/* What else a heap may be told when it is made; a recording has none of these. */
static const char *const others[] = { "mode", "limit", "account" };

static const struct argp_option options[] = {
	{ "preset", 'p', "PRESET", 0,
	  "Geometry of cpython-3.6, cpython-3.8, cpython-3.9 or cpython-3.10", 1 },
	{ "geometry", 'g', "LIST", 0,
	  "arena=SIZE,pool=SIZE and any of align=N, max=N, release=arena, always or pool, mode=classic "
	  "or percpu, limit=SIZE, account=on or off; "
	  "beside --preset, what differs from that", 1 },
	{ 0 }
};

/* "name=…" */
static bool is_given(const char *item)
{
	size_t len = strcspn(item, "=,");

	if (item[len] != '=')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++)
		if (spellings[i].given && strlen(spellings[i].text) == len &&
		    !strncmp(spellings[i].text, item, len))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strlen(others[i]) == len && !strncmp(others[i], item, len))
			return true;
	return false;
}

static void check_list(const char *list, const struct argp_state *state)
{
	if (strpbrk(list, " \t\n"))
		argp_error(state, "--geometry: no blanks, the items are separated by commas");
	for (const char *item = list; ; item++) {
		if (!is_given(item))
			argp_error(state, "--geometry: cannot read '%s'", item);
		item += strcspn(item, ",");
		if (!*item)
			return;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct geometry *geo = state->input;

	switch (key) {
	case 'p':
		if (!*arg || strpbrk(arg, " \t\n"))
			argp_error(state, "--preset: '%s' is no name", arg);
		geo->preset = arg;
		return 0;
	case 'g':
		check_list(arg, state);
		geo->list = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp geometry_argp = { .options = options, .parser = parse };

static int recorded_text(struct json_object *recorded, char **text)
{
	*text = format("%s", "");
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct json_object *value = json_member(recorded, spellings[i].json);
		char *longer;

		if (!spellings[i].given)
			continue;
		if (!value) {
			free(*text);
			return trouble("the recorded geometry has no %s", spellings[i].json);
		}
		longer = format("%s%s%s=%s", *text, **text ? " " : "", spellings[i].text,
				json_object_get_string(value));
		free(*text);
		*text = longer;
	}
	return 0;
}

/* What follows the name in `create`; to be freed. */
int geometry_create_text(const struct geometry *geo, char **text)
{
	if (!geo->preset && !geo->list && geo->recorded)
		return recorded_text(geo->recorded, text);
	if (geo->preset && geo->list)
		*text = format("preset=%s %s", geo->preset, geo->list);
	else if (geo->list)
		*text = format("%s", geo->list);
	else
		*text = format("preset=%s", geo->preset ? geo->preset : DEFAULT_PRESET);
	for (char *comma = *text; (comma = strchr(comma, ',')); )
		*comma = ' ';
	return 0;
}

/* The file `geometry` of a heap, with the keys of a recording's geometry. */
struct json_object *geometry_json(const char *text)
{
	struct json_object *file = json_keys(text);
	struct json_object *geo = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		struct json_object *value = json_member(file, spellings[i].text);

		if (value)
			json_object_object_add(geo, spellings[i].json, json_object_get(value));
	}
	json_object_put(file);
	return geo;
}
