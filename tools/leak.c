// SPDX-License-Identifier: GPL-2.0
/*
 * kpy leak: what has been allocated since tracing began and is not freed, by the
 * stack that asked for it.  Laid out as bcc's memleak.
 */
#include <argp.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "live.h"

enum {
	OPT_TOP = 0x300,
	OPT_SNAPSHOT,
	OPT_DIFF,
};

struct leak {
	struct live live;
	/* asked for */
	u64 older;			/* ns */
	u64 top;
	const char *snapshot;
	const char *before;		/* two snapshots to compare */
	const char *after;
	/* of one report */
	struct holders holders;
	u64 now;			/* ns */
};

static const char doc[] =
	"Show what has been allocated since tracing began and is still in use, by the stack that "
	"asked for it: once when it ends, or each SEC seconds. Bytes are those requested. Blocks "
	"from before are counted, too, and told apart.\v"
	"EXAMPLES\n"
	"  kpy leak -d 10                      after ten seconds, all heaps\n"
	"  kpy leak -H web -i 5 --older 1000   blocks that live for a second\n"
	"  kpy leak --snapshot a -- ./work     keep the outcome in a file\n"
	"  kpy leak --diff a b                 what grew between two of them\n";

static const struct argp_option options[] = {
	{ "older", 'o', "MS", 0, "Only blocks that are at least MS milliseconds old", 0 },
	{ "top", OPT_TOP, "N", 0, "Print the N stacks that hold most (10)", 0 },
	{ "snapshot", OPT_SNAPSHOT, "FILE", 0, "Write all stacks of the last report to FILE", 0 },
	{ "diff", OPT_DIFF, "BEFORE", 0, "Trace nothing: say what changed between the files BEFORE "
	  "and AFTER, the greatest growth first", 0 },
	{ 0 }
};

static void start(struct leak *k, struct argp_state *state)
{
	state->child_inputs[0] = &k->live.t;
	state->child_inputs[1] = &k->live.t;
	state->child_inputs[2] = &k->live;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct leak *k = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		start(k, state);
		return 0;
	case 'o':
		k->older = 1000000 * tracing_number(state, arg, 1ULL << 40);
		return 0;
	case OPT_TOP:
		k->top = tracing_number(state, arg, ~0ULL);
		return 0;
	case OPT_SNAPSHOT:
		k->snapshot = arg;
		return 0;
	case OPT_DIFF:
		k->before = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!k->before)
			return ARGP_ERR_UNKNOWN;
		if (k->after)
			argp_error(state, "--diff takes two files");
		k->after = arg;
		return 0;
	case ARGP_KEY_END:
		if (k->before && !k->after)
			argp_error(state, "--diff takes two files");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void add_block(const struct live_block *b, void *arg)
{
	struct leak *k = arg;

	if (b->born + k->older <= k->now)
		holder_add(holders_get(&k->holders, live_frames(&k->live, b)), 1, b->size, b->born);
}

static void print_holder(const struct holder *h)
{
	char age[32];

	printf("\t%llu bytes in %llu allocations from stack, the oldest %s s old\n", h->bytes,
	       h->blocks, age_text(age, h->born));
	stacks_print(h->frames, "\t\t");
}

static void print_all(struct leak *k)
{
	struct holders *all = &k->holders;
	u64 blocks = 0, bytes = 0;
	size_t top = all->nr < k->top ? all->nr : k->top;
	char clock[16];

	if (k->live.t.timestamp)
		printf("%s ", tracing_clock(clock));
	printf("Top %zu of %zu stacks with outstanding allocations:\n", top, all->nr);
	for (size_t i = 0; i < all->nr; i++) {
		if (i < top)
			print_holder(all->list[i]);
		blocks += all->list[i]->blocks;
		bytes += all->list[i]->bytes;
	}
	printf("%llu bytes in %llu allocations in all\n", bytes, blocks);
}

static void json_all(const struct holders *all)
{
	for (size_t i = 0; i < all->nr; i++)
		tracing_json(holder_json(all->list[i]));
}

static int report(struct leak *k, bool last)
{
	int err;

	k->now = age_ns(0);
	err = live_read(&k->live, add_block, k);
	if (err)
		return err;
	holders_sort(&k->holders, holders_by_bytes);
	if (k->live.t.json)
		json_all(&k->holders);
	else
		print_all(k);
	live_remarks(&k->live, stdout);
	fflush(stdout);
	if (last && k->snapshot)
		err = snapshot_write(k->snapshot, &k->holders);
	holders_free(&k->holders);
	return err;
}

int cmd_leak(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &tracing_argp }, { .argp = &filter_argp }, { .argp = &live_argp }, { 0 }
	};
	static const struct argp argp = {
		options, parse, "[COUNT] [COMMAND...]\n--diff BEFORE AFTER", doc, children, NULL, NULL
	};
	struct leak k = { .live = LIVE_INIT, .top = 10 };
	bool more = true;
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &k);
	if (k.before)
		return snapshot_diff(k.before, k.after, k.top, k.live.t.json);
	err = live_begin(&k.live);
	while (!err && more) {
		more = tracing_wait(&k.live.t);
		err = report(&k, !more);
	}
	return live_end(&k.live, err);
}
