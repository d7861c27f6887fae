// SPDX-License-Identifier: GPL-2.0
/* What the tracing commands share, see tracing.h. */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tracing.h"

#define NAP		0.02	/* seconds between two looks at the command and the clock */
#define HEAP_LOOK	0.5	/* seconds between two looks at the heap */

enum {
	OPT_PIN = 0x100,
};

static const struct argp_option options[] = {
	{ "interval", 'i', "SEC", 0, "Report each SEC seconds, COUNT times if that is given", 0 },
	{ "heap", 'H', "HEAP", 0, "Only this heap (all heaps)", 0 },
	{ "duration", 'd', "SEC", 0, "End after SEC seconds", 0 },
	{ "json", 'j', NULL, 0, "Print JSON, one object a line", 0 },
	{ "timestamp", 'T', NULL, 0, "Print the time of day", 0 },
	{ "pin", OPT_PIN, "DIR", 0, "Pin programs and maps in DIR, a new folder in a bpf file system; "
	  "they stay there until `kpy detach DIR'", 0 },
	{ "verbose", 'v', NULL, 0, "Print what libbpf says", 0 },
	{ 0 }
};

static const struct argp_option filter_options[] = {
	{ "min-size", 'z', "BYTES", 0, "Only requests of at least BYTES", 0 },
	{ "max-size", 'Z', "BYTES", 0, "Only requests of at most BYTES", 0 },
	{ "class", 'C', "CLASS", 0, "Only blocks of this size class, as `kpy stat' numbers them", 0 },
	{ "pid", 'p', "PID", 0, "Only what this process does", 0 },
	{ "name", 'n', "COMM", 0, "Only what tasks of this name do", 0 },
	{ 0 }
};

static double seconds(struct argp_state *state, const char *arg)
{
	char *end;
	double value = strtod(arg, &end);

	if (end == arg || *end || !(value > 0 && value < 1e9))
		argp_error(state, "'%s' is no number of seconds", arg);
	return value;
}

/* The value of an option, 0 too. */
u64 tracing_number(struct argp_state *state, const char *arg, u64 max)
{
	u64 value;
	char *end;

	if (!parse_u64(arg, &end, &value) || *end || value > max)
		argp_error(state, "'%s' is no number, or too large", arg);
	return value;
}

/* The value of an option that counts something. */
u64 tracing_positive(struct argp_state *state, const char *arg, u64 max)
{
	u64 value;
	char *end;

	if (!parse_u64(arg, &end, &value) || *end || !value || value > max)
		argp_error(state, "'%s' is no number from 1 to %llu", arg, max);
	return value;
}

/* [COUNT] [COMMAND...]: nobody's command is a number */
static void positional(struct tracing *t, struct argp_state *state, const char *arg)
{
	char *end;

	if (!t->count && parse_u64(arg, &end, &t->count) && !*end) {
		if (!t->count)
			argp_error(state, "COUNT is at least 1");
		return;
	}
	t->command = &state->argv[state->next - 1];
	state->next = state->argc;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct tracing *t = state->input;

	switch (key) {
	case 'H':
		t->heap = arg;
		return 0;
	case 'i':
		t->interval = seconds(state, arg);
		return 0;
	case 'd':
		t->duration = seconds(state, arg);
		return 0;
	case 'j':
		t->json = true;
		return 0;
	case 'T':
		t->timestamp = true;
		return 0;
	case OPT_PIN:
		t->pin = arg;
		return 0;
	case 'v':
		objects_verbose(true);
		return 0;
	case ARGP_KEY_ARG:
		positional(t, state, arg);
		return 0;
	case ARGP_KEY_END:
		if (t->count && !t->interval)
			argp_error(state, "COUNT goes with -i");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t parse_filter(int key, char *arg, struct argp_state *state)
{
	struct tracing *t = state->input;
	struct kpy_filter *f = t ? &t->filter : NULL;

	switch (key) {
	case 'z':
		f->min_size = tracing_number(state, arg, ~0ULL);
		return 0;
	case 'Z':
		f->max_size = tracing_number(state, arg, ~0ULL);
		return 0;
	case 'C':
		f->szidx = tracing_number(state, arg, KPY_CLASSES - 1);
		return 0;
	case 'p':
		f->pid = tracing_number(state, arg, ~0U - 1);
		return 0;
	case 'n':
		if (strlen(arg) >= sizeof(f->comm))
			argp_error(state, "a task's name has at most %zu characters",
				   sizeof(f->comm) - 1);
		f->by_comm = true;
		memcpy(f->comm, arg, strlen(arg));
		return 0;
	case ARGP_KEY_END:
		if (f->min_size > f->max_size)
			argp_error(state, "no size is at least %llu and at most %llu",
				   f->min_size, f->max_size);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp tracing_argp = { options, parse, NULL, NULL, NULL, NULL, NULL };
const struct argp stream_argp = { options + 1, parse, NULL, NULL, NULL, NULL, NULL };
const struct argp filter_argp = { filter_options, parse_filter, NULL, NULL, NULL, NULL, NULL };

static int set_heap(struct tracing *t)
{
	u64 id;
	int err;

	if (!t->heap)
		return 0;
	err = heap_id(t->heap, &id);
	if (err)
		return heap_trouble(t->heap, err);
	t->filter.heap = id;
	return 0;
}

/* Whether there is anything to trace, and by whom; sets the filter's heap. */
int tracing_prepare(struct tracing *t)
{
	int err = objects_possible();

	return err ? err : set_heap(t);
}

int tracing_load(struct tracing *t, struct bpf_object_skeleton *skel)
{
	int err;

	t->obj = *skel->obj;
	err = bpf_object__load_skeleton(skel);
	if (err)
		return object_refused("cannot load the programs", err);
	return t->pin ? object_pin(t->obj, t->pin) : 0;
}

int tracing_attach(struct tracing *t)
{
	signals_catch(0);
	return object_attach(t->obj, &t->links);
}

static int start_command(struct tracing *t)
{
	t->child = fork();
	if (t->child < 0)
		return trouble("%s: %s", *t->command, strerror(errno));
	if (!t->child) {
		execvp(*t->command, t->command);
		_exit(trouble("%s: %s", *t->command, strerror(errno)));
	}
	return 0;
}

int tracing_run(struct tracing *t)
{
	fprintf(stderr, "tracing kpymalloc by %s, %zu programs%s\n", objects_way(), t->links.nr,
		t->command || t->duration || t->count ? "" : "; ^C ends");
	t->started = now();
	t->looked = t->started;
	t->next = t->started + t->interval;
	return t->command ? start_command(t) : 0;
}

static bool command_ended(struct tracing *t)
{
	if (!t->child || waitpid(t->child, &t->child_status, WNOHANG) != t->child)
		return false;
	t->child = 0;
	return true;
}

static bool heap_gone(struct tracing *t)
{
	u64 id;

	if (!t->heap || now() < t->looked + HEAP_LOOK)
		return false;
	t->looked = now();
	if (!heap_id(t->heap, &id) && id == t->filter.heap)
		return false;
	trouble("%s: the heap is gone", t->heap);
	return true;
}

/* The user, the command, the clock or the heap has ended it. */
bool tracing_over(struct tracing *t)
{
	if (!t->over)
		t->over = signals_caught() || command_ended(t) || heap_gone(t) ||
			  (t->duration && now() >= t->started + t->duration);
	return t->over;
}

static void nap(void)
{
	struct timespec t = { .tv_nsec = NAP * 1e9 };

	nanosleep(&t, NULL);
}

bool tracing_wait(struct tracing *t)
{
	while (!tracing_over(t) && !(t->interval && now() >= t->next))
		nap();
	t->next += t->interval;
	return ++t->reports != t->count && !t->over;
}

void tracing_detach(struct tracing *t)
{
	links_destroy(&t->links);
}

/* How the command ended, as a shell would say it. */
static int command_status(struct tracing *t)
{
	while (t->child && waitpid(t->child, &t->child_status, 0) < 0 && errno == EINTR)
		;
	t->child = 0;
	return WIFSIGNALED(t->child_status) ? KPY_SIGNAL + WTERMSIG(t->child_status) :
					      WEXITSTATUS(t->child_status);
}

/* Gives what kpy is to exit with: its own status, else the command's. */
int tracing_end(struct tracing *t, int err)
{
	int status = 0;

	tracing_detach(t);
	if (t->command && t->started)
		status = command_status(t);
	signals_release();
	return err ? err : status;
}

/* Events that the kernel did not hand to a program, because it was at work already. */
u64 tracing_missed(const struct tracing *t)
{
	struct bpf_program *prog;
	u64 missed = 0;

	bpf_object__for_each_program(prog, t->obj) {
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (!strncmp(bpf_program__section_name(prog), "tp_btf/", 7) &&
		    bpf_program__fd(prog) >= 0 &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			missed += info.recursion_misses;
	}
	return missed;
}

const char *tracing_clock(char buf[16])
{
	time_t t = time(NULL);

	strftime(buf, 16, "%H:%M:%S", localtime(&t));
	return buf;
}

void tracing_json(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
	json_object_put(obj);
}
