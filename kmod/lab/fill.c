// SPDX-License-Identifier: GPL-2.0
/*
 * Fill patterns, to prove that blocks do not overlap.
 *
 * A block is filled with a sequence of 64-bit words that depends on its id, on
 * how often it was resized and on the round of the replay.  So the contents of a
 * neighbour, of an earlier block at the same address, or of the same block at
 * another offset do not match.  Blocks are at least 8-byte aligned; the last
 * word may be cut off.
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
 * lab_fill_seed - the seed of a block's pattern
 * @id: id of the block
 * @gen: generation of the pattern
 * @round: round of the replay
 *
 * Return: the seed, unique as far as 64 bits allow.
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
 * @seed: seed of the pattern
 * @offset: offset of the byte
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
 * @len: size of the block
 * @seed: seed of the pattern
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
 * lab_fill_check - find the first byte that does not match a pattern
 * @ptr: block
 * @len: bytes to check
 * @seed: seed of the pattern
 *
 * Return: offset of the byte, @len if all match.
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
