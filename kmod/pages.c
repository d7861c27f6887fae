// SPDX-License-Identifier: GPL-2.0
/*
 * L0: arena memory from the page allocator, the only caller of it.
 *
 * Pages of one order are naturally aligned, which is what lets an arena be
 * found from any address inside it.  kmemleak does not look into pages by
 * itself: each arena is registered as memory to scan that is never a leak, so
 * that objects to which only our blocks point are not reported.
 */
#include <linux/gfp.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>

#include "internal.h"

/**
 * kpy_pages_alloc() - get naturally aligned memory
 * @size: bytes, a power of two of at least a page
 * @gfp: how it may be had
 *
 * Context: Any but NMI; sleeps if @gfp allows.
 * Return: the address, 0 if there is none.
 */
unsigned long kpy_pages_alloc(size_t size, gfp_t gfp)
{
	unsigned long address = __get_free_pages(gfp, get_order(size));

	if (address)
		kmemleak_alloc((void *)address, size, 0, gfp);
	return address;
}

/**
 * kpy_pages_free() - give back what kpy_pages_alloc() gave
 * @address: of the memory, 0 is ignored
 * @size: as it was asked for
 *
 * Context: Any but NMI.
 */
void kpy_pages_free(unsigned long address, size_t size)
{
	if (!address)
		return;
	kmemleak_free((void *)address);
	free_pages(address, get_order(size));
}
