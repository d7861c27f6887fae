// SPDX-License-Identifier: GPL-2.0
/*
 * kpy record: runs a program with the recorder preloaded, and makes a trace
 * of what that leaves.
 *
 * kpy stays as the parent instead of becoming the program: only so a trace
 * can be finished whatever ends the program, SIGKILL included, and nothing of
 * ours but the bare hooks runs inside of it.  The price is that kpy has to
 * pass on what a parent hides: signals sent to it, and the way the program
 * ended.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kpy.h"
#include "recording.h"

enum { NOT_RUNNABLE = 126, NOT_FOUND = 127 };	/* as in a shell */

struct arguments {
	struct recording recording;
	u64 every;
	u64 max_ops;
	bool mmap_arenas;
};

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0,
	  "The trace, zstd-compressed if the name ends in .zst (default python.trace.zst); "
	  "NAME.json and NAME.stats.txt are written beside it", 0 },
	{ "geometry", 'g', "KIND", 0,
	  "Arenas aligned to their size, each with the full number of pools (aligned, the "
	  "default), or wherever CPython's own mmap puts them (mmap)", 0 },
	{ "checkpoint", 'c', "N", 0,
	  "Keep CPython's state after every N operations (default: some 15, evenly spread)", 0 },
	{ "max-ops", 'm', "N", 0, "Stop recording after N operations; the program goes on", 0 },
	{ "verbose", 'v', NULL, 0, "Tell on stderr what was recorded", 0 },
	{ 0 }
};

static const char doc[] =
	"Record every call into the small-object allocator of an unmodified CPython 3.7 to 3.13, "
	"from before the interpreter starts to its end.\v"
	"The program's input, output and exit status are its own. Only the first CPython that COMMAND "
	"starts is recorded, none of its children. The program itself can end the recording:\n"
	"  import ctypes; ctypes.CDLL(None).kpy_record_stop()\n"
	"Exit status: the program's; 127 or 126 if it cannot be found or run; 2 if it did well "
	"but could not be recorded.\n\n"
	"EXAMPLES\n"
	"  kpy record -- python3 -c 'print(\"hello\")'\n"
	"  kpy record -v -o json.trace.zst -- python3 -m json.tool data.json\n"
	"  kpy record --checkpoint 100000 -- python3 prog.py\n";

static u64 parse_count(const char *arg, const char *option, const struct argp_state *state)
{
	char *end;
	u64 n;

	if (!parse_u64(arg, &end, &n) || *end || !n)
		argp_error(state, "--%s: '%s' is no number of operations", option, arg);
	return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case 'o':
		args->recording.path = arg;
		return 0;
	case 'g':
		args->mmap_arenas = !strcmp(arg, "mmap");
		if (!args->mmap_arenas && strcmp(arg, "aligned"))
			argp_error(state, "--geometry: there is aligned and mmap, no '%s'", arg);
		return 0;
	case 'c':
		args->every = parse_count(arg, "checkpoint", state);
		return 0;
	case 'm':
		args->max_ops = parse_count(arg, "max-ops", state);
		return 0;
	case 'v':
		args->recording.verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		args->recording.command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!args->recording.command)
			argp_error(state, "there is no command to record");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static char *beside_kpy(void)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self));

	while (len > 0 && self[len - 1] != '/')
		len--;
	return len > 0 ? format("%.*skpyrecord.so", (int)len, self) : NULL;
}

static int find_library(char library[PATH_MAX])
{
	const char *asked = getenv("KPY_RECORD_LIB");
	char *beside = beside_kpy();
	const char *place = asked ? asked : beside;

	if (!asked && (!place || access(place, R_OK)))
		place = KPY_LIBDIR "/kpyrecord.so";
	if (!realpath(place, library))
		return trouble("%s: %s", place, strerror(errno));
	free(beside);
	if (strpbrk(library, " :"))
		return trouble("%s: a preloaded library's path can have neither blanks nor colons",
			       library);
	return 0;
}

static void set_environment(const struct recording *rec)
{
	const char *library = rec->head->library;
	const char *others = getenv("LD_PRELOAD");
	char *list = format("%s%s%s", library, others ? ":" : "", others ? others : "");
	char *spool = format("%d %d %d", getpid(), rec->stream, rec->states);

	if (setenv("LD_PRELOAD", list, 1) || setenv(SPOOL_ENV, spool, 1))
		exit(trouble("out of memory"));
	free(list);
	free(spool);
}

static volatile pid_t program;

/* A terminal signals the program itself, as it does us; a process means it when it tells us. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (program && info->si_code <= 0)
		kill(program, sig);
}

static void pass_signals_on(void)
{
	static const int sigs[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH };
	const struct sigaction action = {
		.sa_sigaction = pass_on,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	struct sigaction before;

	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		if (!sigaction(sigs[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaction(sigs[i], &action, NULL);
}

/* Runs the program to its end; @status as from wait(). */
static int run(char **command, int *status)
{
	pid_t pid;
	int err;

	pass_signals_on();
	err = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);
	if (err) {
		trouble("%s: %s", command[0], strerror(err));
		return err == ENOENT ? NOT_FOUND : NOT_RUNNABLE;
	}
	program = pid;
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return trouble("lost sight of the program: %s", strerror(errno));
	program = 0;
	return 0;
}

/* Ends as the program did, without a second core dump. */
static int end_alike(int status)
{
	const struct rlimit no_core = { 0, 0 };

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	return KPY_SIGNAL + WTERMSIG(status);
}

int cmd_record(int argc, char **argv)
{
	static const struct argp argp = {
		options, parse, "[--] COMMAND [ARG...]", doc, NULL, NULL, NULL
	};
	struct arguments args = { .recording.path = "python.trace.zst" };
	struct recording *rec = &args.recording;
	int err, status;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args);
	err = recording_begin(rec);
	if (!err)
		err = find_library(rec->head->library);
	if (err)
		return err;
	rec->head->every = args.every;
	rec->head->max_ops = args.max_ops;
	rec->head->mmap_arenas = args.mmap_arenas;
	set_environment(rec);

	err = run(rec->command, &status);
	if (err)
		return err;
	err = recording_end(rec);
	return status ? end_alike(status) : err;
}
