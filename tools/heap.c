// SPDX-License-Identifier: GPL-2.0
/* kpy heap: heaps by name, made, listed, checked and taken away. */
#include <argp.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "kpy.h"

#define HEAPS	"kpymalloc/heaps"

int heap_create(const char *name, const struct geometry *geo)
{
	static const char path[] = "kpymalloc/create";
	char *how, *command;
	int err = geometry_create_text(geo, &how);

	if (err)
		return err;
	command = format("%s %s", name, how);
	err = debugfs_write(path, command);
	free(command);
	switch (err) {
	case 0:
		break;
	case -EEXIST:
		err = trouble("%s: there is such a heap already", name);
		break;
	case -EINVAL:
	case -ERANGE:
		err = trouble("%s: the kernel refuses this name or %s, dmesg says why", name, how);
		break;
	case -ENAMETOOLONG:
		err = trouble("%s: a heap's name has at most %d characters", name, KPY_HEAP_NAME);
		break;
	default:
		err = debugfs_trouble(path, err);
	}
	free(how);
	return err;
}

static char *heap_path(const char *name, const char *file)
{
	return format(HEAPS "/%s/%s", name, file);
}

int heap_trouble(const char *name, int err)
{
	char *path = heap_path(name, "");

	err = debugfs_trouble(path, err);
	free(path);
	return err;
}

int heap_destroy(const char *name)
{
	static const char path[] = "kpymalloc/destroy";
	int err = debugfs_write(path, name);

	if (err == -EBUSY)
		return trouble("%s: the heap is in use", name);
	if (err == -ENOENT)
		return heap_trouble(name, err);
	return err ? debugfs_trouble(path, err) : 0;
}

/* A heap that goes away between open and read gives EIO: it is gone all the same. */
int heap_file(const char *name, const char *file, char **text)
{
	char *path = heap_path(name, file);
	int err = debugfs_read(path, text);

	free(path);
	return err == -EIO ? -ENOENT : err;
}

int heap_read(const char *name, const char *file, char **text)
{
	int err = heap_file(name, file, text);

	return err ? heap_trouble(name, err) : 0;
}

/* The id that trace events carry; gives -errno. */
int heap_id(const char *name, u64 *id)
{
	char *text, *end;
	int err = heap_file(name, "id", &text);

	if (err)
		return err;
	if (!parse_u64(text, &end, id))
		err = -EINVAL;
	free(text);
	return err;
}

int heap_each(heap_visit visit, void *arg)
{
	char **names;
	size_t nr;
	int err = debugfs_list(HEAPS, &names, &nr), worst = 0;

	if (err)
		return debugfs_trouble(HEAPS, err);
	for (size_t i = 0; i < nr; i++) {
		err = visit(names[i], arg);
		if (err > worst)
			worst = err;
		free(names[i]);
	}
	free(names);
	return worst;
}

/* Names by id, kept also when the heap is gone: ids are never used again. */
static struct named {
	struct named *next;
	unsigned int id;
	char name[KPY_HEAP_NAME + 1];
} *named;

static struct named *find_named(unsigned int id)
{
	struct named *n = named;

	while (n && n->id != id)
		n = n->next;
	return n;
}

static struct named *add_named(unsigned int id, const char *name)
{
	struct named *n = calloc(1, sizeof(*n));

	if (!n)
		exit(trouble("out of memory"));
	n->id = id;
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->next = named;
	named = n;
	return n;
}

static void name_all(void)
{
	char **names;
	size_t nr;
	u64 id;

	if (debugfs_list(HEAPS, &names, &nr))
		return;
	for (size_t i = 0; i < nr; i++) {
		if (!heap_id(names[i], &id) && !find_named(id))
			add_named(id, names[i]);
		free(names[i]);
	}
	free(names);
}

const char *heap_by_id(unsigned int id)
{
	struct named *n = find_named(id);
	char number[16];

	if (!n) {
		name_all();
		n = find_named(id);
	}
	snprintf(number, sizeof(number), "#%u", id);
	return (n ? n : add_named(id, number))->name;
}

/* While all heaps are looked at, one that goes away is none of them. */
int heap_vanished(const char *name, int err)
{
	return err == -ENOENT ? 0 : heap_trouble(name, err);
}

static int add_heap(const char *name, void *list)
{
	char *geometry = NULL, *mode;
	struct json_object *heap;
	int err = heap_file(name, "geometry", &geometry);

	if (!err)
		err = heap_file(name, "mode", &mode);
	if (err) {
		free(geometry);
		return heap_vanished(name, err);
	}
	mode[strcspn(mode, "\n")] = '\0';
	heap = json_object_new_object();
	json_object_object_add(heap, "name", json_object_new_string(name));
	json_object_object_add(heap, "mode", json_object_new_string(mode));
	json_object_object_add(heap, "geometry", geometry_json(geometry));
	json_object_array_add(list, heap);
	free(mode);
	free(geometry);
	return 0;
}

static int list(bool json)
{
	static const struct column columns[] = {
		{ "NAME", -20, "/name" },
		{ "MODE", -8, "/mode" },
		{ "ARENA", 8, "/geometry/arena_size" },
		{ "POOL", 6, "/geometry/pool_size" },
		{ "ALIGN", 5, "/geometry/alignment" },
		{ "MAX", 5, "/geometry/max_small" },
		{ "RELEASE", -9, "/geometry/release_rule" },
	};
	struct json_object *heaps = json_object_new_array();
	int err = heap_each(add_heap, heaps);

	if (!err && json)
		json_write(stdout, heaps);
	else if (!err)
		json_table(heaps, columns, ARRAY_SIZE(columns));
	json_object_put(heaps);
	return err;
}

static int validate(const char *name, void *arg)
{
	char *verdict;
	int err = heap_read(name, "validate", &verdict);
	bool valid;

	(void)arg;
	if (err)
		return err;
	verdict[strcspn(verdict, "\n")] = '\0';
	printf("%s: %s\n", name, verdict);
	valid = !strcmp(verdict, "ok");
	free(verdict);
	return valid ? 0 : KPY_DIFFERS;
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "list: print JSON", 0 },
	{ 0 }
};

static const char doc[] =
	"Make, destroy, list and validate kpymalloc's heaps. Validating walks the whole heap and "
	"checks every invariant; exit status 1 means that one is broken. create without options "
	"makes a heap like those of Python 3.10 and later.\v"
	"EXAMPLES\n"
	"  kpy heap create web --preset cpython-3.8\n"
	"  kpy heap create tiny --geometry arena=64K,pool=4K,align=8\n"
	"  kpy heap list\n"
	"  kpy heap validate          check all heaps\n"
	"  kpy heap destroy web\n";

struct arguments {
	const char *action;
	const char *name;
	struct geometry geometry;
	bool json;
};

static void check(const struct arguments *args, struct argp_state *state)
{
	const char *action = args->action;
	bool create = !strcmp(action, "create");
	bool needs_name = create || !strcmp(action, "destroy");

	if (!needs_name && strcmp(action, "list") && strcmp(action, "validate"))
		argp_error(state, "there is no '%s'", action);
	if (needs_name && !args->name)
		argp_error(state, "%s needs a name", action);
	if (!strcmp(action, "list") ? !!args->name : args->json)
		argp_error(state, "%s takes no %s", action, args->json ? "--json" : "name");
	if (!create && (args->geometry.preset || args->geometry.list))
		argp_error(state, "%s takes no geometry", action);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->geometry;
		return 0;
	case 'j':
		args->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_usage(state);
		*(state->arg_num ? &args->name : &args->action) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!args->action)
			argp_usage(state);
		check(args, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int cmd_heap(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &geometry_argp }, { 0 } };
	static const struct argp argp = {
		options, parse, "create NAME\ndestroy NAME\nlist\nvalidate [NAME]", doc, children,
		NULL, NULL
	};
	struct arguments args = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	switch (*args.action) {
	case 'c':
		return heap_create(args.name, &args.geometry);
	case 'd':
		return heap_destroy(args.name);
	case 'l':
		return list(args.json);
	}
	return args.name ? validate(args.name, NULL) : heap_each(validate, NULL);
}
