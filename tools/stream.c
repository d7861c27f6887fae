// SPDX-License-Identifier: GPL-2.0
/*
 * kpy trace: a line for each event, as strace has one for each call.  Records
 * come through a ring buffer (bpf/stream.bpf.c); what does not fit is counted,
 * and what was seen is, in the end, either printed or said to be dropped.
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "out.h"
#include "tracing.h"
#include "stacks.h"
#include "stream.h"
#include "usable.h"
#include "../bpf/calls.h"
#include "stream.skel.h"

#define LOOK_MS		50	/* how long a record may lie there if kpy is not woken */
#define BATCH		65536	/* records between two looks at the clock and the user */
#define SAY_DROPPED	1.0	/* seconds between two words on what is lost */
#define BUFFER_MAX	1024	/* MB */

struct streamer {
	struct tracing t;
	struct stream_lines lines;
	struct stream_bpf *skel;
	struct ring_buffer *ring;
	unsigned int nr_cpus;
	bool stacks;
	bool no_latency;
	u64 buffer;			/* MB */
	u64 limit;			/* events, 0: none */
	u64 printed;
	u64 batch;
	u64 said;			/* dropped, as of the last word on it */
	double said_at;
};

static const char doc[] =
	"Print what kpymalloc does, as it happens: allocations and frees, or the steps of its pools "
	"or arenas. A line tells the size asked for and its class, where the block lies, and how "
	"long the call took, our own programs included; it comes when the call is over. Of a "
	"realloc that moves, the allocation and the free have lines too. Events that the buffer "
	"could not hold are counted and reported.\v"
	"OPs are alloc, free, realloc, large (served by the general allocator), fallback (likewise, "
	"for want of an arena) and lfree. The list behind `usable:' is the heap's, the next arena to "
	"serve first, each with its free pools, the one that moved in brackets; `?' if it is not "
	"known. Large blocks and reallocs have no class for -C.\n\n"
	"EXAMPLES\n"
	"  kpy trace -H web                     one heap, until ^C\n"
	"  kpy trace -k -z 256 -N 10            who asks for 256 bytes or more: ten stacks\n"
	"  kpy trace --arenas -- kpy replay x.trace\n"
	"  kpy trace -jL -d 1 > events.json     cheaper, a second of it\n";

enum {
	OPT_POOLS = 0x200,
	OPT_ARENAS,
};

static const struct argp_option options[] = {
	{ "stacks", 'k', NULL, 0, "Print the kernel stack of each event", 0 },
	{ "no-latency", 'L', NULL, 0, "Do not time the calls: cheaper, and in the order of events", 0 },
	{ "pools", OPT_POOLS, NULL, 0, "Print how pools become empty, used and full", 0 },
	{ "arenas", OPT_ARENAS, NULL, 0,
	  "Print how arenas come, go, and move in the list of usable ones; filters but -H are not "
	  "for this", 0 },
	{ "buffer", 'b', "MB", 0, "Size of the buffer (8)", 0 },
	{ "events", 'N', "COUNT", 0, "End after that many events", 0 },
	{ 0 }
};

static int on_record(void *ctx, void *data, size_t size)
{
	const struct stream_event *e = data;
	struct streamer *s = ctx;

	(void)size;
	stream_line(&s->lines, e);
	s->printed += e->op != STREAM_ARENAS_READ;
	return ++s->batch < BATCH ? 0 : -EAGAIN;
}

/* Of each CPU, and their sum behind them. */
static void read_counts(struct streamer *s, struct stream_counts *counts)
{
	struct stream_counts *sum = &counts[s->nr_cpus];
	__u32 zero = 0;

	memset(counts, 0, (s->nr_cpus + 1) * sizeof(*counts));
	bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counts), &zero, counts);
	for (unsigned int cpu = 0; cpu < s->nr_cpus; cpu++) {
		sum->seen += counts[cpu].seen;
		sum->dropped += counts[cpu].dropped;
	}
}

static bool limit_reached(struct streamer *s)
{
	return s->limit && s->skel->bss->taken >= s->limit;
}

static void say_dropped(struct streamer *s)
{
	u64 lost = s->skel->bss->lost;

	if (lost == s->said || now() < s->said_at + SAY_DROPPED)
		return;
	fprintf(stderr, "%llu events dropped so far\n", lost);
	s->said = lost;
	s->said_at = now();
}

/* All that is there, but for a look around now and then; true: that was all. */
static bool drain(struct streamer *s)
{
	s->batch = 0;
	return ring_buffer__consume(s->ring) != -EAGAIN;
}

static void follow(struct streamer *s)
{
	bool drained = true;

	while (!tracing_over(&s->t) && !limit_reached(s) && !out_error()) {
		s->batch = 0;
		if (drained)
			ring_buffer__poll(s->ring, LOOK_MS);
		drained = drain(s);
		out_flush();
		say_dropped(s);
		usable_reread(drained);
	}
}

/* Records that wait for the end of a call that we do not see any more. */
static void print_pending(struct streamer *s)
{
	int fd = bpf_map__fd(s->skel->maps.calls);
	__u64 task, *last = NULL;
	struct calls calls;

	while (!bpf_map_get_next_key(fd, last, &task)) {
		last = &task;
		if (bpf_map_lookup_elem(fd, &task, &calls))
			continue;
		for (__u64 i = 0; i < calls.depth && i < CALL_DEPTH; i++)
			if (calls.call[i].data.pending)
				on_record(s, &calls.call[i].data.event, 0);
	}
}

/* Programs that are at work when they are detached come to their end meanwhile. */
static void stop(struct streamer *s)
{
	tracing_detach(&s->t);
	syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	while (!drain(s) && !out_error())
		;
	if (!s->no_latency)
		print_pending(s);
	out_flush();
}

static void json_totals(const struct streamer *s, const struct stream_counts *counts, u64 dropped)
{
	out_text("{\"events\":");
	out_u64(s->printed, 0);
	out_text(",\"dropped\":");
	out_u64(dropped, 0);
	out_text(",\"dropped_by_cpu\":[");
	for (unsigned int cpu = 0; cpu < s->nr_cpus; cpu++) {
		if (cpu)
			out_char(',');
		out_u64(counts[cpu].dropped, 0);
	}
	out_text("]}\n");
	out_flush();
}

static void report_cpus(const struct streamer *s, const struct stream_counts *counts)
{
	const char *before = " (";

	for (unsigned int cpu = 0; cpu < s->nr_cpus; cpu++) {
		if (!counts[cpu].dropped)
			continue;
		fprintf(stderr, "%s%llu on CPU %u", before, counts[cpu].dropped, cpu);
		before = ", ";
	}
	fputc(')', stderr);
}

/* What was seen and not printed was dropped, wherever that was. */
static void report(struct streamer *s)
{
	struct stream_counts counts[s->nr_cpus + 1];
	u64 dropped, missed = tracing_missed(&s->t);

	read_counts(s, counts);
	dropped = counts[s->nr_cpus].seen - s->printed;
	if (s->lines.json)
		json_totals(s, counts, dropped);
	fprintf(stderr, "%llu events, %llu dropped", s->printed, dropped);
	if (counts[s->nr_cpus].dropped)
		report_cpus(s, counts);
	if (missed)
		fprintf(stderr, ", %llu not seen", missed);
	if (s->skel->bss->stacks_lost)
		fprintf(stderr, ", %llu stacks not had", s->skel->bss->stacks_lost);
	fputc('\n', stderr);
}

/* A reader that went is no trouble. */
static int output_status(void)
{
	int err = out_error();

	return err && err != EPIPE ? trouble("cannot write the output: %s", strerror(err)) : 0;
}

static int stream(struct streamer *s)
{
	int err = tracing_load(&s->t, s->skel->skeleton);

	if (err)
		return err;
	s->ring = ring_buffer__new(bpf_map__fd(s->skel->maps.ring), on_record, s, NULL);
	if (!s->ring)
		return object_refused("cannot read the ring buffer", -errno);
	if (s->stacks)
		s->lines.stacks = stacks_new(bpf_map__fd(s->skel->maps.stacks));
	stream_lines_begin(&s->lines);
	ksyms_load();
	err = tracing_attach(&s->t);
	if (!err && s->lines.mode == STREAM_ARENAS)
		err = usable_begin(s->t.heap);
	if (!err)
		err = tracing_run(&s->t);
	if (!err) {
		follow(s);
		stop(s);
		report(s);
		err = output_status();
	}
	return tracing_end(&s->t, err);
}

/* Which programs each mode needs; those that time calls are named after their ends. */
static bool is_needed(const struct streamer *s, const char *name)
{
	bool times = !strncmp(name, "begin_of_", 9) || !strncmp(name, "end_of_", 7);
	bool pools = !strcmp(name, "on_pool_state");
	bool arenas = !strncmp(name, "on_arena_", 9) || !strcmp(name, "on_snapshot");

	if (s->lines.mode == STREAM_POOLS)
		return pools;
	if (s->lines.mode == STREAM_ARENAS)
		return arenas;
	return times ? !s->no_latency : !pools && !arenas;
}

static void set_up(struct streamer *s)
{
	struct stream_bpf *skel = s->skel;
	struct bpf_program *prog;

	skel->rodata->filter = s->t.filter;
	skel->rodata->with_stacks = s->stacks;
	skel->rodata->with_latency = !s->no_latency;
	skel->rodata->reader = getpid();
	skel->rodata->limit = s->limit;
	bpf_map__set_max_entries(skel->maps.ring, s->buffer << 20);
	bpf_map__set_autocreate(skel->maps.stacks, s->stacks);
	bpf_map__set_autocreate(skel->maps.walked, s->stacks);
	bpf_map__set_autocreate(skel->maps.calls, !s->no_latency);
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, is_needed(s, bpf_program__name(prog)));
}

static void check(struct streamer *s, struct argp_state *state)
{
	const struct kpy_filter *f = &s->t.filter;
	bool sizes = f->min_size || f->max_size != ~0ULL;

	if (s->lines.mode == STREAM_POOLS && sizes)
		argp_error(state, "--pools takes no sizes");
	if (s->lines.mode == STREAM_ARENAS &&
	    (sizes || f->by_comm || f->pid != KPY_ANY || f->szidx != KPY_ANY))
		argp_error(state, "--arenas takes no filter but -H: the list is made of all events");
	if (s->lines.mode != STREAM_BLOCKS)
		s->no_latency = true;
}

static void set_mode(struct streamer *s, struct argp_state *state, enum stream_mode mode)
{
	if (s->lines.mode != STREAM_BLOCKS && s->lines.mode != mode)
		argp_error(state, "--pools or --arenas, not both");
	s->lines.mode = mode;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct streamer *s = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &s->t;
		state->child_inputs[1] = &s->t;
		return 0;
	case 'k':
		s->stacks = true;
		return 0;
	case 'L':
		s->no_latency = true;
		return 0;
	case OPT_POOLS:
		set_mode(s, state, STREAM_POOLS);
		return 0;
	case OPT_ARENAS:
		set_mode(s, state, STREAM_ARENAS);
		return 0;
	case 'b':
		s->buffer = tracing_positive(state, arg, BUFFER_MAX);
		return 0;
	case 'N':
		s->limit = tracing_positive(state, arg, ~0ULL);
		return 0;
	case ARGP_KEY_END:
		check(s, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int cmd_trace(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ .argp = &stream_argp }, { .argp = &filter_argp }, { 0 }
	};
	static const struct argp argp = {
		options, parse, "[COMMAND...]", doc, children, NULL, NULL
	};
	struct streamer s = { .t = TRACING_INIT(), .buffer = 8 };
	int err;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &s);
	s.lines.json = s.t.json;
	s.lines.timestamp = s.t.timestamp;
	err = tracing_prepare(&s.t);
	if (err)
		return err;
	s.skel = stream_bpf__open();
	if (!s.skel)
		return trouble("cannot open the programs: %s", strerror(errno));
	s.nr_cpus = libbpf_num_possible_cpus();
	set_up(&s);
	err = stream(&s);
	stacks_free(s.lines.stacks);
	usable_end();
	ring_buffer__free(s.ring);
	stream_bpf__destroy(s.skel);
	return err;
}
