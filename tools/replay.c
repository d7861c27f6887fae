// SPDX-License-Identifier: GPL-2.0
/*
 * kpy replay: runs a trace in the kernel and tells what came of it, as text or
 * as JSON with the keys of a recording's states.
 */
#include <argp.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kpy.h"

struct arguments {
	struct lab lab;
	const char *checkpoints;
	bool json;
};

struct result {
	struct state *states;		/* the checkpoints', then the final one */
	size_t nr;
	char *stats;			/* the heap's at the end; NULL without a heap */
	char *geometry;
	char *status;
};

static const struct argp_option options[] = {
	{ "backend", 'b', "NAME", 0, "kpymalloc (default) or kmalloc, the kernel's own allocator",
	  0 },
	{ "until", 'u', "N", 0, "Stop when N ops are done", 0 },
	{ "checkpoints", 'c', "LIST", 0,
	  "Keep the states after these ops (N,N,...) or after each K-th part of the trace (K)",
	  0 },
	{ "json", 'j', NULL, 0, "Print JSON", 0 },
	{ 0 }
};

static const char doc[] =
	"Replay a recorded trace, plain or zstd-compressed, inside the kernel. The heap has the "
	"geometry of NAME.json beside NAME.trace[.zst] if there is one, else Python 3.10's.\v"
	"EXAMPLES\n"
	"  kpy replay hello.trace.zst\n"
	"  kpy replay --preset cpython-3.8 --fill hello.trace.zst\n"
	"  kpy replay --checkpoints 10 --json hello.trace.zst >states.json\n"
	"  kpy replay --checkpoints 1000,2000 --until 2000 hello.trace.zst\n"
	"  kpy replay --backend kmalloc hello.trace.zst\n";

static void check_checkpoints(const char *list, const struct argp_state *state)
{
	u64 last = 0, n;
	char *end;

	for (; parse_u64(list, &end, &n); list = end + 1) {
		if (last && n <= last)
			argp_error(state, "--checkpoints: %llu does not come after %llu", n, last);
		last = n;
		if (!*end)
			return;
		if (*end != ',')
			break;
	}
	argp_error(state, "--checkpoints: cannot read '%s'", list);
}

static void set_backend(struct lab *s, const char *name, const struct argp_state *state)
{
	s->kmalloc = !strcmp(name, "kmalloc");
	if (!s->kmalloc && strcmp(name, "kpymalloc"))
		argp_error(state, "--backend: there is kpymalloc and kmalloc, but no '%s'", name);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->lab;
		return 0;
	case 'b':
		set_backend(&args->lab, arg, state);
		return 0;
	case 'u':
		if (!parse_u64(arg, &end, &args->lab.until) || *end)
			argp_error(state, "--until: '%s' is no number of ops", arg);
		return 0;
	case 'c':
		check_checkpoints(arg, state);
		args->checkpoints = arg;
		return 0;
	case 'j':
		args->json = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int keep_state(struct lab *s, struct result *r)
{
	r->states = realloc(r->states, (r->nr + 1) * sizeof(*r->states));
	if (!r->states)
		return trouble("out of memory");
	return lab_state(s, &r->states[r->nr++]);
}

static int checkpoint(struct lab *s, struct result *r, u64 ops)
{
	int err = lab_run(s, ops);

	return err ? err : keep_state(s, r);
}

static int run_list(struct lab *s, struct result *r, const char *list)
{
	int err = 0;
	char *end;
	u64 ops;

	for (; !err && parse_u64(list, &end, &ops); list = end + !!*end) {
		if (ops > s->ops_end)
			return trouble("--checkpoints: %llu lies beyond the last op, %llu", ops,
				       s->ops_end);
		err = checkpoint(s, r, ops);
	}
	return err;
}

/* After ops*j/K for j = 1…K, in whole ops; the same op is not listed twice. */
static int run_parts(struct lab *s, struct result *r, u64 parts)
{
	int err = 0;

	for (u64 j = 1; !err && j <= parts; j++) {
		u64 ops = (unsigned __int128)s->ops_total * j / parts;

		if (ops > s->ops_end)
			break;
		if (ops > s->ops_done)
			err = checkpoint(s, r, ops);
	}
	return err;
}

static int run_all(struct lab *s, struct result *r, const char *checkpoints)
{
	int err = 0;

	if (checkpoints && strchr(checkpoints, ','))
		err = run_list(s, r, checkpoints);
	else if (checkpoints)
		err = run_parts(s, r, strtoull(checkpoints, NULL, 10));
	if (!err)
		err = checkpoint(s, r, s->ops_end);
	if (!err)
		err = lab_status(&r->status);
	if (!err && lab_heap(s))
		err = heap_read(lab_heap(s), "stats", &r->stats);
	if (!err && lab_heap(s))
		err = heap_read(lab_heap(s), "geometry", &r->geometry);
	return err;
}

static void add_text(struct json_object *obj, const char *key, const char *status)
{
	char *value = key_text(status, key);

	json_object_object_add(obj, key, json_object_new_string(value ? value : ""));
	free(value);
}

static void add_number(struct json_object *obj, const char *name, const char *status,
		       const char *key)
{
	u64 value = 0;

	key_u64(status, key, &value);
	json_object_object_add(obj, name, json_object_new_uint64(value));
}

static void print_json(const struct arguments *args, const struct result *r)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *checkpoints = json_object_new_array();

	json_object_object_add(obj, "trace", json_object_new_string(args->lab.trace));
	add_text(obj, "backend", r->status);
	if (r->geometry)
		json_object_object_add(obj, "geometry", geometry_json(r->geometry));
	add_number(obj, "ops", r->status, "ops_done");
	add_number(obj, "ns", r->status, "ns");
	add_number(obj, "peak_requested", r->status, "peak_requested");
	add_number(obj, "peak_pages", r->status, "peak_pages");
	add_number(obj, "alloc_failures", r->status, "alloc_failures");
	for (size_t i = 0; i + 1 < r->nr; i++)
		json_object_array_add(checkpoints, state_json(&r->states[i]));
	json_object_object_add(obj, "checkpoints", checkpoints);
	json_object_object_add(obj, "final", state_json(&r->states[r->nr - 1]));
	json_write(stdout, obj);
	json_object_put(obj);
}

static void print_state(const struct state *s)
{
	char ops[32], blocks[32], bytes[32], digest[32];

	state_field_text(s, S_AFTER_OPS, ops);
	state_field_text(s, S_LIVE_BLOCKS, blocks);
	state_field_text(s, S_LIVE_REQUESTED_ALL, bytes);
	state_field_text(s, S_DIGEST, digest);
	printf("after %s ops: %s live blocks of %s bytes, digest %s\n", ops, blocks, bytes, digest);
}

static void print_peaks(const char *status)
{
	u64 requested = 0, pages = 0, failures = 0;
	char a[32], b[32];

	key_u64(status, "peak_requested", &requested);
	key_u64(status, "peak_pages", &pages);
	key_u64(status, "alloc_failures", &failures);
	printf("peaks: %s bytes requested, %s bytes held in pages", commas(a, requested),
	       commas(b, pages * sysconf(_SC_PAGESIZE)));
	if (failures)
		printf("; %llu requests failed", failures);
	putchar('\n');
}

static void print_text(const struct arguments *args, const struct result *r)
{
	char *backend = key_text(r->status, "backend");
	u64 ops = 0, ns = 0;
	char buf[32];

	key_u64(r->status, "ops_done", &ops);
	key_u64(r->status, "ns", &ns);
	printf("%s: %s ops in %.3f s, %.2f Mops/s, %s\n", args->lab.trace, commas(buf, ops),
	       ns / 1e9, ns ? ops * 1e3 / ns : 0, backend ? backend : "");
	for (size_t i = 0; i < r->nr; i++)
		if (i + 1 == r->nr || memcmp(&r->states[i], &r->states[i + 1], sizeof(*r->states)))
			print_state(&r->states[i]);
	print_peaks(r->status);
	if (r->stats)
		printf("\n%s", r->stats);
	free(backend);
}

int cmd_replay(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &lab_argp }, { 0 } };
	static const struct argp argp = { options, parse, "TRACE", doc, children, NULL, NULL };
	struct arguments args = { 0 };
	struct lab *s = &args.lab;
	struct json_object *recording = NULL;
	struct result r = { 0 };
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	err = trace_recording(s->trace, &recording);
	if (err)
		return err;
	s->geometry.recorded = json_member(recording, "geometry");

	err = lab_begin(s);
	if (!err)
		err = run_all(s, &r, args.checkpoints);
	err = lab_end(s, err);
	if (!err)
		(args.json ? print_json : print_text)(&args, &r);

	json_object_put(recording);
	free(r.states);
	free(r.stats);
	free(r.geometry);
	free(r.status);
	return err;
}
