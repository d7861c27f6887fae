/* SPDX-License-Identifier: GPL-2.0 */
/* A recording in the making: record.c runs the program, recording.c has the files. */
#ifndef _KPY_RECORDING_H
#define _KPY_RECORDING_H

#include <stdbool.h>

#include "record/spool.h"

struct recording {
	const char *path;		/* of the trace */
	char **command;
	bool verbose;
	int stream;			/* the spool's two files */
	int states;
	struct spool_head *head;
};

int recording_begin(struct recording *rec);
int recording_end(const struct recording *rec);

#endif
