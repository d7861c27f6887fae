// SPDX-License-Identifier: GPL-2.0
/*
 * kpy hist: distributions that BPF counts (bpf/hist.bpf.c): sizes requested,
 * what classes waste on them, how long calls take, how long blocks live.
 *
 * The counters only ever grow.  A report is what came since the last one, so
 * nothing is lost between reading and clearing.
 */
#include <argp.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"

#define LINEAR_STEP	16		/* bytes, as the usual alignment */

const char *const hist_names[NR_WHATS] = { "size", "waste", "latency", "life" };

enum {
	OPT_MAX_BLOCKS = 0x200,
};

static const char doc[] =
	"Show distributions of what is asked of kpymalloc's heaps: WHAT is\n"
	"  size     bytes requested (the default)\n"
	"  waste    bytes that classes lose on requests that do not fill them\n"
	"  latency  time in kpy_alloc and its kind, kpy_realloc and kpy_free, and how\n"
	"           many of them took a slow path\n"
	"  life     time from a block's allocation to its free\v"
	"EXAMPLES\n"
	"  kpy hist -d 10                      sizes, in powers of two\n"
	"  kpy hist -H web -L                  sizes, a line for each class of web\n"
	"  kpy hist waste -i 5                 what each class wastes, every 5 s\n"
	"  kpy hist latency -- kpy replay x.trace\n"
	"  kpy hist life -m -Z 64              lifetimes of small ones in ms\n";

static const struct argp_option options[] = {
	{ "linear", 'L', "STEP", OPTION_ARG_OPTIONAL, "size: steps of STEP bytes instead of powers of "
	  "two (the heap's alignment, so one for each class; 16 without -H)", 0 },
	{ "milliseconds", 'm', NULL, 0, "life: in milliseconds instead of microseconds", 0 },
	{ "max-blocks", OPT_MAX_BLOCKS, "N", 0, "life: follow at most N blocks (1048576)", 0 },
	{ 0 }
};

/* The first argument, if it is one of ours. */
static error_t parse_what(struct hist *h, struct argp_state *state, const char *arg)
{
	for (int i = 0; !state->arg_num && i < NR_WHATS; i++) {
		if (strcmp(arg, hist_names[i]))
			continue;
		h->what = i;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void check_options(const struct hist *h, struct argp_state *state)
{
	if (h->linear && h->what != SIZE)
		argp_error(state, "-L is for sizes");
	if ((h->milliseconds || h->max_blocks) && h->what != LIFE)
		argp_error(state, "-m and --max-blocks are for life");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct hist *h = state->input;

	switch (key) {
	case 'L':
		h->linear = true;
		h->step = arg ? tracing_positive(state, arg, 1 << 30) : 0;
		return 0;
	case 'm':
		h->milliseconds = true;
		return 0;
	case OPT_MAX_BLOCKS:
		h->max_blocks = tracing_positive(state, arg, 1 << 28);
		return 0;
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &h->t;
		state->child_inputs[1] = &h->t;
		return 0;
	case ARGP_KEY_ARG:
		return parse_what(h, state, arg);
	case ARGP_KEY_END:
		check_options(h, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static bool begins(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* Programs are named after what they are for. */
static bool program_wanted(const struct hist *h, const char *name)
{
	if (begins(name, "latency_event_") && !h->skel->rodata->by_event)
		return false;
	if (begins(name, "heap_"))
		return h->what == WASTE || h->what == LIFE;
	return begins(name, hist_names[h->what]);
}

static void choose(struct hist *h)
{
	const struct { struct bpf_map *map; unsigned int whats; } maps[] = {
		{ h->skel->maps.slots, 1 << SIZE | 1 << LATENCY | 1 << LIFE },
		{ h->skel->maps.paths, 1 << LATENCY },
		{ h->skel->maps.calls, 1 << LATENCY },
		{ h->skel->maps.classes, 1 << WASTE | 1 << LIFE },
		{ h->skel->maps.heaps, 1 << WASTE | 1 << LIFE },
		{ h->skel->maps.born, 1 << LIFE },
	};
	struct bpf_program *prog;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		bpf_map__set_autocreate(maps[i].map, maps[i].whats & 1 << h->what);
	bpf_object__for_each_program(prog, h->skel->obj)
		bpf_program__set_autoload(prog, program_wanted(h, bpf_program__name(prog)));
}

bool hist_filtered(const struct hist *h)
{
	const struct tracing none = TRACING_INIT();

	return memcmp(&h->t.filter, &none.filter, sizeof(none.filter));
}

static int set_step(struct hist *h)
{
	int err;

	if (!h->linear || h->step)
		return 0;
	h->step = LINEAR_STEP;
	if (!h->t.heap)
		return 0;
	err = hist_align(h->t.heap, &h->step);
	return err ? heap_trouble(h->t.heap, err) : 0;
}

static void set_parameters(struct hist *h)
{
	h->nr_slots = h->what == LATENCY ? NR_HIST_CALLS * HIST_LOG2 :
		      h->linear ? HIST_LINEAR : HIST_LOG2;
	h->skel->rodata->filter = h->t.filter;
	h->skel->rodata->by_event = hist_filtered(h);
	h->skel->rodata->step = h->step;
	h->skel->rodata->unit = h->milliseconds ? 1000000 : 1000;
	h->skel->rodata->nr_slots = h->nr_slots;
	bpf_map__set_max_entries(h->skel->maps.slots, h->nr_slots);
	if (h->max_blocks)
		bpf_map__set_max_entries(h->skel->maps.born, h->max_blocks);
}

static int hist(struct hist *h)
{
	bool more = true;
	int err = h->what == WASTE || h->what == LIFE ? hist_read_heaps(h) : 0;

	if (!err)
		err = tracing_load(&h->t, h->skel->skeleton);
	if (!err)
		err = tracing_attach(&h->t);
	if (!err)
		err = tracing_run(&h->t);
	while (!err && more) {
		more = tracing_wait(&h->t);
		if (!more)
			tracing_detach(&h->t);	/* so that all numbers belong together */
		err = hist_report(h);
	}
	if (!err)
		hist_conclude(h);
	return tracing_end(&h->t, err);
}

static void free_all(struct hist *h)
{
	while (h->heaps) {
		struct hist_known *next = h->heaps->next;

		free(h->heaps);
		h->heaps = next;
	}
	free(h->rows);
	hist_bpf__destroy(h->skel);
}

int cmd_hist(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &tracing_argp }, { .argp = &filter_argp }, { 0 }
	};
	static const struct argp argp = {
		options, parse, "[WHAT] [COUNT] [COMMAND...]", doc, children, NULL, NULL
	};
	struct hist h = { .t = TRACING_INIT() };
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &h);
	err = tracing_prepare(&h.t);
	if (!err)
		err = set_step(&h);
	if (err)
		return err;
	h.skel = hist_bpf__open();
	if (!h.skel)
		return trouble("cannot open the programs: %s", strerror(errno));
	set_parameters(&h);
	choose(&h);
	err = hist(&h);
	free_all(&h);
	return err;
}
