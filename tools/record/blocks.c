// SPDX-License-Identifier: GPL-2.0
/*
 * The live blocks: a hash table with open addressing and linear probing.
 *
 * Neighbours in memory are used together, so they are kept together: the
 * 1 KiB that a block lies in chooses a run of 64 entries, its 16 bytes the
 * entry in the run.  Half of the table stays vacant, which keeps full runs
 * from growing into each other.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "recorder.h"

#define FIRST_SIZE	(1UL << 16)
#define RUN		64

static struct block *table;
static size_t table_size;		/* a power of two */
static size_t nr_blocks;

static size_t home(uintptr_t address)
{
	size_t run = (address >> 10) * 0x9e3779b97f4a7c15ULL >> 20;

	return (run * RUN + (address >> 4) % RUN) & (table_size - 1);
}

static struct block *next(struct block *block)
{
	return block + 1 < table + table_size ? block + 1 : table;
}

/* The entry of @address, or the vacant one where it belongs. */
static struct block *probe(uintptr_t address)
{
	struct block *block = table + home(address);

	while (block->address && block->address != address)
		block = next(block);
	return block;
}

static bool resize(size_t size)
{
	struct block *old = table, *end = table + table_size;
	struct block *new = mmap(NULL, size * sizeof(*new), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (new == MAP_FAILED)
		return false;
	table = new;
	table_size = size;
	for (struct block *block = old; block < end; block++)
		if (block->address)
			*probe(block->address) = *block;
	if (old)
		munmap(old, (char *)end - (char *)old);
	return true;
}

struct block *block_find(const void *p)
{
	struct block *block;

	if (unlikely(!table))
		return NULL;
	block = probe((uintptr_t)p);
	return block->address ? block : NULL;
}

bool block_add(const struct block *block)
{
	if (unlikely(nr_blocks >= table_size / 2) &&
	    !resize(table_size ? 2 * table_size : FIRST_SIZE))
		return false;
	*probe(block->address) = *block;
	nr_blocks++;
	return true;
}

/* How far an entry stands behind its home, round the end of the table. */
static size_t distance(const struct block *home, const struct block *block)
{
	return (size_t)(block - home) & (table_size - 1);
}

/* Closes the gap: whatever was pushed past it on the way from its home moves up. */
void block_remove(struct block *gap)
{
	for (struct block *block = next(gap); block->address; block = next(block)) {
		struct block *wanted = table + home(block->address);

		if (distance(wanted, block) >= distance(gap, block)) {
			*gap = *block;
			gap = block;
		}
	}
	gap->address = 0;
	nr_blocks--;
}
