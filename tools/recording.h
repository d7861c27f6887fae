/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A recording in the making: record.c runs the program, recording.c has the
 * spool and judges it, recording_files.c writes what is kept.
 */
#ifndef _KPY_RECORDING_H
#define _KPY_RECORDING_H

#include <stdbool.h>
#include <stddef.h>

#include "record/spool.h"

struct recording {
	const char *path;		/* of the trace */
	char **command;
	bool verbose;
	int stream;			/* the spool's two files */
	int states;
	struct spool_head *head;
};

struct state;

struct moment {
	struct spool_state spool;
	const char *text;
	const char *losses;
};

/* What the spool has come to. */
struct result {
	const struct recording *rec;
	const unsigned char *stream;
	struct moment *moments;
	size_t nr;
	const struct moment *end;
	char *losses;			/* of all arenas up to the end */
};

int recording_begin(struct recording *rec);
int recording_end(const struct recording *rec);
void moment_state(const struct moment *moment, struct state *state);
int recording_write(const struct result *res);

#endif
