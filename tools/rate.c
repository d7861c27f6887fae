// SPDX-License-Identifier: GPL-2.0
/* kpy rate: who allocates and frees how much a second, as bcc's *top tools show such things. */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "percpu.h"
#include "stacks.h"
#include "tracing.h"
#include "../bpf/rate.h"
#include "rate.skel.h"

#define ROWS		20
#define MAX_CALLERS	(1 << 20)

enum {
	OPT_MAX_CALLERS = 0x200,
};

enum counted {
	ALLOCS,
	BYTES,
	FREES,
	NR_COLUMNS
};

static const char *const column_names[NR_COLUMNS] = { "allocs", "bytes", "frees" };

/* As the map has it. */
struct entry {
	struct rate_caller key;
	u64 seen[NR_COLUMNS];		/* in all reports so far */
};

/* As it is shown: callers of the same frames are one. */
struct row {
	const struct frames *frames;
	u64 since[NR_COLUMNS];		/* the last report */
};

struct rate {
	struct tracing t;
	/* asked for */
	u64 rows;			/* 0: all */
	enum counted sort;
	bool by_stack;
	bool no_clear;
	u64 max_callers;
	/* how far it has come */
	struct rate_bpf *skel;
	struct stacks *stacks;
	struct entry *entries;		/* by key */
	size_t nr_entries;
	struct row *table;
	size_t nr_table;
	double read;			/* when */
	double seconds;			/* since the reading before */
};

static const char doc[] =
	"Show who allocates and frees how much a second in kpymalloc's heaps, the busiest first, each "
	"second. A caller is where the allocator was called from.\v"
	"EXAMPLES\n"
	"  kpy rate                            each second until ^C\n"
	"  kpy rate -H web -s bytes -i 5 3     one heap, by bytes, three times\n"
	"  kpy rate -k -r 5                    whole stacks, the first five\n"
	"  kpy rate -i 60 -j -- kpy replay x.trace\n";

static const struct argp_option options[] = {
	{ "sort", 's', "COLUMN", 0, "Sort by allocs (the default), bytes or frees", 0 },
	{ "rows", 'r', "N", 0, "Show N callers (20; with -j all)", 0 },
	{ "stacks", 'k', NULL, 0, "Tell callers by their whole stacks and print these", 0 },
	{ "noclear", 'C', NULL, 0, "Don't clear the screen", 0 },
	{ "max-callers", OPT_MAX_CALLERS, "N", 0, "Count at most N callers (8192)", 0 },
	{ 0 }
};

static enum counted counted(struct argp_state *state, const char *arg)
{
	for (int i = 0; i < NR_COLUMNS; i++)
		if (!strcmp(arg, column_names[i]))
			return i;
	argp_error(state, "there is no column '%s', only allocs, bytes and frees", arg);
	return ALLOCS;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct rate *r = state->input;

	switch (key) {
	case 's':
		r->sort = counted(state, arg);
		return 0;
	case 'r':
		r->rows = tracing_positive(state, arg, MAX_CALLERS);
		return 0;
	case 'k':
		r->by_stack = true;
		return 0;
	case 'C':
		r->no_clear = true;
		return 0;
	case OPT_MAX_CALLERS:
		r->max_callers = tracing_positive(state, arg, MAX_CALLERS);
		return 0;
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->t;
		state->child_inputs[1] = &r->t;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void *grow(void *array, size_t nr, size_t size)
{
	array = realloc(array, nr * size);
	if (!array)
		exit(trouble("out of memory"));
	return array;
}

static int by_key(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct rate_caller));
}

static void add_row(struct rate *r, const struct rate_caller *key, const u64 *since)
{
	struct row *row;

	if (!since[ALLOCS] && !since[FREES])
		return;
	r->table = grow(r->table, r->nr_table + 1, sizeof(*r->table));
	row = &r->table[r->nr_table++];
	row->frames = stacks_find(r->stacks, key->stack, key->call_site);
	memcpy(row->since, since, sizeof(row->since));
}

/* Adds to the entries that are being gathered anew what has become of one caller. */
static void read_entry(struct rate *r, struct entry **entries, size_t *nr, const struct rate_caller *key)
{
	u64 now[NR_COLUMNS], since[NR_COLUMNS];
	struct entry e = { .key = *key }, *old = NULL;

	if (r->nr_entries)
		old = bsearch(key, r->entries, r->nr_entries, sizeof(e), by_key);
	if (old)
		e = *old;
	if (!percpu_sum(bpf_map__fd(r->skel->maps.callers), key, now, NR_COLUMNS))
		return;
	percpu_advance(since, e.seen, now, NR_COLUMNS);
	*entries = grow(*entries, *nr + 1, sizeof(e));
	(*entries)[(*nr)++] = e;
	add_row(r, key, since);
}

static void read_entries(struct rate *r)
{
	int fd = bpf_map__fd(r->skel->maps.callers);
	struct rate_caller key, *at = NULL;
	struct entry *entries = NULL;
	size_t nr = 0;

	r->nr_table = 0;
	while (!bpf_map_get_next_key(fd, at, &key)) {
		read_entry(r, &entries, &nr, &key);
		at = &key;
	}
	if (nr)
		qsort(entries, nr, sizeof(*entries), by_key);
	free(r->entries);
	r->entries = entries;
	r->nr_entries = nr;
}

static int by_frames(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return (x->frames > y->frames) - (x->frames < y->frames);
}

static void merge_rows(struct rate *r)
{
	size_t nr = 0;

	if (r->nr_table)
		qsort(r->table, r->nr_table, sizeof(*r->table), by_frames);
	for (size_t i = 0; i < r->nr_table; i++) {
		struct row *row = &r->table[i];

		if (!nr || r->table[nr - 1].frames != row->frames) {
			r->table[nr++] = *row;
			continue;
		}
		for (int c = 0; c < NR_COLUMNS; c++)
			r->table[nr - 1].since[c] += row->since[c];
	}
	r->nr_table = nr;
}

/* The largest first; equal ones by their other numbers, then their address. */
static int by_column(const void *a, const void *b, void *arg)
{
	const struct row *x = a, *y = b;
	const enum counted *sort = arg;

	if (x->since[*sort] != y->since[*sort])
		return x->since[*sort] > y->since[*sort] ? -1 : 1;
	for (int c = 0; c < NR_COLUMNS; c++)
		if (x->since[c] != y->since[c])
			return x->since[c] > y->since[c] ? -1 : 1;
	return (x->frames->ip[0] > y->frames->ip[0]) - (x->frames->ip[0] < y->frames->ip[0]);
}

static void read_table(struct rate *r)
{
	double before = r->read;

	r->read = now();
	r->seconds = r->read - before;
	read_entries(r);
	merge_rows(r);
	if (r->nr_table)
		qsort_r(r->table, r->nr_table, sizeof(*r->table), by_column, &r->sort);
}

static size_t nr_shown(const struct rate *r)
{
	u64 rows = r->rows ? r->rows : r->t.json ? r->nr_table : ROWS;

	return rows < r->nr_table ? rows : r->nr_table;
}

static void sum_table(const struct rate *r, u64 *sum)
{
	memset(sum, 0, NR_COLUMNS * sizeof(*sum));
	for (size_t i = 0; i < r->nr_table; i++)
		for (int c = 0; c < NR_COLUMNS; c++)
			sum[c] += r->table[i].since[c];
}

static void print_row(const struct rate *r, const u64 *since, const char *caller)
{
	for (int c = 0; c < NR_COLUMNS; c++)
		printf("%*.0f ", c == BYTES ? 15 : 12, since[c] / r->seconds);
	puts(caller);
}

static void print_caller(const struct rate *r, const struct row *row)
{
	char *caller = ksym_text(row->frames->ip[0]);

	print_row(r, row->since, caller);
	free(caller);
	for (int i = 1; r->by_stack && i < row->frames->nr; i++) {
		char *frame = ksym_text(row->frames->ip[i]);

		printf("%41s  %s\n", "", frame);
		free(frame);
	}
}

static void print_table(struct rate *r)
{
	u64 sum[NR_COLUMNS];
	char clock[16], what[64];

	if (isatty(STDOUT_FILENO) && !r->no_clear)
		fputs("\033[H\033[J", stdout);
	if (r->t.timestamp)
		puts(tracing_clock(clock));
	printf("%12s %15s %12s CALLER\n", "ALLOCS/s", "BYTES/s", "FREES/s");
	for (size_t i = 0; i < nr_shown(r); i++)
		print_caller(r, &r->table[i]);
	sum_table(r, sum);
	snprintf(what, sizeof(what), "all %zu callers", r->nr_table);
	print_row(r, sum, what);
	putchar('\n');
}

static void add_counts(struct json_object *obj, const u64 *since)
{
	for (int c = 0; c < NR_COLUMNS; c++)
		json_object_object_add(obj, column_names[c], json_object_new_uint64(since[c]));
}

static struct json_object *new_object(const struct rate *r)
{
	struct json_object *obj = json_object_new_object();
	char clock[16], seconds[32];

	if (r->t.timestamp)
		json_object_object_add(obj, "time", json_object_new_string(tracing_clock(clock)));
	snprintf(seconds, sizeof(seconds), "%.6f", r->seconds);
	json_object_object_add(obj, "seconds", json_object_new_double_s(r->seconds, seconds));
	return obj;
}

static void json_caller(const struct rate *r, const struct row *row)
{
	struct json_object *obj = new_object(r);
	char *caller = ksym_text(row->frames->ip[0]);

	json_object_object_add(obj, "caller", json_object_new_string(caller));
	free(caller);
	add_counts(obj, row->since);
	if (r->by_stack)
		json_object_object_add(obj, "stack", stacks_json(row->frames));
	tracing_json(obj);
}

static u64 lost(const struct rate *r)
{
	return r->skel->bss->lost + tracing_missed(&r->t);
}

static void json_report(struct rate *r)
{
	struct json_object *obj = new_object(r);
	u64 sum[NR_COLUMNS];

	for (size_t i = 0; i < nr_shown(r); i++)
		json_caller(r, &r->table[i]);
	sum_table(r, sum);
	json_object_object_add(obj, "callers", json_object_new_uint64(r->nr_table));
	add_counts(obj, sum);
	json_object_object_add(obj, "lost", json_object_new_uint64(lost(r)));
	if (r->by_stack)
		json_object_object_add(obj, "stacks_lost",
				       json_object_new_uint64(r->skel->bss->stacks_lost));
	tracing_json(obj);
}

static void report(struct rate *r)
{
	read_table(r);
	if (r->t.json) {
		json_report(r);
		return;
	}
	print_table(r);
	fflush(stdout);
	if (lost(r))
		fprintf(stderr, "%llu events of more callers lost, --max-callers N makes room\n", lost(r));
	if (r->skel->bss->stacks_lost)
		fprintf(stderr, "%llu stacks lost\n", (u64)r->skel->bss->stacks_lost);
}

static int rate(struct rate *r)
{
	bool more = true;
	int err = tracing_load(&r->t, r->skel->skeleton);

	r->read = now();
	if (!err)
		err = tracing_attach(&r->t);
	if (!err)
		err = tracing_run(&r->t);
	r->stacks = stacks_new(bpf_map__fd(r->skel->maps.stacks));
	while (!err && more) {
		more = tracing_wait(&r->t);
		if (!more)
			tracing_detach(&r->t);	/* so that all numbers belong together */
		report(r);
	}
	return tracing_end(&r->t, err);
}

static void set_parameters(struct rate *r)
{
	r->skel->rodata->filter = r->t.filter;
	r->skel->rodata->by_stack = r->by_stack;
	bpf_map__set_autocreate(r->skel->maps.stacks, r->by_stack);
	bpf_map__set_autocreate(r->skel->maps.walked, r->by_stack);
	if (r->max_callers)
		bpf_map__set_max_entries(r->skel->maps.callers, r->max_callers);
}

static void free_all(struct rate *r)
{
	free(r->entries);
	free(r->table);
	stacks_free(r->stacks);
	rate_bpf__destroy(r->skel);
}

int cmd_rate(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &tracing_argp }, { .argp = &filter_argp }, { 0 }
	};
	static const struct argp argp = {
		options, parse, "[COUNT] [COMMAND...]", doc, children, NULL, NULL
	};
	struct rate r = { .t = TRACING_INIT(.interval = 1) };
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &r);
	err = tracing_prepare(&r.t);
	if (err)
		return err;
	r.skel = rate_bpf__open();
	if (!r.skel)
		return trouble("cannot open the programs: %s", strerror(errno));
	set_parameters(&r);
	err = rate(&r);
	free_all(&r);
	return err;
}
