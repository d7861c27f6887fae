// SPDX-License-Identifier: GPL-2.0
/*
 * kpy flame: who asks for memory, as folded stacks or as a flame graph.  Either
 * all that was asked for (bpf/flame.bpf.c adds it up), or what of it is in use at
 * the end (live.c).
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"
#include "svg.h"
#include "../bpf/flame.h"
#include "flame.skel.h"

enum {
	OPT_LIVE = 0x500,
	OPT_COUNT,
	OPT_SVG,
};

struct flame {
	struct live live;
	/* asked for */
	bool outstanding;
	bool count;			/* blocks instead of bytes */
	const char *svg;
	/* how far it has come */
	struct flame_bpf *skel;		/* NULL: outstanding */
	struct holders holders;
	struct folded *lines;
	size_t nr;
};

static const char doc[] =
	"Show which stacks ask for memory: folded, outer;...;inner BYTES, a line for each stack, as "
	"flamegraph.pl and speedscope take it; or drawn as a flame graph. Each time a block is had it "
	"counts, also if it has been freed since.\v"
	"EXAMPLES\n"
	"  kpy flame -d 10 > alloc.folded           bytes asked for in ten seconds\n"
	"  kpy flame --svg alloc.svg -- ./work      a picture for a browser\n"
	"  kpy flame --live --count -H web -d 60    blocks in use after a minute\n";

static const struct argp_option options[] = {
	{ "live", OPT_LIVE, NULL, 0, "Only what is still in use at the end", 0 },
	{ "count", OPT_COUNT, NULL, 0, "Count blocks, not bytes", 0 },
	{ "svg", OPT_SVG, "FILE", 0, "Draw a flame graph in FILE, print nothing", 0 },
	{ 0 }
};

static void start(struct flame *f, struct argp_state *state)
{
	state->child_inputs[0] = &f->live.t;
	state->child_inputs[1] = &f->live.t;
	state->child_inputs[2] = &f->live;
}

static void check(const struct flame *f, struct argp_state *state)
{
	if (f->live.t.interval)
		argp_error(state, "there is one report, at the end: -d says when");
	if (f->live.t.timestamp)
		argp_error(state, "folded stacks have no room for the time of day");
	if (f->live.t.json && f->svg)
		argp_error(state, "give --json or --svg");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct flame *f = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		start(f, state);
		return 0;
	case OPT_LIVE:
		f->outstanding = true;
		return 0;
	case OPT_COUNT:
		f->count = true;
		return 0;
	case OPT_SVG:
		f->svg = arg;
		return 0;
	case ARGP_KEY_END:
		check(f, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* ---- all that was asked for ---- */

static int begin(struct flame *f)
{
	struct tracing *t = &f->live.t;
	int err = tracing_prepare(t);

	if (err)
		return err;
	f->skel = flame_bpf__open();
	if (!f->skel)
		return trouble("cannot open the programs: %s", strerror(errno));
	f->skel->rodata->filter = t->filter;
	f->skel->rodata->with_stacks = !f->live.sites;
	err = tracing_load(t, f->skel->skeleton);
	if (!err)
		err = tracing_attach(t);
	if (err)
		return err;
	f->live.stacks = stacks_new(bpf_map__fd(f->skel->maps.stacks));
	return tracing_run(t);
}

static void add_key(struct flame *f, const struct flame_key *key, unsigned int nr_cpus)
{
	struct flame_sum sums[nr_cpus];
	const struct frames *frames = stacks_find(f->live.stacks, key->stack, key->call_site);
	struct holder *h = holders_get(&f->holders, frames);

	if (bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.sums), key, sums))
		return;
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		holder_add(h, sums[cpu].blocks, sums[cpu].bytes, 0);
}

static void read_sums(struct flame *f)
{
	unsigned int nr_cpus = libbpf_num_possible_cpus();
	struct flame_key key, *at = NULL;

	while (!bpf_map_get_next_key(bpf_map__fd(f->skel->maps.sums), at, &key)) {
		at = &key;
		add_key(f, &key, nr_cpus);
	}
}

static void say_losses(const struct flame *f)
{
	u64 missed = tracing_missed(&f->live.t);

	if (f->skel->bss->lost.blocks)
		fprintf(stderr, "%llu blocks, %llu bytes found no room among the stacks\n",
			f->skel->bss->lost.blocks, f->skel->bss->lost.bytes);
	if (f->skel->bss->stacks_lost)
		fprintf(stderr, "%llu times no stack could be had: their blocks are under a call site alone\n",
			f->skel->bss->stacks_lost);
	if (missed)
		fprintf(stderr, "%llu events were missed\n", missed);
}

/* ---- what is in use ---- */

static void add_block(const struct live_block *b, void *arg)
{
	struct flame *f = arg;

	holder_add(holders_get(&f->holders, live_frames(&f->live, b)), 1, b->size, b->born);
}

/* ---- folding ---- */

/* By name alone: where in a function a call stands makes no frame of its own. */
static char *frame_text(__u64 ip)
{
	const char *module, *name;
	__u64 offset;

	name = ksym_name(ip, &offset, &module);
	return name ? format("%s", name) : format("0x%llx", ip);
}

static char *fold(const struct frames *frames)
{
	char *text = frame_text(frames->ip[frames->nr - 1]);

	for (int i = frames->nr - 1; i--; ) {
		char *frame = frame_text(frames->ip[i]), *longer = format("%s;%s", text, frame);

		free(text);
		free(frame);
		text = longer;
	}
	return text;
}

/* Lines that read the same become one. */
static void merge(struct flame *f)
{
	size_t kept = 0;

	for (size_t i = 1; i < f->nr; i++) {
		if (strcmp(f->lines[kept].text, f->lines[i].text)) {
			f->lines[++kept] = f->lines[i];
		} else {
			f->lines[kept].value += f->lines[i].value;
			free(f->lines[i].text);
		}
	}
	if (f->nr)
		f->nr = kept + 1;
}

static void fold_all(struct flame *f)
{
	f->nr = f->holders.nr;
	f->lines = calloc(f->nr + 1, sizeof(*f->lines));
	if (!f->lines)
		exit(trouble("out of memory"));
	for (size_t i = 0; i < f->nr; i++) {
		const struct holder *h = f->holders.list[i];

		f->lines[i].text = fold(h->frames);
		f->lines[i].value = f->count ? h->blocks : h->bytes;
	}
	qsort(f->lines, f->nr, sizeof(*f->lines), folded_order);
	merge(f);
}

static void print_folded(const struct flame *f)
{
	for (size_t i = 0; i < f->nr; i++)
		printf("%s %llu\n", f->lines[i].text, f->lines[i].value);
}

static void json_all(struct flame *f)
{
	holders_sort(&f->holders, holders_by_bytes);
	for (size_t i = 0; i < f->holders.nr; i++) {
		struct json_object *obj = holder_json(f->holders.list[i]);

		if (!f->outstanding)
			json_object_object_del(obj, "oldest_ms");
		tracing_json(obj);
	}
}

static int draw(const struct flame *f)
{
	const char *unit = f->count ? "blocks" : "bytes";
	char *title = format("kpymalloc: %s %s%s%s", unit, f->outstanding ? "in use" : "asked for",
			     f->live.t.heap ? " of " : "", f->live.t.heap ? f->live.t.heap : "");
	int err = svg_write(f->svg, title, unit, f->lines, f->nr);

	free(title);
	return err;
}

static int print(struct flame *f)
{
	if (f->live.t.json) {
		json_all(f);
		return 0;
	}
	fold_all(f);
	if (f->svg)
		return draw(f);
	print_folded(f);
	return 0;
}

static int report(struct flame *f)
{
	int err = 0;

	if (f->outstanding)
		err = live_read(&f->live, add_block, f);
	else
		read_sums(f);
	if (!err)
		err = print(f);
	fflush(stdout);
	if (f->outstanding)
		live_remarks(&f->live, stderr);
	else
		say_losses(f);
	return err;
}

static void drop(struct flame *f)
{
	for (size_t i = 0; i < f->nr && f->lines; i++)
		free(f->lines[i].text);
	free(f->lines);
	holders_free(&f->holders);
}

int cmd_flame(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &tracing_argp }, { .argp = &filter_argp }, { .argp = &live_argp }, { 0 }
	};
	static const struct argp argp = {
		options, parse, "[COMMAND...]", doc, children, NULL, NULL
	};
	struct flame f = { .live = LIVE_INIT };
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &f);
	err = f.outstanding ? live_begin(&f.live) : begin(&f);
	if (!err) {
		tracing_wait(&f.live.t);
		err = report(&f);
	}
	drop(&f);
	err = live_end(&f.live, err);
	flame_bpf__destroy(f.skel);
	return err;
}
