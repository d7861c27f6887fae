/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kpyrecord.so - what its files share.
 *
 * Everything below runs under the one lock of hooks.c (or before main), on
 * libc's heap, which pymalloc never sees.  Nothing here may call back into
 * CPython, apart from python.c.
 */
#ifndef _KPY_RECORDER_H
#define _KPY_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "spool.h"

/* A preloaded library comes first in every look-up: it must not offer names by chance. */
#pragma GCC visibility push(hidden)

#define RAW_CLASS	UINT16_MAX	/* of a block outside the arenas */
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* PyMemAllocatorEx and PyObjectArenaAllocator */
struct allocator {
	void *ctx;
	void *(*malloc)(void *ctx, size_t size);
	void *(*calloc)(void *ctx, size_t nelem, size_t elsize);
	void *(*realloc)(void *ctx, void *p, size_t size);
	void (*free)(void *ctx, void *p);
};

struct arena_allocator {
	void *ctx;
	void *(*alloc)(void *ctx, size_t size);
	void (*free)(void *ctx, void *p, size_t size);
};

enum domain {				/* PyMemAllocatorDomain */
	DOMAIN_MEM = 1,
	DOMAIN_OBJ = 2,
	NR_DOMAINS
};

/* hooks.c: ends the recording; whether this thread carries out a recorded call */
void recorder_end(enum spool_end end, const char *why);
bool recorder_in_call(void);

/* python.c: the interpreter in this process */
bool python_find(void);
const char *python_missing(void);
const char *python_version(void);
void python_wrap(const struct allocator *hook);
void python_wrap_arenas(const struct arena_allocator *hook, struct arena_allocator *original);
char *python_stats(size_t *size);
bool python_main_interpreter(void);
bool python_can_print(void);
bool python_last_phase(void);

/* blocks.c: every live block by its address */
struct block {
	uintptr_t address;		/* 0: a vacant entry */
	uint64_t size;			/* as requested */
	uint64_t id : 48;
	uint64_t class : 16;		/* RAW_CLASS, or the one it was carved for */
};

struct block *block_find(const void *p);
bool block_add(const struct block *block);
void block_remove(struct block *block);

/* arenas.c: where the blocks lie */
extern struct placement {
	uint64_t digest;		/* FNV-1a of all places so far, by arena slot */
	uint64_t digest_serial;		/* the same by creation number */
	uint64_t arenas_total;		/* ever made */
	uint64_t arenas_live;
	bool foreign_arena;		/* one was made outside the main interpreter */
	char *losses;			/* of the arenas since the last state kept */
	size_t nr_losses;
} placement;

void arenas_init(void);
bool arena_holds(const void *p);
uint16_t place_class(const void *p, size_t size);
void place_note(const void *p, uint16_t class);

/* spool.c: the two files */
extern struct spool_head *spool;

bool spool_open(void);
bool spool_claim(void);
void spool_put(uint64_t value);
uint64_t spool_stream_size(void);
void spool_put_state(const struct spool_state *state, const char *text, const char *losses);

#pragma GCC visibility pop

#endif
