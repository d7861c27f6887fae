// SPDX-License-Identifier: GPL-2.0
/*
 * The patterns that prove that blocks do not overlap.
 *
 * A block is filled with a sequence of 64-bit words that depends on its id,
 * on how often it was resized and on the round of the replay, so that neither
 * a neighbour, nor an earlier owner of the same place, nor the same block at
 * an offset looks right.  Blocks are at least 8-byte aligned; the last word
 * may be cut off.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>

#include "lab.h"

#define FILL_STEP	0x9e3779b97f4a7c15ULL	/* odd, 2^64 over the golden ratio */

static __le64 fill_word(u64 seed, size_t index)
{
	return cpu_to_le64(seed + index * FILL_STEP);
}

/**
 * lab_fill_seed - what the pattern of a block starts from
 * @id: of the block
 * @gen: its generation
 * @round: of the replay
 *
 * Return: the seed, equal for equal arguments only as far as 64 bits go.
 */
u64 lab_fill_seed(u64 id, u32 gen, u64 round)
{
	u64 x = (id << 15 | gen) ^ round << 48;

	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;	/* the finaliser of MurmurHash3 */
	x ^= x >> 33;
	return x;
}

/**
 * lab_fill_byte - one byte of a pattern
 * @seed: of the pattern
 * @offset: which
 *
 * Return: the byte.
 */
u8 lab_fill_byte(u64 seed, size_t offset)
{
	__le64 word = fill_word(seed, offset / sizeof(word));

	return ((const u8 *)&word)[offset % sizeof(word)];
}

/**
 * lab_fill - write a pattern
 * @ptr: block
 * @len: its bytes
 * @seed: of the pattern
 */
void lab_fill(void *ptr, size_t len, u64 seed)
{
	size_t words = len / sizeof(__le64), i;
	__le64 *p = ptr, rest;

	for (i = 0; i < words; i++)
		p[i] = fill_word(seed, i);
	rest = fill_word(seed, words);
	memcpy(p + words, &rest, len % sizeof(rest));
}

/**
 * lab_fill_check - find the first byte that is not the pattern's
 * @ptr: block
 * @len: bytes to look at
 * @seed: of the pattern
 *
 * Return: its offset, @len if there is none.
 */
size_t lab_fill_check(const void *ptr, size_t len, u64 seed)
{
	size_t words = len / sizeof(__le64), i, offset;
	const __le64 *p = ptr;
	const u8 *byte = ptr;

	for (i = 0; i < words; i++)
		if (p[i] != fill_word(seed, i))
			break;
	for (offset = i * sizeof(*p); offset < len; offset++)
		if (byte[offset] != lab_fill_byte(seed, offset))
			break;
	return offset;
}
