// SPDX-License-Identifier: GPL-2.0
/*
 * kpy where: what the module knows of an address, by its kfunc, which only a
 * BPF program can call: bpf/where.bpf.c, run once for each address.
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>

#include "tracing.h"
#include "../bpf/where.h"
#include "where.skel.h"

static const char doc[] =
	"Say which heap, arena, pool, class and block an address of the kernel lies in, and whether "
	"the block is in use. Any byte of a block will do. Exit status 1 means that an address is in "
	"no block of any heap; large blocks are not in heaps.\v"
	"EXAMPLES\n"
	"  kpy where ffff888003c41030\n"
	"  kpy trace -j -N 1 | grep -o '\"ptr\":\"[^\"]*' | cut -d'\"' -f4 | xargs kpy where\n";

struct arguments {
	char **addresses;
	bool json;
};

static void print_where(const struct where *w)
{
	if (w->error)
		printf("%016llx %s\n", w->address, "in no block");
	else
		printf("%016llx %-20s %6u %6u %5u %5u %5u %-6s %6llu\n", w->address,
		       heap_by_id(w->heap), w->arena, w->pool, w->szidx, w->size, w->block,
		       w->in_use ? "in use" : "free", w->address - w->start);
}

static struct json_object *hex(__u64 address)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%llx", address);
	return json_object_new_string(text);
}

static void json_block(struct json_object *obj, const struct where *w)
{
	const struct { const char *name; __u64 value; } numbers[] = {
		{ "heap_id", w->heap }, { "arena", w->arena }, { "arena_serial", w->arena_serial },
		{ "pool", w->pool }, { "class", w->szidx }, { "class_size", w->size },
		{ "block", w->block }, { "offset", w->address - w->start },
	};

	json_object_object_add(obj, "heap", json_object_new_string(heap_by_id(w->heap)));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_object_add(obj, numbers[i].name, json_object_new_uint64(numbers[i].value));
	json_object_object_add(obj, "start", hex(w->start));
	json_object_object_add(obj, "in_use", json_object_new_boolean(w->in_use));
}

static void json_where(const struct where *w)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "address", hex(w->address));
	json_object_object_add(obj, "found", json_object_new_boolean(!w->error));
	if (!w->error)
		json_block(obj, w);
	tracing_json(obj);
}

static int ask(struct where_bpf *skel, __u64 address, struct where *w)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	__u32 zero = 0;
	int err = bpf_map_update_elem(bpf_map__fd(skel->maps.address), &zero, &address, BPF_ANY);

	if (!err)
		err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.where), &opts);
	if (!err)
		err = bpf_map_lookup_elem(bpf_map__fd(skel->maps.found), &zero, w);
	return err ? object_refused("cannot run the program", -errno) : 0;
}

static int ask_all(struct where_bpf *skel, const struct arguments *args)
{
	int err, status = 0;

	if (!args->json)
		printf("%-16s %-20s %6s %6s %5s %5s %5s %-6s %6s\n", "ADDRESS", "HEAP", "ARENA",
		       "POOL", "CLASS", "SIZE", "BLOCK", "STATE", "OFFSET");
	for (char **address = args->addresses; *address; address++) {
		struct where w;

		err = ask(skel, strtoull(*address, NULL, 16), &w);
		if (err)
			return err;
		if (args->json)
			json_where(&w);
		else
			print_where(&w);
		if (w.error)
			status = KPY_DIFFERS;
	}
	return status;
}

/* The only reason that is the user's own to mend is told apart. */
static int load(struct where_bpf *skel)
{
	int err = where_bpf__load(skel);

	if (err && !module_has_btf())
		return trouble("the module has no BTF here, and so no kfunc that could be asked");
	return err ? object_refused("cannot load the program", err) : 0;
}

static int where(const struct arguments *args)
{
	struct where_bpf *skel;
	int err = objects_possible();

	if (err)
		return err;
	skel = where_bpf__open();
	if (!skel)
		return trouble("cannot open the program: %s", strerror(errno));
	err = load(skel);
	if (!err)
		err = ask_all(skel, args);
	where_bpf__destroy(skel);
	return err;
}

static bool is_address(const char *text)
{
	char *end;

	if (!isxdigit((unsigned char)*text))
		return false;
	errno = 0;
	strtoull(text, &end, 16);
	return !errno && !*end;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case 'j':
		args->json = true;
		return 0;
	case 'v':
		objects_verbose(true);
		return 0;
	case ARGP_KEY_ARGS:
		args->addresses = state->argv + state->next;
		for (char **address = args->addresses; *address; address++)
			if (!is_address(*address))
				argp_error(state, "'%s' is no address", *address);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
	}
	(void)arg;
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "Print JSON, one object a line", 0 },
	{ "verbose", 'v', NULL, 0, "Print what libbpf says", 0 },
	{ 0 }
};

int cmd_where(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "ADDRESS...", doc, NULL, NULL, NULL };
	struct arguments args = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	return where(&args);
}
