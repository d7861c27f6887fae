/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the recorder leaves for `kpy record`, in two nameless files that only
 * kpy has open; the program reaches them through /proc/KPY/fd:
 *
 *   stream   the operations, encoded as in a trace but without its header
 *   states   struct spool_head, and from SPOOL_STATES on one struct
 *            spool_state after the other, each followed by its text
 *
 * Both are shared memory or written at once, so they survive whatever kills
 * the program.  The stream is good up to the last state and no further:
 * there, CPython's own numbers are known.
 */
#ifndef _KPY_SPOOL_H
#define _KPY_SPOOL_H

#include <limits.h>
#include <stdint.h>

#define SPOOL_ENV	"KPY_RECORD"	/* "PID STREAM-FD STATES-FD" of kpy */
#define SPOOL_PAGE	4096
#define SPOOL_STATES	(4 * SPOOL_PAGE)	/* offset of the first state */

enum spool_end {
	SPOOL_RUNNING,			/* or killed */
	SPOOL_EXITED,
	SPOOL_STOPPED,			/* by kpy_record_stop() */
	SPOOL_LIMIT,			/* --max-ops */
	SPOOL_CUT,			/* what follows cannot be recorded, see why */
	SPOOL_FAILED,			/* nothing can be used, see why */
};

struct spool_head {
	/* written by kpy before the program starts */
	char library[PATH_MAX];		/* the recorder's name in LD_PRELOAD */
	uint64_t every;			/* operations between states; 0: see next_checkpoint() */
	uint64_t max_ops;		/* 0: no limit */
	uint32_t mmap_arenas;		/* leave the arenas where CPython puts them */
	/* written by the recorder */
	_Atomic int32_t pid;		/* of the process that is recorded */
	_Atomic uint64_t states_size;	/* bytes of complete states */
	uint64_t ops;			/* seen so far */
	uint32_t end;			/* enum spool_end */
	char why[256];
	char python[256];		/* Py_GetVersion() */
	uint32_t arena_size;
	uint32_t pool_size;
	uint32_t alignment;
};

_Static_assert(sizeof(struct spool_head) <= SPOOL_STATES, "the head has grown into the states");

struct spool_state {
	uint64_t stream_size;		/* bytes of the stream up to here */
	uint64_t ops;
	uint64_t kinds[4];		/* operations by kind: malloc, calloc, realloc, free */
	uint64_t ids;
	uint64_t live_blocks;
	uint64_t raw_live_blocks;
	uint64_t live_requested_all;
	uint64_t live_requested_small;
	uint64_t digest;
	uint64_t digest_serial;
	uint64_t text_size;		/* CPython's print, which follows */
	uint64_t loss_size;		/* then an arena_loss: of the arenas since the last state */
};

#endif
