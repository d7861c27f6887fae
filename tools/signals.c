// SPDX-License-Identifier: GPL-2.0
/* The signals by which a user ends kpy, noted so that it can end in order. */
#include <signal.h>

#include "kpy.h"

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void catch_signal(int sig)
{
	struct sigaction act = { .sa_handler = on_signal }, old;

	/* Without SA_RESTART: a call into the kernel is to return. */
	sigaction(sig, NULL, &old);
	if (old.sa_handler != SIG_IGN)
		sigaction(sig, &act, NULL);
}

static const int usual[] = { SIGINT, SIGTERM, SIGHUP };

void signals_catch(int also)
{
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		catch_signal(usual[i]);
	if (also)
		catch_signal(also);
}

void signals_release(void)
{
	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction act;

		if (!sigaction(sig, NULL, &act) && act.sa_handler == on_signal)
			signal(sig, SIG_DFL);
	}
}

int signals_caught(void)
{
	return caught;
}

int signals_interrupted(void)
{
	if (!caught)
		return 0;
	if (caught != SIGPIPE)
		trouble("interrupted");
	return KPY_SIGNAL + caught;
}
