/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tracing commands share: options, the way a BPF object gets into the
 * kernel and out again, when to report and when to end.
 *
 *	tracing_prepare()	the module is there, the heap is known
 *	tracing_load()		a skeleton's object, its read-only data set before
 *	tracing_attach()	events are seen from here on
 *	tracing_run()		starts the user's command, if any, and the clock
 *	tracing_wait()		one interval; false: this is the last report
 *	tracing_end()		detaches, waits for the command
 */
#ifndef _KPY_TRACING_H
#define _KPY_TRACING_H

#include <linux/types.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../bpf/filter.h"
#include "kpy.h"
#include "objects.h"

struct argp_state;
struct bpf_object;
struct bpf_object_skeleton;

struct tracing {
	/* asked for */
	const char *heap;		/* NULL: all of them */
	struct kpy_filter filter;	/* its heap is set by tracing_prepare() */
	double interval;		/* seconds between two reports, 0: one at the end */
	u64 count;			/* reports, 0: no limit */
	double duration;		/* seconds, 0: no limit */
	bool json;
	bool timestamp;
	const char *pin;		/* a folder in bpffs */
	char **command;			/* NULL: whatever happens on the machine */
	/* how far it has come */
	struct bpf_object *obj;
	struct links links;
	pid_t child;
	int child_status;		/* as of waitpid(), 0 before */
	double started;
	double next;			/* report */
	double looked;			/* whether the heap is still there */
	u64 reports;
	bool over;
};

#define TRACING_INIT(...) { \
	.filter = { .max_size = ~0ULL, .heap = KPY_ANY, .szidx = KPY_ANY, .pid = KPY_ANY }, \
	__VA_ARGS__ }

/*
 * Child parsers whose input is a struct tracing: the options of all; the same
 * without intervals; what filters blocks and tasks.
 */
extern const struct argp tracing_argp;
extern const struct argp stream_argp;
extern const struct argp filter_argp;

u64 tracing_number(struct argp_state *state, const char *arg, u64 max);
u64 tracing_positive(struct argp_state *state, const char *arg, u64 max);

int tracing_prepare(struct tracing *t);
int tracing_load(struct tracing *t, struct bpf_object_skeleton *skel);
int tracing_attach(struct tracing *t);
int tracing_run(struct tracing *t);
bool tracing_over(struct tracing *t);
bool tracing_wait(struct tracing *t);
void tracing_detach(struct tracing *t);
int tracing_end(struct tracing *t, int err);
u64 tracing_missed(const struct tracing *t);

const char *tracing_clock(char buf[16]);	/* HH:MM:SS */
void tracing_json(struct json_object *obj);	/* one line on stdout; puts the object */

#endif
