// SPDX-License-Identifier: GPL-2.0
/*
 * kpy compare: replays a trace and puts the numbers that were recorded from
 * CPython beside the kernel's, at every checkpoint of the recording.
 */
#include <argp.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "kpy.h"

struct arguments {
	struct lab lab;
	const char *expect;
	const char *variant;
};

struct expected {
	struct json_object *file;
	struct json_object *root;	/* of the states: the file or a variant in it */
	struct state *states;		/* in the order of their ops */
	size_t nr;
};

enum rows { ROWS_NONE, ROWS_DIFFERENT, ROWS_ALL };

static const struct argp_option options[] = {
	{ "expect", 'e', "FILE", 0, "CPython's numbers; default: NAME.json beside NAME.trace[.zst]",
	  0 },
	{ "variant", 'v', "NAME", 0, "Take them from this one of the file's variants", 0 },
	{ 0 }
};

static const char doc[] =
	"Replay a trace in the kernel and compare it with the numbers that the recorder kept "
	"from CPython, at each of its checkpoints and at the end. Exit status: 0 if all are "
	"equal, 1 if any differs, 2 if there was trouble.\v"
	"EXAMPLES\n"
	"  kpy compare hello.trace.zst\n"
	"  kpy compare --fill hello.trace.zst\n"
	"  kpy compare --expect hello.variants.json --variant k256p4-always hello.trace.zst\n";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->lab;
		return 0;
	case 'e':
		args->expect = arg;
		return 0;
	case 'v':
		args->variant = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int by_ops(const void *a, const void *b)
{
	u64 x = ((const struct state *)a)->value[S_AFTER_OPS];
	u64 y = ((const struct state *)b)->value[S_AFTER_OPS];

	return (x > y) - (x < y);
}

/* The last checkpoint is often the final state. */
static void drop_doubles(struct expected *rec)
{
	size_t kept = 0;

	for (size_t i = 1; i < rec->nr; i++)
		if (memcmp(&rec->states[kept], &rec->states[i], sizeof(*rec->states)))
			rec->states[++kept] = rec->states[i];
	rec->nr = kept + 1;
}

static int read_states(struct expected *rec, const char *path)
{
	struct json_object *checkpoints = json_member(rec->root, "checkpoints");
	struct json_object *final = json_member(rec->root, "final");
	size_t nr = checkpoints ? json_object_array_length(checkpoints) : 0;
	int err = 0;

	if (!final)
		return trouble("%s: there is no state 'final'", path);
	rec->states = calloc(nr + 1, sizeof(*rec->states));
	if (!rec->states)
		return trouble("out of memory");
	for (; !err && rec->nr <= nr; rec->nr++)
		err = state_add_json(&rec->states[rec->nr], rec->nr == nr ? final :
				     json_object_array_get_idx(checkpoints, rec->nr));
	if (err)
		return trouble("%s: cannot read state %zu", path, rec->nr);
	qsort(rec->states, rec->nr, sizeof(*rec->states), by_ops);
	drop_doubles(rec);
	return 0;
}

static int load_recording(struct expected *rec, const struct arguments *args, const char *path)
{
	int err = json_load(path, &rec->file);

	if (err)
		return err;
	rec->root = rec->file;
	if (args->variant)
		rec->root = json_member(json_member(rec->file, "variants"), args->variant);
	if (!rec->root)
		return trouble("%s: there is no variant '%s'", path, args->variant);
	return read_states(rec, path);
}

static const char *mark(bool equal)
{
	return equal ? "" : "  <-- differs";
}

static unsigned int compare_fields(const struct state *e, const struct state *k, enum rows rows)
{
	char name[64], cpython[32], kernel[32];
	unsigned int differing = 0;

	for (int f = 0; f < NR_STATE_FIELDS; f++) {
		bool equal = k->known[f] && e->value[f] == k->value[f];

		if (!e->known[f])
			continue;
		differing += !equal;
		if (rows == ROWS_NONE || (rows == ROWS_DIFFERENT && equal))
			continue;
		state_field_name(f, name);
		state_field_text(e, f, cpython);
		state_field_text(k, f, kernel);
		printf("%-26s %20s %20s%s\n", name, cpython, kernel, mark(equal));
	}
	return differing;
}

static unsigned int compare_classes(const struct state *e, const struct state *k, enum rows rows)
{
	unsigned int differing = 0;

	for (int i = 0; i < KPY_CLASSES; i++) {
		const struct class_state *c = &e->classes[i], *d = &k->classes[i];
		bool equal = !memcmp(c, d, sizeof(*c));

		differing += !equal;
		if (rows == ROWS_NONE || (rows == ROWS_DIFFERENT && equal) ||
		    (!c->pools && !d->pools))
			continue;
		printf("%5d %5llu  %9llu %9llu  %9llu %9llu  %9llu %9llu%s\n", i,
		       c->pools ? c->size : d->size, c->pools, d->pools, c->in_use, d->in_use,
		       c->available, d->available, mark(equal));
	}
	return differing;
}

static unsigned int compare(const struct state *e, const struct state *k, enum rows rows)
{
	unsigned int classes = compare_classes(e, k, ROWS_NONE);
	unsigned int differing = compare_fields(e, k, ROWS_NONE) + classes;

	if (rows == ROWS_NONE)
		return differing;
	printf("\n%-26s %20s %20s\n", "", "CPython", "kernel");
	compare_fields(e, k, rows);
	if (rows == ROWS_ALL || classes) {
		printf("\n%11s  %19s  %19s  %19s\n", "", "pools", "blocks in use", "avail blocks");
		printf("class  size  %9s %9s  %9s %9s  %9s %9s\n", "CPython", "kernel", "CPython",
		       "kernel", "CPython", "kernel");
		compare_classes(e, k, rows);
	}
	putchar('\n');
	return differing;
}

static int run_checkpoint(struct lab *s, const struct state *expected, bool last, bool *equal)
{
	u64 ops = expected->value[S_AFTER_OPS];
	unsigned int differing;
	struct state kernel;
	int err;

	if (ops > s->ops_end)
		return trouble("%s: a state after %llu ops was recorded, but the trace has %llu",
			       s->trace, ops, s->ops_end);
	err = lab_run(s, ops);
	if (!err)
		err = lab_state(s, &kernel);
	if (err)
		return err;

	progress_clear(&s->bar);
	differing = compare(expected, &kernel, ROWS_NONE);
	if (differing)
		printf("checkpoint %llu: %u numbers differ\n", ops, differing);
	else
		printf("checkpoint %llu: equal\n", ops);
	if (last || differing)
		compare(expected, &kernel, last ? ROWS_ALL : ROWS_DIFFERENT);
	*equal = !differing;
	return 0;
}

static int run_all(struct lab *s, const struct expected *rec)
{
	size_t differing = 0;
	bool equal;
	int err = 0;

	for (size_t i = 0; !err && i < rec->nr; i++) {
		err = run_checkpoint(s, &rec->states[i], i + 1 == rec->nr, &equal);
		differing += !err && !equal;
	}
	if (err)
		return err;
	if (!differing) {
		printf("%s: all %zu states equal\n", s->trace, rec->nr);
		return 0;
	}
	printf("%s: %zu of %zu states differ\n", s->trace, differing, rec->nr);
	if (rec->states[rec->nr - 1].value[S_BYTES_ALIGNMENT])
		puts("(CPython's arenas were not aligned here and lost a pool; the kernel's are)");
	return KPY_DIFFERS;
}

int cmd_compare(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &lab_argp }, { 0 } };
	static const struct argp argp = { options, parse, "TRACE", doc, children, NULL, NULL };
	struct arguments args = { 0 };
	struct lab *s = &args.lab;
	struct expected rec = { 0 };
	char *path;
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	path = args.expect ? format("%s", args.expect) : trace_companion(s->trace);
	err = load_recording(&rec, &args, path);
	if (!err) {
		s->geometry.recorded = json_member(rec.root, "geometry");
		err = lab_begin(s);
		if (!err)
			err = run_all(s, &rec);
		err = lab_end(s, err);
	}
	json_object_put(rec.file);
	free(rec.states);
	free(path);
	return err;
}
