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

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

/* Without SA_RESTART: a run in the kernel is to return. */
static void catch_signals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction act = { .sa_handler = on_signal }, old;

		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
}

static void release_signals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction act;

		sigaction(signals[i], NULL, &act);
		if (act.sa_handler == on_signal)
			signal(signals[i], SIG_DFL);
	}
}

static int interrupted(void)
{
	if (!caught)
		return 0;
	if (caught != SIGPIPE)
		trouble("interrupted");
	return KPY_SIGNAL + caught;
}

/* Why kpylab did not take what was written to @file: its own words if it left any. */
static int refused(struct session *s, const char *file, int err)
{
	char *reason = NULL;

	progress_clear(&s->bar);
	if (caught)
		return interrupted();
	if (!debugfs_read(LAB "error", &reason))
		reason[strcspn(reason, "\n")] = '\0';
	if (reason && *reason)
		err = trouble("%s: kpylab: %s", s->trace, reason);
	else
		err = debugfs_trouble(file, err);
	free(reason);
	return err;
}

static int control(struct session *s, const char *command)
{
	int err = debugfs_write(LAB "control", command);

	return err ? refused(s, LAB "control", err) : 0;
}

static int stream(struct session *s, struct trace *trace, int fd)
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
			progress_start(&s->bar, "load", "B", trace_size(chunk));
		err = debugfs_put(fd, chunk, len);
		if (err)
			return refused(s, LAB "load", err);
		err = interrupted();
		if (err)
			return err;
		done += len;
		progress_move(&s->bar, done);
	}
}

static int load(struct session *s, struct trace *trace)
{
	int fd = debugfs_open(LAB "load", O_WRONLY);
	int err;

	if (fd < 0)
		return refused(s, LAB "load", fd);
	s->loaded = true;
	err = stream(s, trace, fd);
	close(fd);
	progress_clear(&s->bar);
	return err;
}

static int make_heap(struct session *s)
{
	char *text;
	int err;

	if (s->kmalloc)
		return 0;
	if (s->heap) {
		err = heap_read(s->heap, "geometry", &text);
		if (!err)
			free(text);
		return err;
	}
	text = format("replay-%d", getpid());
	err = heap_create(text, &s->geometry);
	if (err)
		free(text);
	else
		s->own_heap = text;
	return err;
}

/* The heap that runs the trace, NULL for the kernel's allocator. */
const char *session_heap(const struct session *s)
{
	return s->own_heap ? s->own_heap : s->heap;
}

static int set_up(struct session *s)
{
	char *backend = s->kmalloc ? format("backend kmalloc") :
				     format("backend kpymalloc:%s", session_heap(s));
	int err = control(s, backend);

	free(backend);
	return err ? err : control(s, s->fill ? "fill on" : "fill off");
}

int session_status(char **text)
{
	int err = debugfs_read(LAB "status", text);

	return err ? debugfs_trouble(LAB "status", err) : 0;
}

/* A trace that ended too early is found out by running it. */
static int check_ready(struct session *s, const char *status)
{
	char *state = key_text(status, "state");
	bool ready = state && !strcmp(state, "ready");
	int err = ready ? 0 : control(s, "run");

	if (!ready && !err)
		err = trouble("%s: kpylab says '%s' instead of 'ready'", s->trace,
			      state ? state : "");
	free(state);
	return err;
}

static int find_end(struct session *s)
{
	char *status;
	int err = session_status(&status);

	if (err)
		return err;
	err = check_ready(s, status);
	if (!err && !key_u64(status, "ops_total", &s->ops_total))
		err = trouble("kpylab's status has no ops_total");
	free(status);
	s->ops_end = s->until == ~0ULL ? s->ops_total : s->until;
	if (!err && s->ops_end > s->ops_total)
		err = trouble("%s: there is no op %llu, the trace has %llu", s->trace, s->ops_end,
			      s->ops_total);
	return err;
}

int session_begin(struct session *s)
{
	struct trace *trace;
	int err = trace_open(s->trace, &trace);

	if (err)
		return err;
	catch_signals();
	err = make_heap(s);
	if (!err)
		err = load(s, trace);
	trace_close(trace);
	if (!err)
		err = set_up(s);
	if (!err)
		err = find_end(s);
	if (err)
		return err;
	s->slice = SLICE_FIRST;
	progress_start(&s->bar, "replay", "ops", s->ops_end);
	return 0;
}

static int run_slice(struct session *s, u64 target)
{
	bool whole = target - s->ops_done >= s->slice;
	double start = now(), took;
	char command[40];
	int err;

	if (whole)
		target = s->ops_done + s->slice;
	snprintf(command, sizeof(command), "run %llu", target);
	err = control(s, command);
	if (err)
		return err;
	s->ops_done = target;

	took = now() - start;
	if (whole && took < SLICE_SHORT)
		s->slice *= 2;
	else if (took > SLICE_LONG && s->slice > SLICE_LEAST)
		s->slice /= 2;
	progress_move(&s->bar, s->ops_done);
	return interrupted();
}

/* Runs the trace until @ops ops are done in all. */
int session_run(struct session *s, u64 ops)
{
	int err = 0;

	while (!err && s->ops_done < ops)
		err = run_slice(s, ops);
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

int session_state(const struct session *s, struct state *state)
{
	char *status;
	int err = 0;

	memset(state, 0, sizeof(*state));
	if (!s->kmalloc)
		err = add_heap_state(session_heap(s), state);
	if (!err)
		err = session_status(&status);
	if (err)
		return err;
	state_add_keys(state, status);
	free(status);
	return 0;
}

/* Leaves nothing behind; gives @err, or what went wrong here if that was 0. */
int session_end(struct session *s, int err)
{
	int failed = 0;

	progress_clear(&s->bar);
	if (s->loaded)
		debugfs_write(LAB "control", "drop");
	if (s->own_heap)
		failed = heap_destroy(s->own_heap);
	free(s->own_heap);
	s->own_heap = NULL;
	release_signals();
	if (!err)
		err = interrupted();
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
	struct session *s = state->input;
	bool geometry;

	switch (key) {
	case ARGP_KEY_INIT:
		s->until = ~0ULL;
		state->child_inputs[0] = &s->geometry;
		return 0;
	case 'H':
		s->heap = arg;
		return 0;
	case 'f':
		s->fill = true;
		return 0;
	case ARGP_KEY_ARG:
		if (s->trace)
			return ARGP_ERR_UNKNOWN;
		s->trace = arg;
		return 0;
	case ARGP_KEY_END:
		geometry = s->geometry.preset || s->geometry.list;
		if (!s->trace)
			argp_error(state, "which trace?");
		if (s->heap && geometry)
			argp_error(state, "--heap has its geometry already");
		if (s->kmalloc && (s->heap || geometry))
			argp_error(state, "--backend kmalloc takes no heap and no geometry");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = { { .argp = &geometry_argp }, { 0 } };
const struct argp session_argp = { .options = options, .parser = parse, .children = children };
