// SPDX-License-Identifier: GPL-2.0
/*
 * L0: arena memory from the page allocator; nobody else calls that.
 *
 * Pages of one order are naturally aligned, so that an arena can be found from
 * any address inside it.  Where parts of an arena may be freed alone, it is still
 * allocated in one piece, and split into single pages when its first part is
 * freed: until then it costs no more than others, and can be freed as a whole.
 *
 * kmemleak does not scan pages by itself: each arena, or each of its parts, is
 * registered as memory that is scanned and never a leak, so that objects to
 * which only our blocks point are not reported.
 */
#include <linux/gfp.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>

#include "internal.h"

/**
 * kpy_pages_alloc() - allocate naturally aligned memory
 * @size: bytes, a power of two and at least a page
 * @part: bytes of a part that may be freed alone, a power of two; else @size
 * @gfp: how it may be allocated
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
 * kpy_pages_free() - free what kpy_pages_alloc() returned
 * @address: of the memory, 0 is ignored
 * @size: as kpy_pages_alloc() was told
 * @part: as kpy_pages_alloc() was told
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
 * kpy_pages_split() - split what kpy_pages_alloc() returned into single pages
 * @address: of the memory
 * @size: as kpy_pages_alloc() was told
 *
 * From now on kpy_pages_free_split() frees it, part by part.
 *
 * Context: Any but NMI.
 */
void kpy_pages_split(unsigned long address, size_t size)
{
	split_page(virt_to_page((void *)address), get_order(size));
}

/**
 * kpy_pages_free_split() - free some of what kpy_pages_split() made
 * @address: of the first part
 * @size: bytes of some parts in a row
 * @part: as kpy_pages_alloc() was told
 *
 * Context: Any but NMI.
 */
void kpy_pages_free_split(unsigned long address, size_t size, size_t part)
{
	forget(address, size, part);
	free_pages_exact((void *)address, size);
}
