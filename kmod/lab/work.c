// SPDX-License-Identifier: GPL-2.0
/*
 * A workload with known leaks and pins: allocates and frees blocks on command,
 * from call sites that a tracing tool must then name.
 *
 * Each site has a pile of its blocks, oldest first; piles take no memory from the
 * heap under test.  Everything is deterministic: the same commands on the same
 * heap make the same calls.  A command that fails frees what it allocated and so
 * changes nothing; only a failed realloc does.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "lab.h"

#define PILE_MAX	0x100000U	/* blocks per site */
#define CHURN_BLOCKS	4096		/* live at one time */
#define CHURN_SIZE	600		/* bytes; some are above the small limit */

struct lab_error lab_work_error;

#define refuse(err, ...) lab_report_refuse(&lab_work_error, err, __VA_ARGS__)

static void publish(struct lab_work *w)
{
	unsigned int i;

	for (i = 0; i < LAB_NR_SITES; i++) {
		w->now.blocks[i] = w->piles[i].blocks;
		w->now.bytes[i] = w->piles[i].bytes;
	}
	lab_report_publish_work(&w->now);
}

/* Before each op; acts once every LAB_BREATH ops.  -EINTR on a signal: frees ignore it. */
static int breathe(struct lab_work *w)
{
	if (w->now.ops % LAB_BREATH)
		return 0;
	publish(w);
	return lab_breathe();
}

static int look_around(struct lab_work *w)
{
	return breathe(w) ? refuse(-EINTR, "interrupted") : 0;
}

static int no_memory(struct lab_work *w, size_t size)
{
	w->now.failures++;
	return refuse(-ENOMEM, "no memory for a block of %zu bytes", size);
}

static int check_size(struct lab_work *w, u64 blocks, u64 size)
{
	if (!w->heap)
		return refuse(-ENOENT, "no heap is chosen");
	if (size > INT_MAX)
		return refuse(-ERANGE, "%llu bytes, at most %d per block", size, INT_MAX);
	if (!lab_room_for(blocks * size))
		return refuse(-ENOMEM, "no memory for %llu blocks of %llu bytes", blocks, size);
	return 0;
}

/* Make room for @more blocks; a new array closes the gap that frees left in front. */
static int pile_reserve(struct lab_pile *p, u32 more)
{
	u32 room = p->blocks + max(p->blocks, more);
	struct lab_held *held;

	if (p->first + p->blocks + more <= p->room)
		return 0;
	held = kvmalloc_array(room, sizeof(*held), LAB_GFP);
	if (!held)
		return refuse(-ENOMEM, "no memory to track %u blocks", room);
	if (p->blocks)
		memcpy(held, p->held + p->first, p->blocks * sizeof(*held));
	kvfree(p->held);
	p->held = held;
	p->first = 0;
	p->room = room;
	return 0;
}

/* Allocate one more block; the pile has room for it. */
static int alloc_one(struct lab_work *w, enum lab_site_id site, size_t size)
{
	struct lab_pile *p = &w->piles[site];
	void *ptr = lab_sites[site].alloc(w->heap, size);

	if (!ptr)
		return no_memory(w, size);
	p->held[p->first + p->blocks++] = (struct lab_held){ ptr, size };
	p->bytes += size;
	w->now.ops++;
	return 0;
}

static void free_one(struct lab_work *w, enum lab_site_id site, const struct lab_held *held)
{
	struct lab_pile *p = &w->piles[site];

	breathe(w);
	lab_sites[site].free(w->heap, held->ptr);
	p->blocks--;
	p->bytes -= held->size;
	w->now.ops++;
}

static void free_oldest(struct lab_work *w, enum lab_site_id site, u32 count)
{
	struct lab_pile *p = &w->piles[site];

	while (count--)
		free_one(w, site, &p->held[p->first++]);
	if (p->blocks)
		return;
	kvfree(p->held);
	*p = (struct lab_pile){};
}

/* Undo: free the latest blocks until @left remain. */
static void free_latest(struct lab_work *w, enum lab_site_id site, u32 left)
{
	struct lab_pile *p = &w->piles[site];

	while (p->blocks > left)
		free_one(w, site, &p->held[p->first + p->blocks - 1]);
}

static void free_all(struct lab_work *w)
{
	unsigned int i;

	for (i = 0; i < LAB_NR_SITES; i++)
		free_oldest(w, i, w->piles[i].blocks);
}

static void put_heap(struct lab_work *w)
{
	if (w->heap)
		kpy_heap_put(w->heap);
	w->heap = NULL;
	w->now.heap[0] = '\0';
}

/**
 * lab_work_set_heap - choose the heap to work on
 * @w: workload
 * @name: name of the heap
 *
 * Context: Process context under @w->lock, may sleep.
 * Return: 0, -EBUSY while blocks are held, -ENOENT if there is no such heap.
 */
int lab_work_set_heap(struct lab_work *w, const char *name)
{
	struct kpy_heap *heap;
	unsigned int i;

	lockdep_assert_held(&w->lock);
	for (i = 0; i < LAB_NR_SITES; i++)
		if (w->piles[i].blocks)
			return refuse(-EBUSY, "heap: blocks are held, drop them first");
	heap = kpy_heap_get(name);
	if (IS_ERR(heap))
		return refuse(PTR_ERR(heap), "heap: no heap '%*pE'", (int)strlen(name), name);
	put_heap(w);
	w->heap = heap;
	strscpy(w->now.heap, kpy_heap_name(heap), sizeof(w->now.heap));
	publish(w);
	return 0;
}

static int check_alloc(struct lab_work *w, const struct lab_pile *p, u64 count, u64 every)
{
	if (!count)
		return refuse(-EINVAL, "0 blocks");
	if (!every || every > count)
		return refuse(-EINVAL, "of %llu blocks, keeping every %llu-th keeps none", count,
			      every);
	if (count > PILE_MAX || p->blocks + count / every > PILE_MAX)
		return refuse(-E2BIG, "%llu blocks, at most %u per site", count, PILE_MAX);
	return 0;
}

/* Blocks count from 1, so the last of every @every blocks belongs to the site. */
static int alloc_mixed(struct lab_work *w, enum lab_site_id site, u32 count, size_t size, u32 every)
{
	u32 i;
	int err;

	for (i = 1; i <= count; i++) {
		err = look_around(w);
		if (!err)
			err = alloc_one(w, i % every ? LAB_FILLER : site, size);
		if (err)
			return err;
	}
	return 0;
}

/**
 * lab_work_alloc - allocate blocks that pin their pools and arenas
 * @w: workload
 * @site: the site
 * @count: number of blocks to allocate
 * @size: size of each
 * @every: the last of every @every blocks is the site's and stays; the others are
 *         the filler's and are freed at the end; with 1, all stay
 *
 * Context: Process context under @w->lock, may sleep and take long.
 * Return: 0; -EINVAL if no block would stay, -E2BIG for too many blocks, -ERANGE
 * for too big a block, -ENOENT without a heap, -ENOMEM, -EINTR on a signal.
 */
int lab_work_alloc(struct lab_work *w, enum lab_site_id site, u64 count, u64 size, u64 every)
{
	struct lab_pile *p = &w->piles[site];
	u32 before = p->blocks;
	int err;

	lockdep_assert_held(&w->lock);
	err = check_alloc(w, p, count, every) ?: check_size(w, count, size);
	if (err)
		return err;
	err = pile_reserve(p, count / every) ?:
	      pile_reserve(&w->piles[LAB_FILLER], count - count / every);
	if (!err)
		err = alloc_mixed(w, site, count, size, every);
	if (err)
		free_latest(w, site, before);
	free_oldest(w, LAB_FILLER, w->piles[LAB_FILLER].blocks);
	publish(w);
	return err;
}

/**
 * lab_work_free - free blocks, oldest first
 * @w: workload
 * @site: the site
 * @count: number of blocks
 *
 * Context: Process context under @w->lock, may sleep.
 * Return: 0, -EINVAL for 0 blocks, -ERANGE if the site has fewer than @count.
 */
int lab_work_free(struct lab_work *w, enum lab_site_id site, u64 count)
{
	u32 blocks = w->piles[site].blocks;

	lockdep_assert_held(&w->lock);
	if (!count)
		return refuse(-EINVAL, "free: 0 blocks");
	if (count > blocks)
		return refuse(-ERANGE, "free: %llu blocks, only %u are held", count, blocks);
	free_oldest(w, site, count);
	publish(w);
	return 0;
}

/**
 * lab_work_free_all - free all blocks of a site, if any
 * @w: workload
 * @site: the site
 *
 * Context: Process context under @w->lock, may sleep.
 * Return: 0.
 */
int lab_work_free_all(struct lab_work *w, enum lab_site_id site)
{
	lockdep_assert_held(&w->lock);
	free_oldest(w, site, w->piles[site].blocks);
	publish(w);
	return 0;
}

static int resize_one(struct lab_work *w, struct lab_pile *p, struct lab_held *held, size_t size)
{
	void *ptr = kpylab_realloc(w->heap, held->ptr, size);

	if (!ptr)
		return no_memory(w, size);
	p->bytes += size - held->size;
	*held = (struct lab_held){ ptr, size };
	w->now.ops++;
	return 0;
}

/**
 * lab_work_realloc - resize all blocks of a site, oldest first
 * @w: workload
 * @site: the site
 * @size: new size of each
 *
 * Context: Process context under @w->lock, may sleep and take long.
 * Return: 0, -ERANGE for too big a block, -ENOENT without a heap; -ENOMEM, or -EINTR
 * on a signal, after which some blocks may have the new size and others the old one.
 */
int lab_work_realloc(struct lab_work *w, enum lab_site_id site, u64 size)
{
	struct lab_pile *p = &w->piles[site];
	u32 i;
	int err;

	lockdep_assert_held(&w->lock);
	err = check_size(w, p->blocks, size);
	for (i = 0; !err && i < p->blocks; i++) {
		err = look_around(w);
		if (!err)
			err = resize_one(w, p, &p->held[p->first + i], size);
	}
	publish(w);
	return err;
}

/* Fill an empty slot; free or resize the block in a used one, with even odds. */
static int churn_one(struct lab_work *w, struct rnd_state *rnd, void **blocks)
{
	void **block = &blocks[prandom_u32_state(rnd) % CHURN_BLOCKS];
	u32 dice = prandom_u32_state(rnd);
	bool free = *block && dice % 2;
	size_t size = free ? 0 : 1 + dice / 2 % CHURN_SIZE;
	void *ptr = kpylab_churn(w->heap, *block, size);

	if (!ptr && !free)
		return no_memory(w, size);
	*block = ptr;
	w->now.ops++;
	return 0;
}

static void churn_free_all(struct lab_work *w, void **blocks)
{
	unsigned int i;

	for (i = 0; i < CHURN_BLOCKS; i++) {
		if (!blocks[i])
			continue;
		breathe(w);
		kpylab_churn(w->heap, blocks[i], 0);
		w->now.ops++;
	}
}

/**
 * lab_work_churn - allocate, resize and free random blocks, then free them all
 * @w: workload
 * @ops: number of calls before the final frees
 * @seed: random seed; the same seed gives the same calls
 *
 * Context: Process context under @w->lock, may sleep and take long.
 * Return: 0, -EINVAL for 0 calls, -ENOENT without a heap, -ENOMEM, -EINTR on a signal.
 */
int lab_work_churn(struct lab_work *w, u64 ops, u64 seed)
{
	struct rnd_state rnd;
	void **blocks;
	int err;

	lockdep_assert_held(&w->lock);
	if (!ops)
		return refuse(-EINVAL, "churn: 0 calls");
	err = check_size(w, CHURN_BLOCKS, CHURN_SIZE);
	if (err)
		return err;
	blocks = kvcalloc(CHURN_BLOCKS, sizeof(*blocks), LAB_GFP);
	if (!blocks)
		return refuse(-ENOMEM, "no memory to track %d blocks", CHURN_BLOCKS);
	prandom_seed_state(&rnd, seed);
	while (!err && ops--) {
		err = look_around(w);
		if (!err)
			err = churn_one(w, &rnd, blocks);
	}
	churn_free_all(w, blocks);
	kvfree(blocks);
	publish(w);
	return err;
}

/**
 * lab_work_drop - free all blocks and release the heap
 * @w: workload
 *
 * Context: Process context under @w->lock, may sleep.
 * Return: 0.
 */
int lab_work_drop(struct lab_work *w)
{
	lockdep_assert_held(&w->lock);
	free_all(w);
	put_heap(w);
	publish(w);
	return 0;
}

/**
 * lab_work_init - start with no heap and no blocks
 * @w: workload, all zeroes
 *
 * Context: Process context.
 */
void lab_work_init(struct lab_work *w)
{
	mutex_init(&w->lock);
}

/**
 * lab_work_exit - free everything
 * @w: workload that is no longer reachable
 *
 * Context: Process context, may sleep.
 */
void lab_work_exit(struct lab_work *w)
{
	free_all(w);
	put_heap(w);
	mutex_destroy(&w->lock);
}
