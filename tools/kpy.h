/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kpy - what its files share.
 *
 * Two ways to report: debugfs_*() return 0 or -errno and print nothing; all
 * the others that return int give an exit status, 0 or what kpy is to exit
 * with, and whoever makes it up has already told the user why (trouble()).
 */
#ifndef _KPY_H
#define _KPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define KPY_VERSION	"0.1"
#define KPY_HEAP_NAME	31		/* characters, as in kmod/kpymalloc.h */
#ifndef KPY_LIBDIR
#define KPY_LIBDIR	"/usr/local/lib/kpymalloc"	/* what `make install' put beside kpy */
#endif
#define KPY_CLASSES	64		/* size classes of 8 bytes up to 512 */
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

typedef unsigned long long u64;
struct argp;
struct json_object;

enum {
	KPY_DIFFERS = 1,		/* the answer is no: not equal, not valid */
	KPY_TROUBLE = 2,		/* no answer */
	KPY_SIGNAL = 128,		/* plus the number of the signal */
};

/* kpy.c: the commands, each in its own file */
int cmd_attach(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_flame(int argc, char **argv);
int cmd_heap(int argc, char **argv);
int cmd_hist(int argc, char **argv);
int cmd_rate(int argc, char **argv);
int cmd_leak(int argc, char **argv);
int cmd_pin(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_where(int argc, char **argv);

/* text.c: messages, numbers, `key value` files */
int trouble(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc));
const char *commas(char buf[32], u64 value);
bool parse_u64(const char *text, char **end, u64 *value);
char *key_text(const char *text, const char *key);
bool key_u64(const char *text, const char *key, u64 *value);

/* debugfs.c: the modules' files; paths start with the module's name */
int debugfs_open(const char *path, int flags);
int debugfs_put(int fd, const void *data, size_t len);
void debugfs_close(int fd);
int debugfs_write(const char *path, const char *text);
int debugfs_read(const char *path, char **text);
int debugfs_list(const char *path, char ***names, size_t *nr);
int debugfs_trouble(const char *path, int err);

/* json.c: what json-c leaves to do */
int json_load(const char *path, struct json_object **obj);
struct json_object *json_member(struct json_object *obj, const char *key);
void json_write(FILE *out, struct json_object *obj);
struct json_object *json_keys(const char *text);

struct column {
	const char *title;
	int width;			/* negative: to the left */
	const char *pointer;		/* "/group/key" in each object of the list */
};

void json_table(struct json_object *list, const struct column *columns, size_t nr);

/*
 * geometry.c: what a heap is made from. Written as in debugfs' `create`
 * (arena=1M pool=16K …), as an option (the same with commas), or in JSON
 * (arena_size, pool_size, …).
 */
struct geometry {
	const char *preset;		/* --preset */
	const char *list;		/* --geometry; with a preset it changes that */
	struct json_object *recorded;	/* used when both are NULL */
};

extern const struct argp geometry_argp;	/* a child parser, its input a struct geometry */
int geometry_create_text(const struct geometry *geo, char **text);
struct json_object *geometry_json(const char *text);

/* state.c: the numbers of a heap and of a replay at one moment */
enum state_field {
	S_AFTER_OPS,
	S_ARENAS_TOTAL,
	S_ARENAS_RECLAIMED,
	S_ARENAS_HIGHWATER,
	S_ARENAS_CURRENT,
	S_BYTES_ALLOCATED,
	S_BYTES_AVAILABLE,
	S_BYTES_UNUSED_POOLS,
	S_BYTES_POOL_HEADERS,
	S_BYTES_QUANTIZATION,
	S_BYTES_ALIGNMENT,
	S_BYTES_TOTAL,
	S_UNUSED_POOLS,
	S_RAW_LIVE_BLOCKS,
	S_LIVE_BLOCKS,
	S_LIVE_REQUESTED_SMALL,
	S_LIVE_REQUESTED_ALL,
	S_DIGEST,
	S_DIGEST_SERIAL,
	NR_STATE_FIELDS
};

struct class_state {
	u64 size;
	u64 pools;			/* 0: the class is not in use, nor in any listing */
	u64 in_use;
	u64 available;
};

struct state {
	u64 value[NR_STATE_FIELDS];
	bool known[NR_STATE_FIELDS];
	struct class_state classes[KPY_CLASSES];
};

void state_add_stats(struct state *s, const char *text);
void state_add_keys(struct state *s, const char *text);
int state_add_json(struct state *s, struct json_object *obj);
struct json_object *state_json(const struct state *s);
void state_field_name(enum state_field f, char buf[64]);
void state_field_text(const struct state *s, enum state_field f, char buf[32]);

/* trace.c: a recorded program, plain or compressed */
#define TRACE_HEADER	64		/* bytes */

struct trace;

int trace_open(const char *path, struct trace **trace);
int trace_next(struct trace *trace, const void **chunk, size_t *len);
void trace_close(struct trace *trace);
u64 trace_size(const void *header);
char *trace_companion(const char *path);
int trace_recording(const char *path, struct json_object **recording);

/* progress.c: one moving line on a terminal */
struct progress {
	const char *what;		/* in front of the bar */
	const char *unit;		/* of done and total, in millions */
	u64 total;
	double start;			/* 0: there is no terminal, nothing is drawn */
	double drawn;
};

double now(void);
void progress_start(struct progress *p, const char *what, const char *unit, u64 total);
void progress_move(struct progress *p, u64 done);
void progress_clear(struct progress *p);

/*
 * signals.c: ^C and its kind end what is going on, not kpy.  Those that kpy was
 * started to ignore stay ignored.
 */
void signals_catch(int also);		/* one more signal, or 0 */
void signals_release(void);
int signals_caught(void);		/* the last one, 0 if there was none */
int signals_interrupted(void);		/* an exit status */

/* heap.c: heaps by name */
int heap_create(const char *name, const struct geometry *geo);
int heap_destroy(const char *name);
typedef int (*heap_visit)(const char *name, void *arg);

int heap_each(heap_visit visit, void *arg);	/* gives the worst status */
int heap_file(const char *name, const char *file, char **text);	/* as debugfs_read() */
int heap_id(const char *name, u64 *id);				/* as debugfs_read() */
const char *heap_by_id(unsigned int id);			/* "#7" if that one is gone */
int heap_trouble(const char *name, int err);			/* as debugfs_trouble() */
int heap_vanished(const char *name, int err);
int heap_read(const char *name, const char *file, char **text);

/* lab.c: one trace in kpylab, from loading it to leaving nothing behind */
struct lab {
	/* asked for */
	const char *trace;
	const char *heap;		/* an existing one; NULL: a heap of our own */
	struct geometry geometry;	/* of our own */
	bool kmalloc;			/* the kernel's allocator instead of a heap */
	bool fill;
	u64 until;			/* last op, ~0: the trace's */
	/* known from lab_begin() on */
	u64 ops_total;
	u64 ops_end;
	char *own_heap;
	bool loaded;
	/* moved by lab_run() */
	u64 ops_done;
	u64 slice;
	struct progress bar;
};

extern const struct argp lab_argp;	/* a child parser, its input a struct lab */
int lab_begin(struct lab *lab);
int lab_run(struct lab *lab, u64 ops);
int lab_state(const struct lab *lab, struct state *state);
int lab_status(char **text);
const char *lab_heap(const struct lab *lab);
int lab_end(struct lab *lab, int err);

#endif
