// SPDX-License-Identifier: GPL-2.0
/* kpy: the table of commands, their help, and the way into each. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kpy.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "record",  cmd_record,  "record what a Python program asks of its allocator" },
	{ "replay",  cmd_replay,  "run a recorded trace inside the kernel" },
	{ "compare", cmd_compare, "replay a trace and set CPython's numbers beside the kernel's" },
	{ "stat",    cmd_stat,    "show how full the heaps are" },
	{ "heap",    cmd_heap,    "create, destroy, list or validate heaps" },
#ifndef KPY_NO_BPF
	{ "check",   cmd_check,   "prove that BPF counts what the module counts" },
	{ "trace",   cmd_trace,   "print allocations and frees, or steps of pools and arenas, live" },
	{ "hist",    cmd_hist,    "show distributions of sizes, waste, latencies, lifetimes" },
	{ "rate",    cmd_rate,    "show who allocates and frees how much a second" },
	{ "leak",    cmd_leak,    "show what was allocated and not freed, by stack" },
	{ "pin",     cmd_pin,     "show who keeps arenas from being given back" },
	{ "flame",   cmd_flame,   "draw who allocates, as a flame graph" },
	{ "where",   cmd_where,   "say which heap, pool and block an address lies in" },
	{ "attach",  cmd_attach,  "leave a BPF program at work, pinned for bpftool" },
	{ "detach",  cmd_detach,  "end what kpy attach began" },
#endif
};

static const char doc[] =
	"Work with kpymalloc, CPython's small-object allocator in the kernel.\v"
	"kpy help COMMAND tells more. Exit status: 0 for yes, 1 for no (not equal, not valid), "
	"2 for trouble.\n\n"
	"EXAMPLES\n"
	"  kpy record -o hello.trace.zst -- python3 -c 'print(\"hello\")'\n"
	"  kpy compare hello.trace.zst\n"
	"  kpy stat\n";

const char *argp_program_version = "kpy " KPY_VERSION;

struct invocation {
	const struct command *command;
	bool help;
	int first;			/* index of the command's name in argv */
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct invocation *inv = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!inv->help && !strcmp(arg, "help")) {
			inv->help = true;
			if (state->next == state->argc)
				argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
			return 0;
		}
		inv->command = find_command(arg);
		if (!inv->command)
			argp_error(state, "there is no command '%s'", arg);
		inv->first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!inv->command)
			argp_usage(state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* The list of commands, in front of the text behind \v. */
static char *help_filter(int key, const char *text, void *input)
{
	char *help = (char *)text;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return help;
	help = format("\n%s", text);
	for (size_t i = ARRAY_SIZE(commands); i--; ) {
		char *longer = format("  %-10s %s\n%s", commands[i].name, commands[i].help, help);

		free(help);
		help = longer;
	}
	text = help;
	help = format("COMMANDS\n%s", text);
	free((char *)text);
	return help;
}

static int run(const struct invocation *inv, int argc, char **argv)
{
	char *name = format("kpy %s", inv->command->name);
	char *help[] = { name, "--help", NULL };
	int status;

	if (inv->help)
		return inv->command->run(2, help);
	argv[inv->first] = name;
	status = inv->command->run(argc - inv->first, argv + inv->first);
	free(name);
	return status;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		NULL, parse, "COMMAND [ARG...]\nhelp COMMAND", doc, NULL, help_filter, NULL
	};
	struct invocation inv = { 0 };
	int status;

	argp_err_exit_status = KPY_TROUBLE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &inv);
	status = run(&inv, argc, argv);
	if (fflush(stdout) && !status)
		return trouble("cannot write the output: %s", strerror(errno));
	if (ferror(stdout) && !status)
		return trouble("cannot write the output");	/* errno is from later */
	return status;
}
