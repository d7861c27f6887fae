// SPDX-License-Identifier: GPL-2.0
/*
 * Pages, kmalloc(), vmalloc(), caches and per-CPU memory.
 *
 * All that is alive is known with its size and who asked for it, so that what is
 * freed is checked and what is left at the end of a case is named.  Pages come from
 * one piece of memory that stands for the direct map; what is free of it is poisoned
 * for ASan.  An allocation may be made to fail.
 */
#include <stdlib.h>
#include <sched.h>
#include <sys/mman.h>
#include <sanitizer/asan_interface.h>

#include "sim.h"

#define RAM_BYTES	(256UL << 20)
#define VMALLOC_BYTES	(256UL << 20)
#define PERCPU_BYTES	(4UL << 20)	/* of a CPU */
#define KMALLOC_MAX	(4UL << 20)
#define BUCKETS		16384
#define FRAMES		6
#define NO_ASAN		__attribute__((no_sanitize("address", "thread"), __noinline__))

/**
 * struct zone - memory that is handed out by pages
 * @base: where it begins
 * @nr: pages
 * @next: where the search goes on, so that what was freed rests for a while
 * @used: by page
 */
struct zone {
	char *base;
	unsigned long nr;
	unsigned long next;
	bool *used;
};

/* Something alive. */
struct object {
	struct object *next;
	const void *ptr;
	size_t size;
	gfp_t gfp;
	enum sim_kind kind;
	const struct kmem_cache *cache;
	void *frames[FRAMES];
};

struct kmem_cache {
	const char *name;
	size_t size;
	unsigned int flags;
	unsigned long live;
};

static const char *const kinds[] = {
	"pages", "kmalloc", "vmalloc", "cache", "percpu", "kmemleak"
};

static struct zone ram, vmalloc_zone, percpu_zone;
static struct object *objects[BUCKETS];
static char *static_percpu;
static int lock_word;
static struct {
	unsigned int kinds;
	unsigned int nth;
	bool always;
} fault;

char *sim_ram;
void *high_memory;
bool sim_init_on_alloc, sim_init_on_free, sim_kfence;
unsigned int sim_faults;
unsigned long sim_allocs[SIM_KINDS];
struct shrinker *sim_shrinker;
unsigned long sim_reclaimed;

extern char __start_sim_percpu[], __stop_sim_percpu[];

/* No lock that TSan sees: it would order what the tests leave unordered. */
static void lock(void)
{
	while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unlock(void)
{
	__atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
}

/* ---- zones ---- */

static void zone_init(struct zone *zone, size_t bytes, size_t more)
{
	zone->nr = bytes / PAGE_SIZE;
	zone->base = mmap(NULL, bytes + more + KMALLOC_MAX, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	zone->used = calloc(zone->nr, sizeof(*zone->used));
	if (zone->base == MAP_FAILED || !zone->used)
		sim_fail("no memory for a zone");
	zone->base = (char *)ALIGN((unsigned long)zone->base, KMALLOC_MAX);
	ASAN_POISON_MEMORY_REGION(zone->base, bytes + more);
}

static bool zone_fits(const struct zone *zone, unsigned long at, unsigned long n)
{
	unsigned long i;

	for (i = at; i < at + n; i++)
		if (zone->used[i])
			return false;
	return true;
}

static void *zone_alloc(struct zone *zone, unsigned long n, unsigned long align)
{
	unsigned long at = ALIGN(zone->next, align), tries;

	for (tries = 0; tries <= zone->nr / align; tries++, at += align) {
		if (at + n > zone->nr)
			at = 0;
		if (at + n > zone->nr || !zone_fits(zone, at, n))
			continue;
		memset(&zone->used[at], true, n);
		zone->next = at + n;
		return zone->base + at * PAGE_SIZE;
	}
	return NULL;
}

static void zone_free(struct zone *zone, const void *ptr, unsigned long n)
{
	memset(&zone->used[((char *)ptr - zone->base) / PAGE_SIZE], false, n);
	ASAN_POISON_MEMORY_REGION(ptr, n * PAGE_SIZE);
}

static bool zone_has(const struct zone *zone, const void *ptr)
{
	return (unsigned long)((char *)ptr - zone->base) < zone->nr * PAGE_SIZE;
}

void sim_memory_init(void)
{
	size_t size = __stop_sim_percpu - __start_sim_percpu;
	int cpu;

	zone_init(&ram, RAM_BYTES, 0);
	zone_init(&vmalloc_zone, VMALLOC_BYTES, 0);
	zone_init(&percpu_zone, PERCPU_BYTES, NR_CPUS * PERCPU_BYTES);
	sim_ram = ram.base;
	high_memory = ram.base + RAM_BYTES;
	static_percpu = malloc(NR_CPUS * size);
	for_each_possible_cpu(cpu)
		memcpy(static_percpu + cpu * size, __start_sim_percpu, size);
}

/* ---- what is alive ---- */

static unsigned long bucket_index(enum sim_kind kind, const void *ptr)
{
	return ((unsigned long)ptr / 16 + kind * 7919) % BUCKETS;
}

static struct object **bucket(enum sim_kind kind, const void *ptr)
{
	struct object **at = &objects[bucket_index(kind, ptr)];

	while (*at && ((*at)->ptr != ptr || (*at)->kind != kind))
		at = &(*at)->next;
	return at;
}

/* By frame pointers: as far as they lead upwards. */
NO_ASAN static void get_frames(void **frames)
{
	void **frame = __builtin_frame_address(0), **next;
	int i;

	for (i = 0; i < FRAMES; i++) {
		frames[i] = frame[1];
		next = frame[0];
		if (next <= frame || (char *)next - (char *)frame > 64 << 10)
			break;
		frame = next;
	}
	while (++i < FRAMES)
		frames[i] = NULL;
}

static void add(enum sim_kind kind, const void *ptr, size_t size, gfp_t gfp,
		const struct kmem_cache *cache)
{
	struct object *o = malloc(sizeof(*o)), **at;

	*o = (struct object){ .ptr = ptr, .size = size, .gfp = gfp, .kind = kind, .cache = cache };
	get_frames(o->frames);
	lock();
	at = bucket(kind, ptr);
	if (*at)
		sim_fail("%s: %p is alive already", kinds[kind], ptr);
	*at = o;
	unlock();
}

/* Forgets an object that must be there, and returns how big it was. */
static size_t drop(enum sim_kind kind, const void *ptr, const struct kmem_cache *cache)
{
	struct object **at, *o;
	size_t size;

	lock();
	at = bucket(kind, ptr);
	o = *at;
	if (!o)
		sim_fail("%s: %p is not alive, and freed", kinds[kind], ptr);
	if (o->cache != cache)
		sim_fail("%s: %p is of another cache", kinds[kind], ptr);
	*at = o->next;
	unlock();
	size = o->size;
	free(o);
	return size;
}

static bool is_alive(enum sim_kind kind, const void *ptr)
{
	bool alive;

	lock();
	alive = *bucket(kind, ptr);
	unlock();
	return alive;
}

/* The one after @o, or the first one. */
static struct object *next_object(const struct object *o)
{
	unsigned long i = 0;

	if (o && o->next)
		return o->next;
	if (o)
		i = bucket_index(o->kind, o->ptr) + 1;
	while (i < BUCKETS && !objects[i])
		i++;
	return i < BUCKETS ? objects[i] : NULL;
}

#define for_each_object(o) for ((o) = next_object(NULL); (o); (o) = next_object(o))

unsigned long sim_live(enum sim_kind kind)
{
	const struct object *o;
	unsigned long n = 0;

	for_each_object(o)
		n += o->kind == kind;
	return n;
}

unsigned long sim_live_all(void)
{
	unsigned long n = 0;
	int kind;

	for (kind = 0; kind < SIM_KINDS; kind++)
		n += sim_live(kind);
	return n;
}

unsigned long sim_charged(enum sim_kind kind)
{
	const struct object *o;
	unsigned long n = 0;

	for_each_object(o)
		n += o->kind == kind && o->gfp & __GFP_ACCOUNT;
	return n;
}

__weak void __sanitizer_symbolize_pc(void *pc, const char *fmt, char *out, size_t size);

static void print_frame(void *pc)
{
	char text[256] = "";

	if (__sanitizer_symbolize_pc)
		__sanitizer_symbolize_pc((char *)pc - 1, "%f %S", text, sizeof(text));
	printf("    %p %s\n", pc, text);
}

void sim_check_leaks(void)
{
	const struct object *o;
	unsigned long n = 0;
	int j;

	for_each_object(o) {
		if (n++ >= 4)
			continue;
		printf("%s: %zu bytes at %p were never freed, had by\n", kinds[o->kind], o->size,
		       o->ptr);
		for (j = 0; j < FRAMES && o->frames[j]; j++)
			print_frame(o->frames[j]);
	}
	if (n)
		sim_fail("%lu objects are left", n);
}

/* ---- faults ---- */

void sim_fail_nth(unsigned int of_kinds, unsigned int nth)
{
	fault.kinds = of_kinds;
	fault.nth = nth;
	fault.always = false;
}

void sim_fail_always(unsigned int of_kinds)
{
	fault.kinds = of_kinds;
	fault.always = of_kinds;
}

static bool is_to_fail(enum sim_kind kind)
{
	bool fails = fault.kinds & BIT(kind) && (fault.always || (fault.nth && !--fault.nth));

	sim_faults += fails;
	return fails;
}

static void check_context(const char *what)
{
	if (sim_current->raw)
		sim_fail("%s with a raw spinlock held", what);
}

/* What each allocation has to bear; false if it fails. */
static bool may_alloc(enum sim_kind kind, gfp_t gfp)
{
	bool fails;

	check_context(kinds[kind]);
	might_alloc(gfp);
	if (gfp & GFP_ZONEMASK)
		sim_fail("%s from a zone: gfp %#x", kinds[kind], gfp);
	lock();
	sim_allocs[kind]++;
	fails = is_to_fail(kind);
	unlock();
	return !fails;
}

static void fill(void *ptr, size_t size, gfp_t gfp)
{
	memset(ptr, want_init_on_alloc(gfp) ? 0 : 0xa5, size);
}

/* ---- pages ---- */

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
	size_t size = PAGE_SIZE << order;
	void *ptr = NULL;

	if (size > KMALLOC_MAX)
		sim_fail("order %u is too much", order);
	if (!may_alloc(SIM_PAGES, gfp))
		return 0;
	lock();
	ptr = zone_alloc(&ram, size / PAGE_SIZE, size / PAGE_SIZE);
	unlock();
	if (!ptr)
		return 0;
	ASAN_UNPOISON_MEMORY_REGION(ptr, size);
	fill(ptr, size, gfp);
	add(SIM_PAGES, ptr, size, gfp, NULL);
	return (unsigned long)ptr;
}

void sim_next_page(const void *address)
{
	ram.next = ((char *)address - ram.base) / PAGE_SIZE;
}

static void pages_gone(void *ptr, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += PAGE_SIZE)
		if (is_alive(SIM_KMEMLEAK, ptr + at))
			sim_fail("pages are freed that kmemleak scans");
	lock();
	zone_free(&ram, ptr, size / PAGE_SIZE);
	unlock();
}

void free_pages(unsigned long address, unsigned int order)
{
	size_t size = drop(SIM_PAGES, (void *)address, NULL);

	check_context("free_pages()");
	if (size != PAGE_SIZE << order)
		sim_fail("free_pages() of %lu bytes that have %zu", PAGE_SIZE << order, size);
	pages_gone((void *)address, size);
}

void split_page(struct page *page, unsigned int order)
{
	void *ptr = page;
	size_t size = drop(SIM_PAGES, ptr, NULL), at;

	if (size != PAGE_SIZE << order)
		sim_fail("split_page() of %lu bytes that have %zu", PAGE_SIZE << order, size);
	for (at = 0; at < size; at += PAGE_SIZE)
		add(SIM_PAGES, ptr + at, PAGE_SIZE, 0, NULL);
}

void free_pages_exact(void *ptr, size_t size)
{
	size_t at;

	for (at = 0; at < size; at += PAGE_SIZE)
		free_pages((unsigned long)ptr + at, 0);
}

void kmemleak_alloc(const void *ptr, size_t size, int min_count, gfp_t gfp)
{
	if (!zone_has(&ram, ptr))
		sim_fail("kmemleak_alloc() of what are no pages");
	add(SIM_KMEMLEAK, ptr, size, gfp, NULL);
}

void kmemleak_free(const void *ptr)
{
	drop(SIM_KMEMLEAK, ptr, NULL);
}

/* ---- kmalloc(), vmalloc() ---- */

#define ZERO_SIZE_PTR ((void *)16)

void *kmalloc(size_t size, gfp_t gfp)
{
	void *ptr;

	if (!may_alloc(SIM_KMALLOC, gfp) || size > KMALLOC_MAX)
		return NULL;
	if (!size)
		return ZERO_SIZE_PTR;
	ptr = malloc(size);
	fill(ptr, size, gfp);
	add(SIM_KMALLOC, ptr, size, gfp, NULL);
	return ptr;
}

void kfree(const void *ptr)
{
	size_t size;

	check_context("kfree()");
	if (!ptr || ptr == ZERO_SIZE_PTR)
		return;
	size = drop(SIM_KMALLOC, ptr, NULL);
	memset((void *)ptr, 0x6b, size);
	free((void *)ptr);
}

static size_t size_of(const void *ptr)
{
	size_t size;

	lock();
	if (!*bucket(SIM_KMALLOC, ptr))
		sim_fail("%p is no object of kmalloc()", ptr);
	size = (*bucket(SIM_KMALLOC, ptr))->size;
	unlock();
	return size;
}

void *krealloc(const void *ptr, size_t size, gfp_t gfp)
{
	void *new = kmalloc(size, gfp);

	if (new && ptr) {
		memcpy(new, ptr, min(size, size_of(ptr)));
		kfree(ptr);
	}
	return new;
}

bool is_vmalloc_addr(const void *ptr)
{
	return zone_has(&vmalloc_zone, ptr);
}

bool is_kfence_address(const void *ptr)
{
	return sim_kfence;
}

static void *vmalloc(size_t size, gfp_t gfp)
{
	unsigned long pages = PAGE_ALIGN(size) / PAGE_SIZE;
	void *ptr;

	if (!(gfp & __GFP_DIRECT_RECLAIM) || size > INT_MAX || !may_alloc(SIM_VMALLOC, gfp))
		return NULL;
	lock();
	ptr = zone_alloc(&vmalloc_zone, pages, 1);
	unlock();
	if (!ptr)
		return NULL;
	ASAN_UNPOISON_MEMORY_REGION(ptr, size);
	fill(ptr, size, gfp);
	add(SIM_VMALLOC, ptr, size, gfp, NULL);
	return ptr;
}

/* One that is to fail fails both ways. */
void *kvmalloc(size_t size, gfp_t gfp)
{
	unsigned int faults = sim_faults;
	void *ptr = kmalloc(size, gfp);

	if (ptr || size <= PAGE_SIZE || sim_faults != faults)
		return ptr;
	return vmalloc(size, gfp);
}

void kvfree(const void *ptr)
{
	size_t size;

	if (!is_vmalloc_addr(ptr)) {
		kfree(ptr);
		return;
	}
	might_sleep();
	size = drop(SIM_VMALLOC, ptr, NULL);
	lock();
	zone_free(&vmalloc_zone, ptr, PAGE_ALIGN(size) / PAGE_SIZE);
	unlock();
}

size_t kmalloc_size_roundup(size_t size)
{
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return PAGE_SIZE << get_order(size);
	if (size > 64 && size <= 96)
		return 96;
	if (size > 128 && size <= 192)
		return 192;
	return roundup_pow_of_two(max_t(size_t, size, 8));
}

/* ---- caches ---- */

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
				     unsigned int flags, void (*ctor)(void *ptr))
{
	struct kmem_cache *cache = kmalloc(sizeof(*cache), GFP_KERNEL);

	if (cache)
		*cache = (struct kmem_cache){ .name = name, .size = size, .flags = flags };
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	might_sleep();
	if (!cache)
		return;
	if (cache->live)
		sim_fail("cache %s goes with %lu objects alive", cache->name, cache->live);
	kfree(cache);
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *ptr;

	if (!may_alloc(SIM_CACHE, gfp))
		return NULL;
	ptr = malloc(cache->size);
	fill(ptr, cache->size, gfp);
	add(SIM_CACHE, ptr, cache->size, gfp, cache);
	__atomic_fetch_add(&cache->live, 1, __ATOMIC_RELAXED);
	return ptr;
}

void kmem_cache_free(struct kmem_cache *cache, void *ptr)
{
	check_context("kmem_cache_free()");
	drop(SIM_CACHE, ptr, cache);
	__atomic_fetch_sub(&cache->live, 1, __ATOMIC_RELAXED);
	memset(ptr, 0x6b, cache->size);
	free(ptr);
}

/* ---- per-CPU memory ---- */

/*
 * The pointer that is handed out is poisoned, always: each CPU's copy lies behind it.
 * Static ones have copies of their own.
 */
NO_ASAN void *sim_per_cpu(const void *ptr, int cpu)
{
	size_t size = __stop_sim_percpu - __start_sim_percpu;
	char *p = (char *)ptr;

	if ((unsigned int)cpu >= NR_CPUS)
		sim_fail("there is no CPU %d", cpu);
	if (zone_has(&percpu_zone, ptr))
		return p + (cpu + 1) * PERCPU_BYTES;
	if (p < __start_sim_percpu || p >= __stop_sim_percpu)
		sim_fail("%p is not per CPU", ptr);
	return static_percpu + cpu * size + (p - __start_sim_percpu);
}

void *sim_this_cpu(const void *ptr)
{
	if (!sim_current->depth[SIM_TASK] && sim_current->level == SIM_TASK)
		sim_fail("this CPU's memory is used where the CPU may change");
	return sim_per_cpu(ptr, sim_current->cpu);
}

void *__alloc_percpu_gfp(size_t size, size_t align, gfp_t gfp)
{
	void *ptr;
	int cpu;

	if (!may_alloc(SIM_PERCPU, gfp))
		return NULL;
	lock();
	ptr = zone_alloc(&percpu_zone, PAGE_ALIGN(size) / PAGE_SIZE, 1);
	unlock();
	if (!ptr)
		return NULL;
	for_each_possible_cpu(cpu) {
		ASAN_UNPOISON_MEMORY_REGION(ptr + (cpu + 1) * PERCPU_BYTES, size);
		memset(ptr + (cpu + 1) * PERCPU_BYTES, 0, size);
	}
	add(SIM_PERCPU, ptr, size, gfp, NULL);
	return ptr;
}

void free_percpu(void *ptr)
{
	size_t size;
	int cpu;

	if (!ptr)
		return;
	check_context("free_percpu()");
	size = PAGE_ALIGN(drop(SIM_PERCPU, ptr, NULL));
	for_each_possible_cpu(cpu)
		ASAN_POISON_MEMORY_REGION(ptr + (cpu + 1) * PERCPU_BYTES, size);
	lock();
	zone_free(&percpu_zone, ptr, size / PAGE_SIZE);
	unlock();
}

/* ---- looks at any memory ---- */

NO_ASAN unsigned long sim_read_nocheck(const unsigned long *word)
{
	return *(const volatile unsigned long *)word;
}

void sim_copy(void *to, const void *from, size_t size)
{
	while (size--)
		((volatile char *)to)[size] = ((const volatile char *)from)[size];
}

NO_ASAN long copy_from_kernel_nofault(void *to, const void *from, size_t size)
{
	size_t i;

	if (!zone_has(&ram, from) || !zone_has(&ram, from + size - 1))
		return -EFAULT;
	for (i = 0; i < size; i++)
		((volatile char *)to)[i] = ((const volatile char *)from)[i];
	return 0;
}

/* ---- the shrinker ---- */

struct shrinker *shrinker_alloc(unsigned int flags, const char *name)
{
	return kzalloc(sizeof(struct shrinker), GFP_KERNEL);
}

void shrinker_register(struct shrinker *shrinker)
{
	if (sim_shrinker || !shrinker->count_objects || !shrinker->scan_objects)
		sim_fail("a shrinker is registered twice, or without its functions");
	sim_shrinker = shrinker;
}

void shrinker_free(struct shrinker *shrinker)
{
	might_sleep();
	sim_shrinker = NULL;
	kfree(shrinker);
}

void mm_account_reclaimed_pages(unsigned long pages)
{
	sim_reclaimed += pages;
}

/* As sort(), for functions that compare either way alike. */
void sim_sort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	char *a = base;
	int up, down;

	qsort(base, n, size, cmp);
	for (; n > 1; n--, a += size) {
		up = cmp(a, a + size);
		down = cmp(a + size, a);
		if (up > 0 || down < 0 || !up != !down)
			sim_fail("sorted by a function that gives %d and %d", up, down);
	}
}
