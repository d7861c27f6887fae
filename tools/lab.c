// SPDX-License-Identifier: GPL-2.0
/*
 * One trace in kpylab: a heap for it, the trace streamed in, the backend set,
 * runs up to the ops asked for, states read in between; and at the end, on an
 * error and on ^C as well, no trace and no heap left behind.
 *
 * A run is cut into slices of a fifth of a second, so that the bar moves and a
 * signal is seen soon; the kernel keeps its place between two of them.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kpy.h"

#define LAB		"kpylab/replay/"
#define SLICE_FIRST	(1 << 16)	/* ops */
#define SLICE_LEAST	(1 << 14)
#define SLICE_SHORT	0.1		/* seconds; a shorter one is doubled, */
#define SLICE_LONG	0.3		/* a longer one halved */

/* Why kpylab did not take what was written to @file: its own words if it left any. */
static int refused(struct lab *lab, const char *file, int err)
{
	char *reason = NULL;

	progress_clear(&lab->bar);
	if (signals_caught())
		return signals_interrupted();
	if (!debugfs_read(LAB "error", &reason))
		reason[strcspn(reason, "\n")] = '\0';
	if (reason && *reason)
		err = trouble("%s: kpylab: %s", lab->trace, reason);
	else
		err = debugfs_trouble(file, err);
	free(reason);
	return err;
}

static int control(struct lab *lab, const char *command)
{
	int err = debugfs_write(LAB "control", command);

	return err ? refused(lab, LAB "control", err) : 0;
}

static int stream(struct lab *lab, struct trace *trace, int fd)
{
	const void *chunk;
	u64 done = 0;
	size_t len;
	int err;

	for (;;) {
		err = trace_next(trace, &chunk, &len);
		if (err || !len)
			return err;
		if (!done && len >= TRACE_HEADER)
			progress_start(&lab->bar, "load", "B", trace_size(chunk));
		err = debugfs_put(fd, chunk, len);
		if (err)
			return refused(lab, LAB "load", err);
		err = signals_interrupted();
		if (err)
			return err;
		done += len;
		progress_move(&lab->bar, done);
	}
}

static int load(struct lab *lab, struct trace *trace)
{
	int fd = debugfs_open(LAB "load", O_WRONLY);
	int err;

	if (fd < 0)
		return refused(lab, LAB "load", fd);
	lab->loaded = true;
	err = stream(lab, trace, fd);
	debugfs_close(fd);
	progress_clear(&lab->bar);
	return err;
}

static int make_heap(struct lab *lab)
{
	char *text;
	int err;

	if (lab->kmalloc)
		return 0;
	if (lab->heap) {
		err = heap_read(lab->heap, "geometry", &text);
		if (!err)
			free(text);
		return err;
	}
	text = format("replay-%d", getpid());
	err = heap_create(text, &lab->geometry);
	if (err)
		free(text);
	else
		lab->own_heap = text;
	return err;
}

/* The heap that runs the trace, NULL for the kernel's allocator. */
const char *lab_heap(const struct lab *lab)
{
	return lab->own_heap ? lab->own_heap : lab->heap;
}

static int set_up(struct lab *lab)
{
	char *backend = lab->kmalloc ? format("backend kmalloc") :
				     format("backend kpymalloc:%s", lab_heap(lab));
	int err = control(lab, backend);

	free(backend);
	return err ? err : control(lab, lab->fill ? "fill on" : "fill off");
}

int lab_status(char **text)
{
	int err = debugfs_read(LAB "status", text);

	return err ? debugfs_trouble(LAB "status", err) : 0;
}

/* A trace that ended too early is found out by running it. */
static int check_ready(struct lab *lab, const char *status)
{
	char *state = key_text(status, "state");
	bool ready = state && !strcmp(state, "ready");
	int err = ready ? 0 : control(lab, "run");

	if (!ready && !err)
		err = trouble("%s: kpylab says '%s' instead of 'ready'", lab->trace,
			      state ? state : "");
	free(state);
	return err;
}

static int find_end(struct lab *lab)
{
	char *status;
	int err = lab_status(&status);

	if (err)
		return err;
	err = check_ready(lab, status);
	if (!err && !key_u64(status, "ops_total", &lab->ops_total))
		err = trouble("kpylab's status has no ops_total");
	free(status);
	lab->ops_end = lab->until == ~0ULL ? lab->ops_total : lab->until;
	if (!err && lab->ops_end > lab->ops_total)
		err = trouble("%s: there is no op %llu, the trace has %llu", lab->trace,
			      lab->ops_end, lab->ops_total);
	return err;
}

int lab_begin(struct lab *lab)
{
	struct trace *trace;
	int err = trace_open(lab->trace, &trace);

	if (err)
		return err;
	signals_catch(SIGPIPE);
	err = make_heap(lab);
	if (!err)
		err = load(lab, trace);
	trace_close(trace);
	if (!err)
		err = set_up(lab);
	if (!err)
		err = find_end(lab);
	if (err)
		return err;
	lab->slice = SLICE_FIRST;
	progress_start(&lab->bar, "replay", "ops", lab->ops_end);
	return 0;
}

static int run_slice(struct lab *lab, u64 target)
{
	bool whole = target - lab->ops_done >= lab->slice;
	double start = now(), took;
	char command[40];
	int err;

	if (whole)
		target = lab->ops_done + lab->slice;
	snprintf(command, sizeof(command), "run %llu", target);
	err = control(lab, command);
	if (err)
		return err;
	lab->ops_done = target;

	took = now() - start;
	if (whole && took < SLICE_SHORT)
		lab->slice *= 2;
	else if (took > SLICE_LONG && lab->slice > SLICE_LEAST)
		lab->slice /= 2;
	progress_move(&lab->bar, lab->ops_done);
	return signals_interrupted();
}

/* Runs the trace until @ops ops are done in all. */
int lab_run(struct lab *lab, u64 ops)
{
	int err = 0;

	while (!err && lab->ops_done < ops)
		err = run_slice(lab, ops);
	return err;
}

static int add_heap_state(const char *heap, struct state *state)
{
	char *stats, *counters;
	int err = heap_read(heap, "stats", &stats);

	if (err)
		return err;
	state_add_stats(state, stats);
	free(stats);
	err = heap_read(heap, "counters", &counters);
	if (err)
		return err;
	state_add_keys(state, counters);
	free(counters);
	return 0;
}

int lab_state(const struct lab *lab, struct state *state)
{
	char *status;
	int err = 0;

	memset(state, 0, sizeof(*state));
	if (!lab->kmalloc)
		err = add_heap_state(lab_heap(lab), state);
	if (!err)
		err = lab_status(&status);
	if (err)
		return err;
	state_add_keys(state, status);
	free(status);
	return 0;
}

/* Leaves nothing behind; gives @err, or what went wrong here if that was 0. */
int lab_end(struct lab *lab, int err)
{
	int failed = 0;

	progress_clear(&lab->bar);
	if (lab->loaded)
		debugfs_write(LAB "control", "drop");
	if (lab->own_heap)
		failed = heap_destroy(lab->own_heap);
	free(lab->own_heap);
	lab->own_heap = NULL;
	signals_release();
	if (!err)
		err = signals_interrupted();
	return err ? err : failed;
}

static const struct argp_option options[] = {
	{ "heap", 'H', "HEAP", 0, "Replay in this heap; default: a new one, destroyed at the end",
	  0 },
	{ "fill", 'f', NULL, 0, "Fill the blocks and look for overlaps when they are freed", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct lab *lab = state->input;
	bool geometry;

	switch (key) {
	case ARGP_KEY_INIT:
		lab->until = ~0ULL;
		state->child_inputs[0] = &lab->geometry;
		return 0;
	case 'H':
		lab->heap = arg;
		return 0;
	case 'f':
		lab->fill = true;
		return 0;
	case ARGP_KEY_ARG:
		if (lab->trace)
			return ARGP_ERR_UNKNOWN;
		lab->trace = arg;
		return 0;
	case ARGP_KEY_END:
		geometry = lab->geometry.preset || lab->geometry.list;
		if (!lab->trace)
			argp_error(state, "which trace?");
		if (lab->heap && geometry)
			argp_error(state, "--heap has its geometry already");
		if (lab->kmalloc && (lab->heap || geometry))
			argp_error(state, "--backend kmalloc takes no heap and no geometry");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = { { .argp = &geometry_argp }, { 0 } };
const struct argp lab_argp = { .options = options, .parser = parse, .children = children };
