// SPDX-License-Identifier: GPL-2.0
/*
 * Where blocks lie: CPython asks us for its arenas, so an address is enough
 * to tell arena, pool and block, and nothing here is predicted.
 *
 * Arenas are aligned to their size, so that every one holds the full number
 * of pools; those of mmap() usually lose one pool to alignment.  An arena's
 * slot is its index in CPython's vector, which fills from 0 on and takes the
 * slot that was released last first.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "recorder.h"

#define ARENA_POOLS	64		/* in every CPython; checked against its print */
#define POOL_HEADER	48
#define SMALL_MAX	512
#define FNV_OFFSET	0xcbf29ce484222325ULL
#define FNV_PRIME	0x100000001b3ULL

struct arena {
	uintptr_t base;
	uint32_t slot;
	uint32_t serial;
};

struct placement placement = { .digest = FNV_OFFSET, .digest_serial = FNV_OFFSET };

static struct arena *arenas;		/* in order of their addresses */
static uint32_t *free_slots;		/* a stack, the one to be used next on top */
static size_t room;			/* in both */
static size_t nr_free_slots;
static struct arena_allocator cpython;

/* The first arena that ends behind @address. */
static size_t arena_index(uintptr_t address)
{
	size_t low = 0, high = placement.arenas_live;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (address < arenas[middle].base + spool->arena_size)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static const struct arena *arena_of(const void *p)
{
	static size_t last;		/* most blocks lie where the one before does */
	uintptr_t address = (uintptr_t)p;

	if (last >= placement.arenas_live || address - arenas[last].base >= spool->arena_size)
		last = arena_index(address);
	if (last >= placement.arenas_live || address < arenas[last].base)
		return NULL;
	return &arenas[last];
}

bool arena_holds(const void *p)
{
	return arena_of(p);
}

static uintptr_t first_pool(uintptr_t base)
{
	return (base + spool->pool_size - 1) & -(uintptr_t)spool->pool_size;
}

/* Room for one more arena, whatever becomes of it. */
static bool make_room(size_t size)
{
	struct placement *pl = &placement;
	char *losses = realloc(pl->losses, pl->nr_losses + 2);
	void *more;

	if (!losses)
		return false;
	pl->losses = losses;
	spool->arena_size = size;
	spool->pool_size = size / ARENA_POOLS;
	if (pl->arenas_live < room)
		return true;

	room = room ? 2 * room : 64;
	more = realloc(arenas, room * sizeof(*arenas));
	if (!more)
		return false;
	arenas = more;
	more = realloc(free_slots, room * sizeof(*free_slots));
	if (!more)
		return false;
	free_slots = more;
	return true;
}

static void arena_made(uintptr_t base)
{
	struct placement *pl = &placement;
	size_t at = arena_index(base);

	memmove(arenas + at + 1, arenas + at, (pl->arenas_live - at) * sizeof(*arenas));
	arenas[at] = (struct arena){
		.base = base,
		/* without a released slot, all of the first ones are in use */
		.slot = nr_free_slots ? free_slots[--nr_free_slots] : pl->arenas_live,
		.serial = pl->arenas_total,
	};
	pl->arenas_live++;
	pl->arenas_total++;
	pl->losses[pl->nr_losses++] = base == first_pool(base) ? '0' : '1';
	pl->losses[pl->nr_losses] = '\0';
	pl->foreign_arena |= !python_main_interpreter();
}

static void arena_released(const void *p)
{
	const struct arena *arena = arena_of(p);
	size_t at;

	if (!arena)
		return;
	at = arena - arenas;
	free_slots[nr_free_slots++] = arena->slot;
	placement.arenas_live--;
	memmove(arenas + at, arenas + at + 1, (placement.arenas_live - at) * sizeof(*arenas));
}

static void *aligned_arena(size_t size)
{
	char *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (size - 1);
	if (before)
		munmap(p, before);
	munmap(p + before + size, size - before);
	return p + before;
}

/* CPython 3.11 and later also come here for pieces of the interpreter's stack. */
static void *hook_alloc(void *ctx, size_t size)
{
	void *p;

	(void)ctx;
	if (!recorder_in_call())
		return cpython.alloc(cpython.ctx, size);
	p = spool->mmap_arenas ? cpython.alloc(cpython.ctx, size) : aligned_arena(size);
	if (p && make_room(size)) {
		arena_made((uintptr_t)p);
		return p;
	}
	recorder_end(SPOOL_CUT, "there was no memory for an arena");
	return p ? p : cpython.alloc(cpython.ctx, size);
}

/* CPython's own way is munmap(), which is right for aligned arenas too. */
static void hook_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	if (recorder_in_call())
		arena_released(p);
	cpython.free(cpython.ctx, p, size);
}

void arenas_init(void)
{
	static const struct arena_allocator hook = { NULL, hook_alloc, hook_free };

	python_wrap_arenas(&hook, &cpython);
}

/*
 * The step between size classes is not known until CPython prints a class,
 * which it does from the first block in an arena on.  A print in another form
 * is no pymalloc's.
 */
static bool learn_alignment(void)
{
	unsigned int class, size, pool_size;
	char *text = python_stats(NULL);
	const char *row = text ? strstr(text, "\n-----") : NULL;
	const char *pools = text ? strstr(text, " unused pools * ") : NULL;
	bool ok = row && pools &&
		  sscanf(row, "\n%*[- ]%u %u", &class, &size) == 2 &&
		  sscanf(pools, " unused pools * %u", &pool_size) == 1 &&
		  pool_size == spool->pool_size;

	if (ok)
		spool->alignment = size / (class + 1);
	else
		recorder_end(SPOOL_FAILED, "this interpreter's allocator is not pymalloc");
	free(text);
	return ok && spool->alignment;
}

/* The size class of a block that was just carved for @size. */
uint16_t place_class(const void *p, size_t size)
{
	if (!size || size > SMALL_MAX || !arena_of(p))
		return RAW_CLASS;
	if (unlikely(!spool->alignment) && !learn_alignment())
		return RAW_CLASS;
	return (size - 1) / spool->alignment;
}

static uint64_t fnv(uint64_t hash, uint32_t value)
{
	for (int shift = 0; shift < 32; shift += 8)
		hash = (hash ^ (value >> shift & 0xff)) * FNV_PRIME;
	return hash;
}

static void digest(uint32_t slot, uint32_t serial, uint32_t pool, uint32_t index)
{
	struct placement *pl = &placement;

	pl->digest = fnv(fnv(fnv(pl->digest, slot), pool), index);
	pl->digest_serial = fnv(fnv(fnv(pl->digest_serial, serial), pool), index);
}

/* Adds the place of a block that was just handed out to the digests. */
void place_note(const void *p, uint16_t class)
{
	const struct arena *arena;
	uint32_t offset, inside, size;

	if (class == RAW_CLASS) {
		digest(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
		return;
	}
	arena = arena_of(p);
	size = (class + 1) * spool->alignment;
	offset = (uintptr_t)p - first_pool(arena->base);
	inside = offset % spool->pool_size - POOL_HEADER;
	if (unlikely(inside % size))
		recorder_end(SPOOL_FAILED, "a block lies where pymalloc would not put it");
	digest(arena->slot, arena->serial, offset / spool->pool_size, inside / size);
}
