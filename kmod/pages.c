// SPDX-License-Identifier: GPL-2.0
/*
 * L0: arena memory from the page allocator, the only caller of it.
 *
 * Pages of one order are naturally aligned, which is what lets an arena be
 * found from any address inside it.  Where parts of an arena may go back alone
 * it is had in one piece all the same, and made single pages when the first of
 * them goes: until then it costs no more than others, and may go as a whole.
 *
 * kmemleak does not look into pages by itself: each arena, or each of its parts,
 * is registered as memory to scan that is never a leak, so that objects to
 * which only our blocks point are not reported.
 */
#include <linux/gfp.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>

#include "internal.h"

/**
 * kpy_pages_alloc() - get naturally aligned memory
 * @size: bytes, a power of two of at least a page
 * @part: bytes, a power of two, of what may go back alone; else @size
 * @gfp: how it may be had
 *
 * Context: Any but NMI; sleeps if @gfp allows.
 * Return: the address, 0 if there is none.
 */
unsigned long kpy_pages_alloc(size_t size, size_t part, gfp_t gfp)
{
	unsigned long address = __get_free_pages(gfp, get_order(size));
	size_t at;

	for (at = 0; address && at < size; at += part)
		kmemleak_alloc((void *)address + at, part, 0, gfp);
	return address;
}

static void forget(unsigned long address, size_t size, size_t part)
{
	size_t at;

	for (at = 0; at < size; at += part)
		kmemleak_free((void *)address + at);
}

/**
 * kpy_pages_free() - give back what kpy_pages_alloc() gave
 * @address: of the memory, 0 is ignored
 * @size: as it was asked for
 * @part: likewise
 *
 * Context: Any but NMI.
 */
void kpy_pages_free(unsigned long address, size_t size, size_t part)
{
	if (!address)
		return;
	forget(address, size, part);
	free_pages(address, get_order(size));
}

/**
 * kpy_pages_split() - make single pages of what kpy_pages_alloc() gave
 * @address: of the memory
 * @size: as it was asked for
 *
 * From now on it is given back by kpy_pages_free_split(), part by part.
 *
 * Context: Any but NMI.
 */
void kpy_pages_split(unsigned long address, size_t size)
{
	split_page(virt_to_page((void *)address), get_order(size));
}

/**
 * kpy_pages_free_split() - give back some of what kpy_pages_split() made
 * @address: where it begins
 * @size: bytes, some parts
 * @part: as kpy_pages_alloc() was told
 *
 * Context: Any but NMI.
 */
void kpy_pages_free_split(unsigned long address, size_t size, size_t part)
{
	forget(address, size, part);
	free_pages_exact((void *)address, size);
}
