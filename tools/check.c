// SPDX-License-Identifier: GPL-2.0
/*
 * kpy check: BPF's count of a heap beside the module's own.  Both are taken at
 * the same moment (the event kpy_snapshot, see bpf/check.bpf.c), at the start
 * and at each report, so the heap may be as busy as it likes.
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tracing.h"
#include "../bpf/check.h"
#include "check.skel.h"

enum number {
	N_ALLOCS,
	N_FREES,
	N_REALLOCS,
	N_IN_PLACE,
	N_LARGE_ALLOCS,
	N_LARGE_FREES,
	N_LARGE_FALLBACKS,
	N_LARGE_BLOCKS,
	N_LARGE_BYTES,
	N_LIVE_BLOCKS,
	N_BYTES,
	N_CLASSES,			/* blocks in use, a number for each class */
	NR_NUMBERS = N_CLASSES + CHECK_CLASSES,
};

/* The first ones are as in the file `counters`. */
static const char *const names[N_CLASSES] = {
	[N_ALLOCS] = "allocs",
	[N_FREES] = "frees",
	[N_REALLOCS] = "reallocs",
	[N_IN_PLACE] = "reallocs_in_place",
	[N_LARGE_ALLOCS] = "large_allocs",
	[N_LARGE_FREES] = "large_frees",
	[N_LARGE_FALLBACKS] = "large_fallbacks",
	[N_LARGE_BLOCKS] = "large_blocks",
	[N_LARGE_BYTES] = "large_bytes",
	[N_LIVE_BLOCKS] = "live_blocks",
	[N_BYTES] = "bytes_in_blocks",
};

struct heap {
	struct heap *next;
	char *name;
	__u32 id;
	u64 align;
	u64 module[NR_NUMBERS];
	u64 bpf[NR_NUMBERS];		/* counted since start */
	u64 offset[NR_NUMBERS];		/* module - bpf at the start */
	bool known[NR_NUMBERS];		/* the module told it */
};

struct checker {
	struct tracing t;
	struct check_bpf *skel;
	struct heap *heaps;
	unsigned int nr_cpus;
	bool differs;
};

static const char doc[] =
	"Count what happens to kpymalloc's heaps by BPF, set that beside what the module counts, and "
	"say whether both agree to the last block, also while the heaps are in use. Exit status 1 "
	"means that they differ or that events were lost.\v"
	"EXAMPLES\n"
	"  kpy check -d 10                     ten seconds, all heaps\n"
	"  kpy check -H web -i 1 5             one heap, five reports\n"
	"  kpy check -- kpy replay x.trace     while that runs\n";

static void add_totals(struct totals *sum, const struct totals *one)
{
	const __u64 *from = (const __u64 *)one;
	__u64 *to = (__u64 *)sum;

	for (size_t i = 0; i < sizeof(*one) / sizeof(*from); i++)
		to[i] += from[i];
}

static void sum_snapshot(struct checker *c, struct totals *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (__u32 cpu = 0; cpu < c->nr_cpus; cpu++) {
		struct totals one;

		if (!bpf_map_lookup_elem(bpf_map__fd(c->skel->maps.snapshot), &cpu, &one))
			add_totals(sum, &one);
	}
}

static void bpf_counters(struct heap *h, const struct totals *t)
{
	h->bpf[N_ALLOCS] = t->allocs;
	h->bpf[N_FREES] = t->frees;
	h->bpf[N_REALLOCS] = t->reallocs;
	h->bpf[N_IN_PLACE] = t->reallocs_in_place;
	h->bpf[N_LARGE_ALLOCS] = t->large_allocs;
	h->bpf[N_LARGE_FREES] = t->large_frees;
	h->bpf[N_LARGE_FALLBACKS] = t->large_fallbacks;
	h->bpf[N_LARGE_BLOCKS] = t->large_allocs - t->large_frees;
	h->bpf[N_LARGE_BYTES] = t->large_bytes;
}

static void bpf_stats(struct heap *h, const struct totals *t)
{
	h->bpf[N_LIVE_BLOCKS] = t->allocs - t->frees;
	h->bpf[N_BYTES] = 0;
	for (int i = 0; i < CHECK_CLASSES; i++) {
		h->bpf[N_CLASSES + i] = t->in_use[i];
		h->bpf[N_BYTES] += t->in_use[i] * (i + 1) * h->align;
	}
}

static void module_counters(struct heap *h, const char *text)
{
	for (int n = 0; n <= N_LARGE_BYTES; n++)
		h->known[n] = key_u64(text, names[n], &h->module[n]);
}

static void module_stats(struct heap *h, const char *text)
{
	struct state s = { 0 };

	state_add_stats(&s, text);
	h->module[N_LIVE_BLOCKS] = 0;
	h->module[N_BYTES] = s.value[S_BYTES_ALLOCATED];
	h->known[N_LIVE_BLOCKS] = true;
	h->known[N_BYTES] = true;
	for (int i = 0; i < CHECK_CLASSES; i++) {
		h->known[N_CLASSES + i] = true;
		h->module[N_CLASSES + i] = s.classes[i].in_use;
		h->module[N_LIVE_BLOCKS] += s.classes[i].in_use;
	}
}

/* One file of the module and BPF's count at the moment it was read. */
static int read_both(struct checker *c, struct heap *h, const char *file,
		     void (*module)(struct heap *h, const char *text),
		     void (*bpf)(struct heap *h, const struct totals *t))
{
	__u64 before = c->skel->bss->snapshots;
	struct totals sum;
	char *text;
	int err = heap_file(h->name, file, &text);

	if (err)
		return err;
	module(h, text);
	free(text);
	if (c->skel->bss->snapshots == before)
		return trouble("%s: reading %s fired no event", h->name, file);
	sum_snapshot(c, &sum);
	bpf(h, &sum);
	return 0;
}

/* Gives -ENOENT if the heap is gone. */
static int read_heap(struct checker *c, struct heap *h)
{
	int err = read_both(c, h, "counters", module_counters, bpf_counters);

	return err ? err : read_both(c, h, "stats", module_stats, bpf_stats);
}

static int heap_align(const char *name, u64 *align)
{
	char *geometry;
	int err = heap_file(name, "geometry", &geometry);

	if (err)
		return err;
	key_u64(geometry, "align", align);
	free(geometry);
	return 0;
}

static struct heap **find_heap(struct checker *c, __u32 id)
{
	struct heap **h = &c->heaps;

	while (*h && (*h)->id != id)
		h = &(*h)->next;
	return h;
}

static struct heap *add_heap(struct checker *c, const char *name, __u32 id)
{
	struct heap *h = calloc(1, sizeof(*h));

	if (!h)
		exit(trouble("out of memory"));
	h->name = format("%s", name);
	h->id = id;
	h->next = c->heaps;
	c->heaps = h;
	return h;
}

static void drop_heap(struct checker *c, __u32 id)
{
	struct heap **at = find_heap(c, id), *h = *at;

	if (!h)
		return;
	*at = h->next;
	free(h->name);
	free(h);
}

/* Counting a heap starts from its numbers of now; if it is met later, it was made since. */
static int meet_heap(const char *name, void *arg)
{
	struct checker *c = arg;
	struct heap *h;
	u64 id;
	int err;

	if (c->t.heap && strcmp(c->t.heap, name))
		return 0;
	err = heap_id(name, &id);
	if (err || *find_heap(c, id))
		return err ? heap_vanished(name, err) : 0;
	h = add_heap(c, name, id);
	err = heap_align(name, &h->align);
	if (!err)
		err = read_heap(c, h);
	if (err) {
		drop_heap(c, id);
		return err < 0 ? heap_vanished(name, err) : err;
	}
	for (int n = 0; n < NR_NUMBERS && !c->t.started; n++)
		h->offset[n] = h->module[n] - h->bpf[n];
	return 0;
}

static u64 counted(const struct heap *h, int n)
{
	return h->bpf[n] + h->offset[n];
}

static bool differs(const struct heap *h, int n)
{
	return h->known[n] && h->module[n] != counted(h, n);
}

static bool worth_a_line(const struct heap *h, int n)
{
	return h->known[n] && (n < N_CLASSES || h->module[n] || counted(h, n));
}

static const char *number_name(int n, char buf[32])
{
	if (n < N_CLASSES)
		return names[n];
	snprintf(buf, 32, "class_%d_in_use", n - N_CLASSES);
	return buf;
}

static void print_heap(const struct heap *h)
{
	char name[32], module[32], bpf[32];

	printf("%-20s %20s %20s\n", h->name, "MODULE", "BPF");
	for (int n = 0; n < NR_NUMBERS; n++)
		if (worth_a_line(h, n))
			printf("%-20s %20s %20s%s\n", number_name(n, name),
			       commas(module, h->module[n]), commas(bpf, counted(h, n)),
			       differs(h, n) ? "  differs" : "");
}

static void json_heap(const struct heap *h, int differences)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *module = json_object_new_object();
	struct json_object *bpf = json_object_new_object();
	char name[32];

	for (int n = 0; n < NR_NUMBERS; n++) {
		if (!worth_a_line(h, n))
			continue;
		json_object_object_add(module, number_name(n, name),
				       json_object_new_uint64(h->module[n]));
		json_object_object_add(bpf, number_name(n, name),
				       json_object_new_uint64(counted(h, n)));
	}
	json_object_object_add(obj, "heap", json_object_new_string(h->name));
	json_object_object_add(obj, "module", module);
	json_object_object_add(obj, "bpf", bpf);
	json_object_object_add(obj, "differences", json_object_new_int(differences));
	tracing_json(obj);
}

static void report_heap(struct checker *c, const struct heap *h)
{
	int differences = 0;

	for (int n = 0; n < NR_NUMBERS; n++)
		differences += differs(h, n);
	c->differs |= differences;
	if (c->t.json)
		json_heap(h, differences);
	else
		print_heap(h);
}

/* What a heap that is gone left behind with the event of its end. */
static void report_ended(struct checker *c, __u32 id, const struct ended *e)
{
	struct heap *h = *find_heap(c, id);
	struct totals all[c->nr_cpus], sum = { 0 };
	const struct { enum number n; u64 value; } last[] = {
		{ N_ALLOCS, e->allocs }, { N_FREES, e->frees }, { N_REALLOCS, e->reallocs },
		{ N_LARGE_ALLOCS, e->large_allocs }, { N_LARGE_FREES, e->large_frees },
		{ N_LARGE_BYTES, e->large_bytes },
	};

	if (!h)
		h = add_heap(c, e->name, id);
	if (!bpf_map_lookup_elem(bpf_map__fd(c->skel->maps.heaps), &id, all))
		for (unsigned int cpu = 0; cpu < c->nr_cpus; cpu++)
			add_totals(&sum, &all[cpu]);
	bpf_counters(h, &sum);
	memset(h->known, 0, sizeof(h->known));
	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		h->module[last[i].n] = last[i].value;
		h->known[last[i].n] = true;
	}
	report_heap(c, h);
	drop_heap(c, id);
}

static void report_all_ended(struct checker *c)
{
	int fd = bpf_map__fd(c->skel->maps.ended), heaps = bpf_map__fd(c->skel->maps.heaps);
	struct ended e;
	__u32 id;

	while (!bpf_map_get_next_key(fd, NULL, &id)) {
		if (!bpf_map_lookup_elem(fd, &id, &e))
			report_ended(c, id, &e);
		bpf_map_delete_elem(fd, &id);
		bpf_map_delete_elem(heaps, &id);
	}
}

static int report_living(struct checker *c)
{
	int err;

	for (struct heap *h = c->heaps; h; h = h->next) {
		err = read_heap(c, h);
		if (err > 0)
			return err;
		if (!err)
			report_heap(c, h);
		else if (err != -ENOENT)
			return heap_trouble(h->name, err);
	}
	return 0;
}

static void conclude(struct checker *c)
{
	u64 lost = c->skel->bss->lost + tracing_missed(&c->t);

	c->differs |= lost;
	if (c->t.json) {
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "equal", json_object_new_boolean(!c->differs));
		json_object_object_add(obj, "lost", json_object_new_uint64(lost));
		tracing_json(obj);
	} else {
		printf("%s, %llu events lost\n", c->differs ? "NOT equal" : "equal", lost);
	}
	fflush(stdout);
}

static int report(struct checker *c)
{
	char clock[16];
	int err = heap_each(meet_heap, c);

	if (c->t.timestamp && !c->t.json)
		puts(tracing_clock(clock));
	if (!err)
		err = report_living(c);
	if (err)
		return err;
	report_all_ended(c);
	conclude(c);
	return 0;
}

static int check(struct checker *c)
{
	bool more = true;
	int err = tracing_load(&c->t, c->skel->skeleton);

	if (!err)
		err = tracing_attach(&c->t);
	if (!err)
		err = heap_each(meet_heap, c);
	if (!err)
		err = tracing_run(&c->t);
	while (!err && more) {
		more = tracing_wait(&c->t);
		err = report(c);
	}
	return tracing_end(&c->t, err ? err : c->differs ? KPY_DIFFERS : 0);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

int cmd_check(int argc, char **argv)
{
	static const struct argp_child children[] = { { .argp = &tracing_argp }, { 0 } };
	static const struct argp argp = {
		NULL, parse, "[COUNT] [COMMAND...]", doc, children, NULL, NULL
	};
	struct checker c = { .t = TRACING_INIT() };
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &c.t);
	err = tracing_prepare(&c.t);
	if (err)
		return err;
	c.skel = check_bpf__open();
	if (!c.skel)
		return trouble("cannot open the programs: %s", strerror(errno));
	c.nr_cpus = libbpf_num_possible_cpus();
	c.skel->rodata->filter = c.t.filter;
	c.skel->rodata->nr_cpus = c.nr_cpus;
	c.skel->rodata->reader = getpid();
	bpf_map__set_max_entries(c.skel->maps.snapshot, c.nr_cpus);
	err = check(&c);
	while (c.heaps)
		drop_heap(&c, c.heaps->id);
	check_bpf__destroy(c.skel);
	return err;
}
