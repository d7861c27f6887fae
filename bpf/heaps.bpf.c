// SPDX-License-Identifier: GPL-2.0
/*
 * A table of the module's heaps that can be read without kpy:
 *
 *	bpftool iter pin heaps.bpf.o /sys/fs/bpf/kpy_heaps
 *	cat /sys/fs/bpf/kpy_heaps
 *
 * A module cannot add a BPF iterator type, so this uses the one over BPF maps: at
 * least one map always exists, and at the first, all heaps are printed.  Heaps are
 * read without their locks; in mode percpu, BLOCKS and BYTES include blocks cached
 * on CPUs.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MAX_HEAPS	4096
#define MAX_ARENAS	(1 << 20)

extern const void kpy_heaps __ksym;	/* a static list_head in kmod/heaps.c */

char LICENSE[] SEC("license") = "GPL";

struct walk {
	struct seq_file *seq;
	struct list_head *head;
	struct list_head *at;
	struct kpy_heap *heap;
	__u64 n;
	__u64 bytes;
};

/* False at the end of the list. */
static __always_inline bool walk_on(struct walk *w)
{
	struct list_head *at = w->at;

	w->at = BPF_CORE_READ(at, next);
	return w->at && w->at != w->head;
}

static long count_usable(__u32 i, struct walk *w)
{
	if (!walk_on(w))
		return 1;
	w->n++;
	return 0;
}

static long add_class(__u32 szidx, struct walk *w)
{
	struct kpy_heap *heap = w->heap;
	struct kpy_class *class = (void *)&heap->class +
				  szidx * bpf_core_type_size(struct kpy_class);

	__u64 in_use = BPF_CORE_READ(class, in_use);

	w->n += in_use;
	w->bytes += in_use * (szidx + 1) * BPF_CORE_READ(heap, geo.alignment);
	return 0;
}

static __always_inline __u64 usable_arenas(struct kpy_heap *heap)
{
	struct walk w = { .head = &heap->usable_arenas, .at = &heap->usable_arenas };

	bpf_loop(MAX_ARENAS, count_usable, &w, 0);
	return w.n;
}

/* Sums up both @n and @bytes. */
static __always_inline struct walk blocks(struct kpy_heap *heap)
{
	struct walk w = { .heap = heap };

	bpf_loop(BPF_CORE_READ(heap, nr_classes), add_class, &w, 0);
	return w;
}

static long print_heap(__u32 i, struct walk *w)
{
	struct kpy_counters c;
	struct kpy_heap *heap;
	struct walk small;
	char name[32];

	if (!walk_on(w))
		return 1;
	heap = (void *)w->at - bpf_core_field_offset(struct kpy_heap, registry);
	BPF_CORE_READ_STR_INTO(&name, heap, name);
	BPF_CORE_READ_INTO(&c, heap, c);
	small = blocks(heap);
	BPF_SEQ_PRINTF(w->seq, "%4u %-31s %7llu %7llu %12llu", BPF_CORE_READ(heap, id), name,
		       c.arenas_current, usable_arenas(heap), small.n);
	BPF_SEQ_PRINTF(w->seq, " %14llu %7llu %14llu %14llu\n", small.bytes,
		       c.large_blocks, c.large_bytes, c.held_bytes);
	return 0;
}

SEC("iter/bpf_map")
int heaps(struct bpf_iter__bpf_map *ctx)
{
	struct walk w = {
		.seq = ctx->meta->seq,
		.head = (struct list_head *)&kpy_heaps,
		.at = (struct list_head *)&kpy_heaps,
	};

	if (ctx->meta->seq_num || !ctx->map)
		return 0;
	BPF_SEQ_PRINTF(w.seq, "%4s %-31s %7s %7s %12s", "ID", "NAME", "ARENAS", "USABLE", "BLOCKS");
	BPF_SEQ_PRINTF(w.seq, " %14s %7s %14s %14s\n", "BYTES", "LARGE", "LARGE_BYTES", "HELD_BYTES");
	bpf_loop(MAX_HEAPS, print_heap, &w, 0);
	return 0;
}
