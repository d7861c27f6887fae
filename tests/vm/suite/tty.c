// SPDX-License-Identifier: GPL-2.0
/*
 * tty ^C|close FILE COMMAND...: runs COMMAND on a terminal of its own, shows what
 * it prints there, and when FILE is there types ^C or closes the terminal.
 * Exits as COMMAND does, 128 + N if signal N killed it, with 99 if nothing did.
 */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE	30	/* seconds */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void start(char **command)
{
	/* A shell's background jobs ignore these. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(*command, command);
	perror(*command);
	_exit(127);
}

/* Until @file is there, or nobody has the terminal open any more. */
static void show(int master, const char *file)
{
	struct pollfd p = { .fd = master, .events = POLLIN };
	char buf[4096];
	ssize_t len;

	while (access(file, F_OK)) {
		if (poll(&p, 1, 50) <= 0)
			continue;
		len = read(master, buf, sizeof(buf));
		if (len <= 0 || write(STDOUT_FILENO, buf, len) < 0)
			return;
	}
}

static int status_of(pid_t pid)
{
	double until = now() + PATIENCE;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now() > until) {
			kill(pid, SIGKILL);
			return 99;
		}
		usleep(20000);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int master;
	pid_t pid;

	if (argc < 4)
		return 2;
	pid = forkpty(&master, NULL, NULL, NULL);
	if (pid < 0) {
		perror("forkpty");
		return 2;
	}
	if (!pid)
		start(argv + 3);
	show(master, argv[2]);
	if (!strcmp(argv[1], "^C") && write(master, "\003", 1) == 1)
		show(master, "");
	close(master);
	return status_of(pid);
}
