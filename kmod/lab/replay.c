// SPDX-License-Identifier: GPL-2.0
/*
 * A replay from load to drop: its trace, its backend, its runs.
 *
 * Everything happens in the context of the process that wrote the command, under
 * lab_replay.lock.  A run publishes its status every LAB_BREATH ops.  A signal
 * stops it between two ops; another run continues from there.  If several CPUs
 * share a run, their threads perform the ops while this process waits.
 */
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "lab.h"

static void publish(struct lab_replay *r)
{
	lab_report_publish(&r->now);
}

/* Between two ops: may the run continue? */
static int look_around(struct lab_replay *r)
{
	u64 done = r->now.count.ops_done;

	publish(r);
	if (lab_breathe())
		return lab_refuse(-EINTR, "interrupted before op %llu", done);
	if (!lab_room_for(0))
		return lab_refuse(-ENOMEM, "memory is low before op %llu", done);
	return 0;
}

static int run_alone(struct lab_replay *r, u64 until)
{
	int err = 0;

	while (!err && r->now.count.ops_done < until)
		err = lab_engine_step(r);
	return err;
}

/* @epoch: when the run would have started, had it never been interrupted. */
static int run_ops(struct lab_replay *r, u64 until, u64 epoch)
{
	struct lab_counts *n = &r->now.count;
	u64 stop;
	int err;

	while (n->ops_done < until) {
		n->ns = ktime_get_ns() - epoch;
		err = look_around(r);
		if (err)
			return err;
		stop = min(until, round_down(n->ops_done, LAB_BREATH) + LAB_BREATH);
		err = r->lanes ? lab_lanes_run(r, stop) : run_alone(r, stop);
		if (err)
			return err;
	}
	return n->ops_done == r->trace.ops ? lab_engine_check_live(r) : 0;
}

static enum lab_state state_after(const struct lab_replay *r, int err)
{
	if (err && err != -EINTR && err != -ENOMEM)
		return LAB_FAILED;
	return r->now.count.ops_done == r->trace.ops ? LAB_DONE : LAB_READY;
}

/* May the trace be replayed or rewound? */
static int trace_usable(const struct lab_replay *r)
{
	if (r->now.state == LAB_EMPTY)
		return lab_refuse(-ENODATA, "no trace is loaded");
	if (r->now.state == LAB_LOADING)
		return lab_trace_truncated(&r->trace);
	return 0;
}

static int check_run(const struct lab_replay *r, u64 until)
{
	u64 done = r->now.count.ops_done;
	int err = trace_usable(r);

	if (err)
		return err;
	if (r->now.state == LAB_FAILED)
		return lab_refuse(-EUCLEAN, "run: failed at op %llu, rewind first", done);
	if (until < done)
		return lab_refuse(-EINVAL, "run: op %llu is before the current op %llu",
				  until, done);
	return 0;
}

/**
 * lab_replay_run - replay until a number of ops is done
 * @r: replay
 * @until: total number of ops; stops at the end of the trace anyway
 *
 * Context: Process context under @r->lock, may sleep and take long.
 * Return: 0; -EINTR on a signal or -ENOMEM when the machine runs low on memory,
 * where another run continues; -EUCLEAN if a block is corrupt, where only a rewind
 * helps; -ENODATA if there is no complete trace; -EINVAL if more than @until ops
 * are already done; or as lab_lanes_start().
 */
int lab_replay_run(struct lab_replay *r, u64 until)
{
	struct lab_counts *n = &r->now.count;
	u64 epoch;
	int err;

	lockdep_assert_held(&r->lock);
	err = check_run(r, until);
	if (err)
		return err;
	if (r->now.cpus > 1)
		err = lab_lanes_start(r);
	if (err)
		return err;
	r->now.state = LAB_RUNNING;
	publish(r);
	epoch = ktime_get_ns() - n->ns;
	err = run_ops(r, min(until, r->trace.ops), epoch);
	n->ns = ktime_get_ns() - epoch;
	lab_lanes_stop(r);
	if (r->backend.ops->refresh)
		r->backend.ops->refresh(&r->backend);
	n->peak_pages = DIV_ROUND_UP_ULL(r->backend.peak, PAGE_SIZE);
	r->now.state = state_after(r, err);
	publish(r);
	return err;
}

/**
 * lab_replay_rewind - free all blocks and go back to the first op
 * @r: replay
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0, -ENODATA if there is no complete trace.
 */
int lab_replay_rewind(struct lab_replay *r)
{
	int err;

	lockdep_assert_held(&r->lock);
	err = trace_usable(r);
	if (err)
		return err;
	lab_engine_reset(r);
	r->now.state = LAB_READY;
	publish(r);
	return 0;
}

/* Discard the trace and everything derived from it. */
static void forget_trace(struct lab_replay *r, enum lab_state state)
{
	lab_engine_reset(r);
	kvfree(r->blocks);
	r->blocks = NULL;
	lab_trace_free(&r->trace);
	r->now.ops_total = 0;
	r->now.state = state;
	publish(r);
}

static void use_backend(struct lab_replay *r, const struct lab_backend *be)
{
	lab_backend_close(&r->backend);
	r->backend = *be;
	strscpy(r->now.backend, be->name, sizeof(r->now.backend));
	lab_engine_reset(r);
	publish(r);
}

static void use_default_backend(struct lab_replay *r)
{
	struct lab_backend be;

	lab_backend_open(&be, "kmalloc");
	use_backend(r, &be);
}

/**
 * lab_replay_drop - free all blocks and the trace, release the heap
 * @r: replay
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0.
 */
int lab_replay_drop(struct lab_replay *r)
{
	lockdep_assert_held(&r->lock);
	forget_trace(r, LAB_EMPTY);
	use_default_backend(r);
	return 0;
}

/**
 * lab_replay_set_backend - choose the allocator to replay on
 * @r: replay
 * @name: as for lab_backend_open()
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0, -EBUSY unless the replay is at op 0, or as lab_backend_open().
 */
int lab_replay_set_backend(struct lab_replay *r, const char *name)
{
	struct lab_backend be;
	int err;

	lockdep_assert_held(&r->lock);
	if (r->main.cursor.op)
		return lab_refuse(-EBUSY, "backend: %llu ops are done, rewind first",
				  r->now.count.ops_done);
	err = lab_backend_open(&be, name);
	if (err)
		return err;
	use_backend(r, &be);
	return 0;
}

/**
 * lab_replay_set_fill - turn filling of blocks on or off
 * @r: replay
 * @fill: whether to fill
 *
 * Blocks that have a pattern keep it and are still verified.
 *
 * Context: Process context under @r->lock.
 * Return: 0.
 */
int lab_replay_set_fill(struct lab_replay *r, bool fill)
{
	lockdep_assert_held(&r->lock);
	r->now.fill = fill;
	publish(r);
	return 0;
}

/**
 * lab_replay_set_cpus - share the following runs among several CPUs
 * @r: replay
 * @cpus: number of CPUs; with 1, the caller itself does the run
 * @every: ops after which the blocks are redistributed among the CPUs
 *
 * Context: Process context under @r->lock.
 * Return: 0, -ERANGE if fewer CPUs are online or @every is out of range.
 */
int lab_replay_set_cpus(struct lab_replay *r, u64 cpus, u64 every)
{
	lockdep_assert_held(&r->lock);
	if (!cpus || cpus > num_online_cpus())
		return lab_refuse(-ERANGE, "cpus: %llu, give 1 to %u", cpus, num_online_cpus());
	if (!every || every > LAB_BREATH)
		return lab_refuse(-ERANGE, "cpus: every %llu ops, give 1 to %d", every, LAB_BREATH);
	r->now.cpus = cpus;
	r->now.every = every;
	publish(r);
	return 0;
}

/**
 * lab_replay_load_begin - start loading a trace
 * @r: replay; its old trace is freed
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: 0, -EBUSY if another process is loading.
 */
int lab_replay_load_begin(struct lab_replay *r)
{
	lockdep_assert_held(&r->lock);
	if (r->loading)
		return lab_refuse(-EBUSY, "load: another process has it open");
	r->loading = true;
	forget_trace(r, LAB_LOADING);
	return 0;
}

/* All bytes have arrived: READY if they are valid. */
static int load_complete(struct lab_replay *r)
{
	int err;

	err = lab_trace_check(&r->trace);
	if (err)
		return err;
	if (lab_room_for(r->trace.ids * sizeof(*r->blocks)))
		r->blocks = kvcalloc(r->trace.ids, sizeof(*r->blocks), LAB_GFP);
	if (!r->blocks)
		return lab_refuse(-ENOMEM, "no memory for %llu blocks", r->trace.ids);
	r->now.state = LAB_READY;
	return 0;
}

/**
 * lab_replay_load - append to the trace, check it once it is complete
 * @r: replay
 * @buf: the next bytes of the file
 * @len: number of bytes, not 0
 *
 * An error frees the trace, so all further bytes are refused as well.
 *
 * Context: Process context under @r->lock, may sleep.
 * Return: bytes taken, or errors as lab_trace_write() and lab_trace_check().
 */
ssize_t lab_replay_load(struct lab_replay *r, const char __user *buf, size_t len)
{
	ssize_t ret;
	int err = 0;

	lockdep_assert_held(&r->lock);
	if (r->now.state == LAB_EMPTY)
		return -EINVAL;
	ret = lab_trace_write(&r->trace, buf, len);
	if (ret == -EFAULT)
		return ret;
	if (ret > 0 && lab_trace_complete(&r->trace))
		err = load_complete(r);
	if (ret < 0 || err) {
		forget_trace(r, LAB_EMPTY);
		return ret < 0 ? ret : err;
	}
	r->now.ops_total = r->trace.ops;
	publish(r);
	return ret;
}

/**
 * lab_replay_load_end - `load` has been closed
 * @r: replay; an incomplete trace stays until the next load or drop
 *
 * Context: Process context under @r->lock.
 */
void lab_replay_load_end(struct lab_replay *r)
{
	lockdep_assert_held(&r->lock);
	r->loading = false;
}

/**
 * lab_replay_init - start with no trace and the backend `kmalloc`
 * @r: replay, all zeroes
 *
 * Context: Process context.
 */
void lab_replay_init(struct lab_replay *r)
{
	mutex_init(&r->lock);
	lab_trace_init(&r->trace);
	r->main = (struct lab_lane){ .replay = r, .count = &r->now.count };
	r->now.cpus = 1;
	r->now.every = 1;
	use_default_backend(r);
}

/**
 * lab_replay_exit - free everything
 * @r: replay that is no longer reachable
 *
 * Context: Process context, may sleep.
 */
void lab_replay_exit(struct lab_replay *r)
{
	forget_trace(r, LAB_EMPTY);
	lab_backend_close(&r->backend);
	mutex_destroy(&r->lock);
}
