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
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tracing.h"

#define NAP		0.02	/* seconds between two looks at the command and the clock */
#define HEAP_LOOK	0.5	/* seconds between two looks at the heap */

static bool verbose;

enum {
	OPT_PIN = 0x100,
};

static const struct argp_option options[] = {
	{ "heap", 'H', "HEAP", 0, "Only this heap (all heaps)", 0 },
	{ "interval", 'i', "SEC", 0, "Report each SEC seconds, COUNT times if that is given", 0 },
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

static u64 number(struct argp_state *state, const char *arg, u64 max)
{
	u64 value;
	char *end;

	if (!parse_u64(arg, &end, &value) || *end || value > max)
		argp_error(state, "'%s' is no number, or too large", arg);
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
		verbose = true;
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
		f->min_size = number(state, arg, ~0ULL);
		return 0;
	case 'Z':
		f->max_size = number(state, arg, ~0ULL);
		return 0;
	case 'C':
		f->szidx = number(state, arg, KPY_CLASSES - 1);
		return 0;
	case 'p':
		f->pid = number(state, arg, ~0U - 1);
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
const struct argp filter_argp = { filter_options, parse_filter, NULL, NULL, NULL, NULL, NULL };

static int print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	return verbose ? vfprintf(stderr, fmt, args) : 0;
}

static bool module_has_btf(void)
{
	return !access("/sys/kernel/btf/kpymalloc", F_OK);
}

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
	libbpf_set_print(print);
	if (access("/sys/module/kpymalloc", F_OK))
		return trouble("kpymalloc is not loaded, try: insmod kpymalloc.ko");
	if (access("/sys/fs/bpf", F_OK))
		return trouble("this kernel has no BPF");
	return set_heap(t);
}

/* Without the module's BTF a program sees the same arguments, only the way in differs. */
static void fall_back(struct bpf_program *prog)
{
	bool event = !strncmp(bpf_program__section_name(prog), "tp_btf/", 7);

	if (bpf_program__type(prog) != BPF_PROG_TYPE_TRACING)
		return;
	bpf_program__set_type(prog, event ? BPF_PROG_TYPE_RAW_TRACEPOINT : BPF_PROG_TYPE_KPROBE);
	bpf_program__set_expected_attach_type(prog, 0);
}

static struct bpf_link *attach(struct bpf_program *prog)
{
	const char *section = bpf_program__section_name(prog);
	const char *target = strchr(section, '/') + 1;

	switch (bpf_program__type(prog)) {
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
		return bpf_program__attach_raw_tracepoint(prog, target);
	case BPF_PROG_TYPE_KPROBE:
		return bpf_program__attach_kprobe(prog, !strncmp(section, "fexit/", 6), target);
	default:
		return bpf_program__attach(prog);
	}
}

static int refused(const char *what, int err)
{
	if ((err == -EPERM || err == -EACCES) && geteuid())
		return trouble("%s: %s, run kpy as root", what, strerror(-err));
	return trouble("%s: %s%s", what, strerror(-err), verbose ? "" : ", -v tells more");
}

static int pin_all(struct tracing *t)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, t->obj) {
		char *path = format("%s/%s", t->pin, bpf_map__name(map));

		/* bpffs takes no dots */
		for (char *dot = path + strlen(t->pin); (dot = strchr(dot, '.')); )
			*dot = '_';
		if (!err && bpf_map__fd(map) >= 0)
			err = bpf_map__pin(map, path);
		free(path);
	}
	bpf_object__for_each_program(prog, t->obj) {
		char *path = format("%s/%s", t->pin, bpf_program__name(prog));

		if (!err && bpf_program__fd(prog) >= 0)
			err = bpf_program__pin(prog, path);
		free(path);
	}
	return err;
}

static int pin(struct tracing *t)
{
	int err;

	if (mkdir(t->pin, 0700)) {
		if (errno == EEXIST)
			return trouble("%s is there already, try: kpy detach %s", t->pin, t->pin);
		return trouble("%s: %s", t->pin, strerror(errno));
	}
	err = pin_all(t);
	if (!err)
		return 0;
	rmdir(t->pin);
	if (err == -EINVAL || err == -EPERM)
		return trouble("%s is not in a bpf file system such as /sys/fs/bpf", t->pin);
	return refused("cannot pin", err);
}

int tracing_load(struct tracing *t, struct bpf_object_skeleton *skel)
{
	struct bpf_program *prog;
	int err;

	t->obj = *skel->obj;
	if (!module_has_btf())
		bpf_object__for_each_program(prog, t->obj)
			fall_back(prog);
	err = bpf_object__load_skeleton(skel);
	if (err)
		return refused("cannot load the programs", err);
	return t->pin ? pin(t) : 0;
}

int tracing_attach(struct tracing *t)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, t->obj) {
		struct bpf_link *link;

		if (bpf_program__fd(prog) < 0 || bpf_program__type(prog) == BPF_PROG_TYPE_SYSCALL)
			continue;
		if (t->nr_links == TRACING_LINKS)
			return trouble("too many programs");
		link = attach(prog);
		if (!link)
			return refused(bpf_program__section_name(prog), -errno);
		t->links[t->nr_links++] = link;
	}
	fprintf(stderr, "tracing kpymalloc by %s, %zu programs%s\n",
		module_has_btf() ? "tp_btf" : "raw_tp (the module has no BTF)", t->nr_links,
		t->command || t->duration || t->count ? "" : "; ^C ends");
	return 0;
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
	signals_catch(0);
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
	while (t->nr_links)
		bpf_link__destroy(t->links[--t->nr_links]);
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

		if (bpf_program__fd(prog) >= 0 &&
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
