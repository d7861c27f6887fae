// SPDX-License-Identifier: GPL-2.0
/*
 * kpyrecord.so - preloaded into a CPython by `kpy record`.
 *
 * A constructor wraps the allocators of both pymalloc domains before main, so
 * every call passes through here.  It is carried out and written down under
 * one lock: the GIL would do for most calls, but not for all.  A state is
 * CPython's own print together with our counts; the recording is good up to
 * the last one.
 *
 * Whatever happens, the program goes on: when the recording ends, expected or
 * not, the hooks stay in place and only pass the calls on.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder.h"

#define CHECKPOINT_MIN		1024	/* operations from one to the next */
#define CHECKPOINT_GROWTH	32	/* the next one comes 1/32 later */
#define EXIT_PATIENCE		100000	/* yields, well below a second */

enum kind { OP_MALLOC, OP_CALLOC, OP_REALLOC, OP_FREE };

static atomic_bool active;
static atomic_flag locked = ATOMIC_FLAG_INIT;
static __thread bool in_call __attribute__((tls_model("initial-exec")));	/* has the lock */
static bool stop_asked;
static uint64_t next_state;		/* after so many operations */
static struct spool_state now;		/* all but its sizes and digests is up to date */

static struct {
	struct spool_state state;
	char *text;			/* NULL: there is no state yet */
	bool kept;			/* it is in the spool */
} last;

bool recorder_in_call(void)
{
	return in_call && active;
}

void recorder_end(enum spool_end end, const char *why)
{
	active = false;
	if (spool->end != SPOOL_RUNNING)
		return;
	snprintf(spool->why, sizeof(spool->why), "%s", why);
	spool->end = end;
}

static void unlock(void)
{
	in_call = false;
	atomic_flag_clear_explicit(&locked, memory_order_release);
}

/* False when there is nothing to record, and nothing to unlock. */
static bool lock(void)
{
	if (!atomic_load_explicit(&active, memory_order_relaxed))
		return false;
	while (atomic_flag_test_and_set_explicit(&locked, memory_order_acquire))
		sched_yield();
	in_call = true;
	if (active)
		return true;
	unlock();
	return false;
}

/*
 * The print tells of the current interpreter.  An isolated sub-interpreter
 * has an allocator of its own, which one trace cannot tell from the main one;
 * it shows as soon as it has an arena.
 */
static bool is_ours(const char *text)
{
	const char *total = strstr(text, "# arenas allocated total");
	uint64_t value = 0;

	for (; total && *total != '\n'; total++)
		if (*total >= '0' && *total <= '9')
			value = 10 * value + (*total - '0');
	return total && value == placement.arenas_total;
}

static bool take_state(void)
{
	size_t size;
	char *text;

	if (last.text && last.state.ops == now.ops)
		return true;
	if (!python_can_print())
		return false;
	text = python_stats(&size);
	if (!text || !is_ours(text)) {
		recorder_end(SPOOL_CUT, text ? "a sub-interpreter has arenas of its own" :
					       "out of memory");
		free(text);
		return false;
	}
	free(last.text);
	last.text = text;
	last.kept = false;
	last.state = now;
	last.state.stream_size = spool_stream_size();
	last.state.digest = placement.digest;
	last.state.digest_serial = placement.digest_serial;
	last.state.text_size = size;
	last.state.loss_size = placement.nr_losses;
	return true;
}

static void keep_state(void)
{
	size_t told = last.state.loss_size;

	if (!last.text || last.kept)
		return;
	spool_put_state(&last.state, last.text, placement.losses);
	last.kept = true;
	placement.nr_losses -= told;
	memmove(placement.losses, placement.losses + told, placement.nr_losses);
}

/*
 * How long the program runs is not known, so states come at a constant rate
 * in proportion: one that is killed loses 3 % at most, and kpy finds some
 * that lie evenly.  --checkpoint asks for exact distances instead.
 */
static uint64_t next_checkpoint(void)
{
	uint64_t next = now.ops + now.ops / CHECKPOINT_GROWTH;

	if (next < now.ops + CHECKPOINT_MIN)
		next = now.ops + CHECKPOINT_MIN;
	if (spool->every)
		next = (now.ops / spool->every + 1) * spool->every;
	return spool->max_ops && spool->max_ops < next ? spool->max_ops : next;
}

static void checkpoint(void)
{
	bool limit = spool->max_ops && now.ops >= spool->max_ops;

	if (take_state())
		keep_state();
	placement.foreign_arena = false;
	next_state = next_checkpoint();
	if (stop_asked || limit)
		recorder_end(limit ? SPOOL_LIMIT : SPOOL_STOPPED, "");
}

/* The end of an operation that was written down. */
static void done(enum kind kind)
{
	now.kinds[kind]++;
	spool->ops = ++now.ops;
	if (unlikely(!active))
		return;
	if (unlikely(python_last_phase()))
		take_state();
	if (unlikely(now.ops >= next_state || placement.foreign_arena))
		checkpoint();
}

static void count(const struct block *block)
{
	now.live_blocks++;
	now.live_requested_all += block->size;
	if (block->class == RAW_CLASS)
		now.raw_live_blocks++;
	else
		now.live_requested_small += block->size;
}

static void uncount(const struct block *block)
{
	now.live_blocks--;
	now.live_requested_all -= block->size;
	if (block->class == RAW_CLASS)
		now.raw_live_blocks--;
	else
		now.live_requested_small -= block->size;
}

static void enter(const struct block *block)
{
	place_note((void *)block->address, block->class);
	count(block);
	if (!block_add(block))
		recorder_end(SPOOL_FAILED, "out of memory");
}

static void note_alloc(enum kind kind, void *p, size_t size)
{
	const struct block block = {
		.address = (uintptr_t)p,
		.size = size,
		.id = now.ids++,
		.class = place_class(p, size),
	};

	spool_put((uint64_t)size << 2 | kind);
	enter(&block);
	done(kind);
}

/*
 * A block that we did not see handed out comes from the raw domain, which is
 * bad manners but works: pymalloc passes it on.  In an arena there can be none.
 */
static void note_foreign(void *p)
{
	if (arena_holds(p))
		recorder_end(SPOOL_CUT, "a block was handed out behind the recorder's back");
}

static void note_realloc(struct block *block, void *p, size_t size)
{
	struct block moved = *block;

	uncount(block);
	block_remove(block);
	if (moved.address != (uintptr_t)p && moved.class != RAW_CLASS)
		moved.class = place_class(p, size);
	moved.address = (uintptr_t)p;
	moved.size = size;
	spool_put((uint64_t)size << 2 | OP_REALLOC);
	spool_put(now.ids - moved.id);
	enter(&moved);
	done(OP_REALLOC);
}

static void note_free(struct block *block)
{
	spool_put((now.ids - block->id) << 2 | OP_FREE);
	uncount(block);
	block_remove(block);
	done(OP_FREE);
}

/* The hooks.  Their context is the original allocator of the domain. */

static void *hook_malloc(void *ctx, size_t size)
{
	const struct allocator *cpython = ctx;
	void *p;

	if (!lock())
		return cpython->malloc(cpython->ctx, size);
	p = cpython->malloc(cpython->ctx, size);
	if (p)
		note_alloc(OP_MALLOC, p, size);
	unlock();
	return p;
}

static void *hook_calloc(void *ctx, size_t nelem, size_t elsize)
{
	const struct allocator *cpython = ctx;
	void *p;

	if (!lock())
		return cpython->calloc(cpython->ctx, nelem, elsize);
	p = cpython->calloc(cpython->ctx, nelem, elsize);
	if (p)
		note_alloc(OP_CALLOC, p, nelem * elsize);
	unlock();
	return p;
}

static void *hook_realloc(void *ctx, void *old, size_t size)
{
	const struct allocator *cpython = ctx;
	struct block *block;
	void *p;

	if (!old)
		return hook_malloc(ctx, size);
	if (!lock())
		return cpython->realloc(cpython->ctx, old, size);
	block = block_find(old);
	if (!block)
		note_foreign(old);
	p = cpython->realloc(cpython->ctx, old, size);
	if (p && block)
		note_realloc(block, p, size);
	unlock();
	return p;
}

static void hook_free(void *ctx, void *p)
{
	const struct allocator *cpython = ctx;
	struct block *block;

	if (!p || !lock()) {
		cpython->free(cpython->ctx, p);
		return;
	}
	block = block_find(p);
	if (!block)
		note_foreign(p);
	cpython->free(cpython->ctx, p);
	if (block)
		note_free(block);
	unlock();
}

/* The beginning and the ends. */

static void in_forked_child(void)
{
	active = false;
}

/* What the program starts in turn is not recorded, and sees its environment as it was. */
static void leave_environment(void)
{
	const char *list = getenv("LD_PRELOAD");
	size_t len = strlen(spool->library);

	unsetenv(SPOOL_ENV);
	if (!list || strncmp(list, spool->library, len))
		return;
	if (list[len])
		setenv("LD_PRELOAD", strdupa(list + len + 1), 1);
	else
		unsetenv("LD_PRELOAD");
}

/* In a process that is no CPython, a shell on the way to one say, nothing happens. */
__attribute__((constructor)) static void begin(void)
{
	static const struct allocator hook = { NULL, hook_malloc, hook_calloc,
					       hook_realloc, hook_free };
	const char *missing;

	if (!python_find() || !spool_open())
		return;
	leave_environment();
	if (!spool_claim())
		return;
	snprintf(spool->python, sizeof(spool->python), "%s", python_version());
	missing = python_missing();
	if (missing) {
		recorder_end(SPOOL_FAILED, missing);
		return;
	}
	next_state = next_checkpoint();
	pthread_atfork(NULL, NULL, in_forked_child);
	arenas_init();
	active = true;
	python_wrap(&hook);
}

/*
 * A signal handler may want to exit while its own thread holds the lock, so
 * there is a limit to waiting.
 */
static bool lock_to_exit(void)
{
	for (int i = 0; active && i < EXIT_PATIENCE; i++) {
		if (!atomic_flag_test_and_set_explicit(&locked, memory_order_acquire))
			return true;
		sched_yield();
	}
	return false;
}

static void keep_last_state(void)
{
	take_state();
	keep_state();
}

/*
 * Up to 3.11 this comes after all of the interpreter's clearing up; from 3.12
 * on there is no state to be had so late, and the one that is kept comes from
 * the last phase.  A child of vfork() shares our memory, but not our pid.
 */
__attribute__((destructor)) static void finish(void)
{
	if (!active || spool->pid != getpid() || !lock_to_exit())
		return;
	keep_last_state();
	recorder_end(SPOOL_EXITED, "");
	unlock();
}

/* os._exit(): no destructor runs. */
void _exit(int status)
{
	finish();
	syscall(SYS_exit_group, status);
	__builtin_unreachable();
}

void _Exit(int status) __attribute__((alias("_exit")));

static bool may_end_us(pid_t pid, int sig)
{
	struct sigaction action;

	return (pid <= 0 || pid == getpid()) && !sigaction(sig, NULL, &action) &&
	       action.sa_handler == SIG_DFL;
}

/* After a KeyboardInterrupt CPython ends by signalling itself. */
int kill(pid_t pid, int sig)
{
	if (active && spool->pid == getpid() && may_end_us(pid, sig) && lock_to_exit()) {
		keep_last_state();
		unlock();
	}
	return syscall(SYS_kill, pid, sig);
}

/*
 * For the program: ends the recording with its next operation.
 * import ctypes; ctypes.CDLL(None).kpy_record_stop()
 */
__attribute__((visibility("default"))) void kpy_record_stop(void)
{
	if (!lock())
		return;
	stop_asked = true;
	next_state = 0;
	unlock();
}
