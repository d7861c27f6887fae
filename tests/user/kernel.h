/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's helpers, as much of them as kmod/ and the KUnit suites use, in user
 * space.  Every <linux/x.h> is a generated stub that includes this file.
 *
 * What can be copied from the kernel in a line or two stands here; what keeps a state
 * and is checked is in context.c, memory.c and time.c; what only tests of user space
 * may call is in sim.h.
 */
#ifndef _KPY_USER_KERNEL_H
#define _KPY_USER_KERNEL_H

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- configuration ---- */

#define CONFIG_DEBUG_SPINLOCK		1
#define CONFIG_PROVE_LOCKING		1
#define CONFIG_DEBUG_ATOMIC_SLEEP	1

#define __ARG_PLACEHOLDER_1		0,
#define __take_second_arg(__ignored, val, ...) val
#define __is_defined(x)			___is_defined(x)
#define ___is_defined(val)		____is_defined(__ARG_PLACEHOLDER_##val)
#define ____is_defined(arg1_or_junk)	__take_second_arg(arg1_or_junk 1, 0)
#define IS_ENABLED(option)		__is_defined(option)

/* ---- compiler ---- */

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int32_t s32;
typedef long long s64;
typedef unsigned int gfp_t;

#define U8_MAX		((u8)~0U)
#define U16_MAX		((u16)~0U)
#define U32_MAX		((u32)~0U)
#define U64_MAX		((u64)~0ULL)
#define BITS_PER_LONG	64

#undef __always_inline
#undef noinline
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define __always_inline	inline __attribute__((__always_inline__))
#define noinline	__attribute__((__noinline__))
#define __printf(a, b)
#define __percpu
#define __init
#define __exit
#define __bpf_kfunc	noinline
#define __weak		__attribute__((__weak__))
#define __noreturn	__attribute__((__noreturn__))
#define __section(s)	__attribute__((__section__(s)))
#define __aligned(n)	__attribute__((__aligned__(n)))
#define _RET_IP_	((unsigned long)__builtin_return_address(0))
#define barrier()	asm volatile("" : : : "memory")
#define OPTIMIZER_HIDE_VAR(var)	asm("" : "=r" (var) : "0" (var))
#define static_assert(expr, ...) _Static_assert(expr, "" __VA_ARGS__)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define struct_group_tagged(TAG, NAME, ...)	\
	union {					\
		struct { __VA_ARGS__ };		\
		struct TAG { __VA_ARGS__ } NAME;	\
	}

/* Volatile accesses are no races, nor is a copy by data_race(): TSan passes them by. */
#define data_race(var) ({				\
	typeof(var) __copy;				\
							\
	sim_copy((void *)&__copy, &(var), sizeof(__copy));	\
	__copy;						\
})
#define READ_ONCE(x)		(*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, val)	(*(volatile typeof(x) *)&(x) = (val))
#define READ_ONCE_NOCHECK(x)	sim_read_nocheck(&(x))
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_wmb()		barrier()
#define smp_rmb()		barrier()

void sim_copy(void *to, const void *from, size_t size);
void sim_sort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *));
unsigned long sim_read_nocheck(const unsigned long *word);
void sim_relax(void);

/* ---- numbers ---- */

#define min(a, b) ({ typeof(a) __a = (a); typeof(b) __b = (b); __a < __b ? __a : __b; })
#define max(a, b) ({ typeof(a) __a = (a); typeof(b) __b = (b); __a > __b ? __a : __b; })
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define clamp(val, lo, hi)	min((typeof(val))max(val, lo), hi)
#define swap(a, b) do { typeof(a) __t = (a); (a) = (b); (b) = __t; } while (0)

#define BIT(nr)			(1UL << (nr))
#define ALIGN(x, a)		(((x) + ((typeof(x))(a) - 1)) & ~((typeof(x))(a) - 1))
#define ALIGN_DOWN(x, a)	((x) & ~((typeof(x))(a) - 1))
#define IS_ALIGNED(x, a)	(((x) & ((typeof(x))(a) - 1)) == 0)
#define round_up(x, y)		ALIGN(x, y)
#define sort(base, n, size, cmp, swap)	sim_sort(base, n, size, cmp)
#define roundup(x, y)		(((x) + (y) - 1) / (y) * (y))
#define check_mul_overflow(a, b, d)	__builtin_mul_overflow(a, b, d)
#define fls(x)			((x) ? 32 - __builtin_clz(x) : 0)
#define ilog2(n)		(63 - __builtin_clzl(n))
#define is_power_of_2(n)	((n) && !((n) & ((n) - 1)))
#define hash_ptr(ptr, bits) \
	((u32)((unsigned long)(ptr) * 0x61C8864680B583EBull >> (64 - (bits))))

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	return n > 1 ? 1UL << (ilog2(n - 1) + 1) : 1;
}

#define SZ_2K			0x800
#define SZ_4K			0x1000
#define SZ_8K			0x2000
#define SZ_16K			0x4000
#define SZ_32K			0x8000
#define SZ_64K			0x10000
#define SZ_128K			0x20000
#define SZ_256K			0x40000
#define SZ_1M			0x100000
#define SZ_8M			0x800000

/* ---- errors ---- */

#define MAX_ERRNO		4095
#define IS_ERR(ptr)		((unsigned long)(ptr) >= (unsigned long)-MAX_ERRNO)
#define ERR_PTR(err)		((void *)(long)(err))
#define PTR_ERR(ptr)		((long)(ptr))
#define PTR_ERR_OR_ZERO(ptr)	(IS_ERR(ptr) ? (int)PTR_ERR(ptr) : 0)

/* ---- text ---- */

#define kbasename(path) (strrchr(path, '/') ? strrchr(path, '/') + 1 : (path))

ssize_t strscpy(char *to, const char *from, size_t size);
int scnprintf(char *buf, size_t size, const char *fmt, ...);
int match_string(const char *const *array, size_t n, const char *string);
int kstrtoull(const char *text, unsigned int base, u64 *to);
void *memchr_inv(const void *from, int c, size_t bytes);

#define pr_fmt(fmt)		fmt
#define pr_warn(fmt, ...)	sim_log(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_notice(fmt, ...)	sim_log(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info(fmt, ...)	sim_log(pr_fmt(fmt), ##__VA_ARGS__)
#define WARN(cond, fmt, ...) do {		\
	if (cond)				\
		sim_warn(fmt, ##__VA_ARGS__);	\
} while (0)

void sim_log(const char *fmt, ...);
void sim_warn(const char *fmt, ...);

/* ---- bitmaps ---- */

#define BITS_TO_LONGS(nr)		(((nr) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits)	unsigned long name[BITS_TO_LONGS(bits)]
#define BITMAP_BYTES(bits)		(BITS_TO_LONGS(bits) * sizeof(long))

static inline bool test_bit(unsigned int nr, const unsigned long *map)
{
	return READ_ONCE(map[nr / BITS_PER_LONG]) >> nr % BITS_PER_LONG & 1;
}

static inline void __set_bit(unsigned int nr, unsigned long *map)
{
	map[nr / BITS_PER_LONG] |= BIT(nr % BITS_PER_LONG);
}

static inline void __clear_bit(unsigned int nr, unsigned long *map)
{
	map[nr / BITS_PER_LONG] &= ~BIT(nr % BITS_PER_LONG);
}

static inline bool __test_and_set_bit(unsigned int nr, unsigned long *map)
{
	bool was = test_bit(nr, map);

	__set_bit(nr, map);
	return was;
}

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int n)
{
	while (n--)
		__set_bit(start++, map);
}

static inline unsigned int find_next(const unsigned long *map, unsigned int size,
				     unsigned int from, bool set)
{
	while (from < size && test_bit(from, map) != set)
		from++;
	return from;
}

#define bitmap_zero(map, bits)		memset(map, 0, BITMAP_BYTES(bits))
#define bitmap_fill(map, bits)		memset(map, 0xff, BITMAP_BYTES(bits))
#define bitmap_copy(to, from, bits)	memcpy(to, from, BITMAP_BYTES(bits))
#define bitmap_empty(map, bits)		(find_next(map, bits, 0, true) == (bits))
#define for_each_set_bit(bit, map, size)				\
	for ((bit) = find_next(map, size, 0, true); (bit) < (size);	\
	     (bit) = find_next(map, size, (bit) + 1, true))
#define for_each_clear_bitrange(b, e, map, size)			\
	for ((b) = 0;							\
	     (b) = find_next(map, size, b, false),			\
	     (e) = find_next(map, size, b, true), (b) < (size);		\
	     (b) = (e) + 1)

/* ---- lists ---- */

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

#define LIST_HEAD(name)		struct list_head name = { &(name), &(name) }
#define INIT_LIST_HEAD(l)	((void)((l)->next = (l)->prev = (l)))
#define LIST_POISON		((void *)0xdead000000000100UL)

static inline void __list_add(struct list_head *new, struct list_head *prev,
			      struct list_head *next)
{
	next->prev = new;
	new->next = next;
	new->prev = prev;
	smp_store_release(&prev->next, new);
}

static inline void __list_del_entry(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	WRITE_ONCE(entry->prev->next, entry->next);
}

static inline void list_del_rcu(struct list_head *entry)
{
	__list_del_entry(entry);
	entry->prev = LIST_POISON;
}

#define list_add(new, head)		__list_add(new, head, (head)->next)
#define list_add_tail(new, head)	__list_add(new, (head)->prev, head)
#define list_add_tail_rcu(new, head)	list_add_tail(new, head)

static inline void list_del_init(struct list_head *entry)
{
	__list_del_entry(entry);
	INIT_LIST_HEAD(entry);
}

static inline void list_move(struct list_head *entry, struct list_head *head)
{
	__list_del_entry(entry);
	list_add(entry, head);
}

#define list_empty(head)		(READ_ONCE((head)->next) == (head))
#define list_is_first(entry, head)	((entry)->prev == (head))
#define list_is_last(entry, head)	((entry)->next == (head))
#define list_entry(ptr, type, member)	container_of(ptr, type, member)
#define list_first_entry(head, type, member)	list_entry((head)->next, type, member)
#define list_last_entry(head, type, member)	list_entry((head)->prev, type, member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_next_entry(pos, member)	list_entry((pos)->member.next, typeof(*(pos)), member)
#define list_prev_entry(pos, member)	list_entry((pos)->member.prev, typeof(*(pos)), member)
#define list_for_each(pos, head) \
	for (pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_entry(pos, head, member)					\
	for (pos = list_first_entry(head, typeof(*pos), member);		\
	     &pos->member != (head); pos = list_next_entry(pos, member))
#define list_entry_rcu(ptr, type, member) \
	container_of((struct list_head *)smp_load_acquire(&(ptr)), type, member)
#define list_for_each_entry_rcu(pos, head, member)				\
	for (sim_check_rcu(), pos = list_entry_rcu((head)->next, typeof(*pos), member); \
	     &pos->member != (head);						\
	     pos = list_entry_rcu(pos->member.next, typeof(*pos), member))

static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	n->next = h->first;
	if (n->next)
		n->next->pprev = &n->next;
	n->pprev = &h->first;
	smp_store_release(&h->first, n);
}

static inline void __hlist_del(struct hlist_node *n)
{
	WRITE_ONCE(*n->pprev, n->next);
	if (n->next)
		n->next->pprev = n->pprev;
}

static inline void hlist_del(struct hlist_node *n)
{
	__hlist_del(n);
	n->pprev = LIST_POISON;
	n->next = LIST_POISON;
}

#define hlist_entry(ptr, type, member)	container_of(ptr, type, member)
#define hlist_entry_safe(ptr, type, member) ({			\
	typeof(ptr) ____ptr = (ptr);				\
	____ptr ? hlist_entry(____ptr, type, member) : NULL;	\
})
#define hlist_for_each_entry(pos, head, member)					\
	for (pos = hlist_entry_safe((head)->first, typeof(*(pos)), member);	\
	     pos; pos = hlist_entry_safe((pos)->member.next, typeof(*(pos)), member))
#define hlist_for_each_entry_safe(pos, n, head, member)				\
	for (pos = hlist_entry_safe((head)->first, typeof(*pos), member);	\
	     pos && ({ n = pos->member.next; 1; });				\
	     pos = hlist_entry_safe(n, typeof(*pos), member))

struct llist_node {
	struct llist_node *next;
};

struct llist_head {
	struct llist_node *first;
};

#define LLIST_HEAD(name)	struct llist_head name = {}
#define llist_del_all(head)	__atomic_exchange_n(&(head)->first, NULL, __ATOMIC_ACQ_REL)
#define llist_for_each_safe(pos, n, node) \
	for (pos = (node); pos && ({ n = pos->next; 1; }); pos = n)

static inline bool llist_add(struct llist_node *new, struct llist_head *head)
{
	struct llist_node *first = READ_ONCE(head->first);

	do
		new->next = first;
	while (!__atomic_compare_exchange_n(&head->first, &first, new, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return !first;
}

/* ---- modules ---- */

typedef int (*sim_initcall_t)(void);
typedef void (*sim_exitcall_t)(void);

void sim_add_module(const char *name, sim_initcall_t init);
void sim_add_exit(const char *name, sim_exitcall_t exit);
void sim_add_param(const char *name, unsigned int *value);

#define THIS_MODULE		NULL
#define EXPORT_SYMBOL_GPL(sym)
#define MODULE_DESCRIPTION(s)
#define MODULE_AUTHOR(s)
#define MODULE_VERSION(s)
#define MODULE_LICENSE(s)
#define MODULE_PARM_DESC(p, s)
#define module_init(fn)							\
	static void __attribute__((constructor)) fn##_add(void)		\
	{								\
		sim_add_module(KBUILD_MODNAME, fn);			\
	}
#define module_exit(fn)							\
	static void __attribute__((constructor)) fn##_add(void)		\
	{								\
		sim_add_exit(KBUILD_MODNAME, fn);			\
	}
#define module_param(name, type, mode)					\
	static void __attribute__((constructor)) name##_add(void)	\
	{								\
		sim_add_param(#name, &(name));				\
	}

struct btf_kfunc_id_set {
	void *owner;
	const int *set;
};

#define BPF_PROG_TYPE_TRACING	1
#define BPF_PROG_TYPE_SYSCALL	2
#define BTF_KFUNCS_START(name)	static const int name;
#define BTF_KFUNCS_END(name)
#define BTF_ID_FLAGS(...)

int register_btf_kfunc_id_set(int type, const struct btf_kfunc_id_set *set);

/* ---- contexts ---- */

#define SOFTIRQ_OFFSET		0x100U
#define HARDIRQ_OFFSET		0x10000U
#define HARDIRQ_MASK		0xf0000U
#define NMI_MASK		0xf00000U

unsigned int preempt_count(void);
void preempt_disable(void);
void preempt_enable(void);
bool sim_irq_save(void);
void sim_irq_restore(bool flags);
bool irqs_disabled(void);
void might_sleep(void);
void cond_resched(void);
int smp_processor_id(void);
int raw_smp_processor_id(void);

#define local_irq_save(flags)		((flags) = sim_irq_save())
#define local_irq_restore(flags)	sim_irq_restore(flags)
#define in_hardirq()			(preempt_count() & HARDIRQ_MASK)
#define in_serving_softirq()		(preempt_count() & SOFTIRQ_OFFSET)
#define in_task() \
	(!(preempt_count() & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET)))

void rcu_read_lock(void);
void rcu_read_unlock(void);
void synchronize_rcu(void);
void sim_check_rcu(void);

/* ---- locks ---- */

struct sim_lock {
	pthread_mutex_t mutex;
	struct task_struct *owner;
	const char *class;
	bool raw;
};

typedef struct sim_lock raw_spinlock_t;
typedef struct sim_lock spinlock_t;
struct mutex {
	struct sim_lock lock;
};

#define SIM_LOCK(name, is_raw) \
	{ .mutex = PTHREAD_MUTEX_INITIALIZER, .class = name, .raw = is_raw }
#define DEFINE_SPINLOCK(name)	spinlock_t name = SIM_LOCK(#name, false)
#define DEFINE_MUTEX(name)	struct mutex name = { SIM_LOCK(#name, false) }

void sim_lock_init(struct sim_lock *lock, const char *class);
void sim_spin_lock(struct sim_lock *lock);
bool sim_spin_trylock(struct sim_lock *lock);
void sim_spin_unlock(struct sim_lock *lock);
bool sim_lock_held(const struct sim_lock *lock);
void sim_assert_held(const struct sim_lock *lock, const char *what);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

#define lockdep_assert_held(l)		sim_assert_held((const void *)(l), #l)
#define raw_spin_lock_init(l)		sim_lock_init(l, #l)
#define raw_spin_lock(l)		sim_spin_lock(l)
#define raw_spin_unlock(l)		sim_spin_unlock(l)
#define raw_spin_lock_irqsave(l, flags) do {	\
	local_irq_save(flags);			\
	sim_spin_lock(l);			\
} while (0)
#define raw_spin_unlock_irqrestore(l, flags) do {	\
	sim_spin_unlock(l);				\
	local_irq_restore(flags);			\
} while (0)
#define raw_spin_trylock_irqsave(l, flags) ({	\
	bool __got;				\
						\
	local_irq_save(flags);			\
	__got = sim_spin_trylock(l);		\
	if (!__got)				\
		local_irq_restore(flags);	\
	__got;					\
})
#define spin_lock_irqsave(l, flags)		raw_spin_lock_irqsave(l, flags)
#define spin_unlock_irqrestore(l, flags)	raw_spin_unlock_irqrestore(l, flags)

/* ---- static keys ---- */

struct static_key_false {
	int enabled;
};

#define DECLARE_STATIC_KEY_FALSE(name)	extern struct static_key_false name
#define STATIC_KEY_FALSE_INIT		{ 0 }
#define DEFINE_STATIC_KEY_FALSE(name)	struct static_key_false name = STATIC_KEY_FALSE_INIT
#define static_branch_unlikely(key) \
	unlikely(__atomic_load_n(&(key)->enabled, __ATOMIC_RELAXED))

void static_branch_inc(struct static_key_false *key);
void static_branch_dec(struct static_key_false *key);

/* ---- CPUs ---- */

#define NR_CPUS			4
#define SMP_CACHE_BYTES		64

extern unsigned long sim_online;

#define cpu_online_mask			(&sim_online)
#define cpu_online(cpu)			test_bit(cpu, &sim_online)
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < NR_CPUS; (cpu)++)
#define cpumask_next(n, mask)		find_next(mask, NR_CPUS, (n) + 1, true)

void cpus_read_lock(void);
void cpus_read_unlock(void);
int smp_call_function_single(int cpu, void (*fn)(void *arg), void *arg, int wait);
long work_on_cpu(int cpu, long (*fn)(void *arg), void *arg);

/* ---- per-CPU memory ---- */

#define DEFINE_PER_CPU(type, name) \
	__section("sim_percpu") __aligned(64) typeof(type) name

void *sim_per_cpu(const void *ptr, int cpu);
void *sim_this_cpu(const void *ptr);
void *__alloc_percpu_gfp(size_t size, size_t align, gfp_t gfp);
void free_percpu(void *ptr);

#define per_cpu_ptr(ptr, cpu)	((typeof(ptr))sim_per_cpu(ptr, cpu))
#define this_cpu_ptr(ptr)	((typeof(ptr))sim_this_cpu(ptr))
#define raw_cpu_read(var)	(*this_cpu_ptr(&(var)))
#define raw_cpu_write(var, val)	(*this_cpu_ptr(&(var)) = (val))
#define raw_cpu_add(var, val)	((void)(*this_cpu_ptr(&(var)) += (val)))
#define this_cpu_inc(var) do {					\
	bool __flags = sim_irq_save();				\
								\
	++*this_cpu_ptr(&(var));				\
	sim_irq_restore(__flags);				\
} while (0)
#define alloc_percpu_gfp(type, gfp) \
	((type *)__alloc_percpu_gfp(sizeof(type), __alignof__(type), gfp))

/* ---- memory ---- */

#define __GFP_DMA		0x1U
#define __GFP_HIGHMEM		0x02U
#define __GFP_DMA32		0x04U
#define __GFP_MOVABLE		0x08U
#define __GFP_HIGH		0x20U
#define __GFP_ZERO		0x100U
#define __GFP_DIRECT_RECLAIM	0x400U
#define __GFP_KSWAPD_RECLAIM	0x800U
#define __GFP_NOWARN		0x2000U
#define __GFP_NORETRY		0x10000U
#define __GFP_ACCOUNT		0x400000U
#define GFP_ZONEMASK		0x0fU
#define GFP_KERNEL		(__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define GFP_KERNEL_ACCOUNT	(GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_ATOMIC		(__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT		__GFP_KSWAPD_RECLAIM

#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PAGE_ALIGN(x)		ALIGN(x, PAGE_SIZE)
#define PAGE_OFFSET		((unsigned long)sim_ram)
#define KMALLOC_MAX_CACHE_SIZE	(2 * PAGE_SIZE)

extern char *sim_ram;
extern void *high_memory;
extern bool sim_init_on_alloc, sim_init_on_free;

struct page;

static inline int get_order(size_t size)
{
	return size > PAGE_SIZE ? ilog2(size - 1) + 1 - PAGE_SHIFT : 0;
}

#define want_init_on_alloc(gfp)	(sim_init_on_alloc || ((gfp) & __GFP_ZERO))
#define want_init_on_free()	sim_init_on_free
#define virt_to_page(ptr)	((struct page *)(ptr))
#define might_alloc(gfp) do {			\
	if ((gfp) & __GFP_DIRECT_RECLAIM)	\
		might_sleep();			\
} while (0)

unsigned long __get_free_pages(gfp_t gfp, unsigned int order);
void free_pages(unsigned long address, unsigned int order);
void split_page(struct page *page, unsigned int order);
void free_pages_exact(void *ptr, size_t size);
void kmemleak_alloc(const void *ptr, size_t size, int min_count, gfp_t gfp);
void kmemleak_free(const void *ptr);

void *kmalloc(size_t size, gfp_t gfp);
void *krealloc(const void *ptr, size_t size, gfp_t gfp);
void kfree(const void *ptr);
void *kvmalloc(size_t size, gfp_t gfp);
void kvfree(const void *ptr);
bool is_vmalloc_addr(const void *ptr);
bool is_kfence_address(const void *ptr);

size_t kmalloc_size_roundup(size_t size);

#define __get_free_page(gfp)	__get_free_pages(gfp, 0)
#define free_page(address)	free_pages(address, 0)
#define kzalloc(size, gfp)	kmalloc(size, (gfp) | __GFP_ZERO)
#define kcalloc(n, size, gfp)	kzalloc((n) * (size), gfp)
#define kvzalloc(size, gfp)	kvmalloc(size, (gfp) | __GFP_ZERO)
#define kvmalloc_array(n, size, gfp)	kvmalloc((n) * (size), gfp)
#define kvcalloc(n, size, gfp)	kvzalloc((n) * (size), gfp)

#define SLAB_NO_MERGE		0x1
#define KMEM_CACHE(type, flags)	kmem_cache_create(#type, sizeof(struct type), 8, flags, NULL)

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
				     unsigned int flags, void (*ctor)(void *ptr));
void kmem_cache_destroy(struct kmem_cache *cache);
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *ptr);

long copy_from_kernel_nofault(void *to, const void *from, size_t size);

#define get_kernel_nofault(val, ptr)	copy_from_kernel_nofault(&(val), ptr, sizeof(val))

#define SHRINKER_ALLOCATED	1
#define SHRINK_STOP		(~0UL)
#define SHRINK_EMPTY		(~0UL - 1)
#define DEFAULT_SEEKS		2

struct shrink_control {
	gfp_t gfp_mask;
	unsigned long nr_to_scan;
	unsigned long nr_scanned;
};

struct shrinker {
	unsigned long (*count_objects)(struct shrinker *s, struct shrink_control *sc);
	unsigned long (*scan_objects)(struct shrinker *s, struct shrink_control *sc);
	int seeks;
};

struct shrinker *shrinker_alloc(unsigned int flags, const char *name);
void shrinker_register(struct shrinker *shrinker);
void shrinker_free(struct shrinker *shrinker);
void mm_account_reclaimed_pages(unsigned long pages);

/* ---- randomness ---- */

struct rnd_state {
	u64 state;
};

unsigned long get_random_long(void);
u32 prandom_u32_state(struct rnd_state *rnd);
#define prandom_seed_state(rnd, seed)	((void)((rnd)->state = (seed) * 2654435761ULL + 1))

/* ---- time ---- */

#define HZ			1000
#define NSEC_PER_USEC		1000LL
#define NSEC_PER_MSEC		1000000LL

typedef s64 ktime_t;

unsigned long sim_jiffies(void);
ktime_t ktime_get(void);
void msleep(unsigned int ms);

#define jiffies				sim_jiffies()
#define time_before(a, b)		((long)((a) - (b)) < 0)
#define time_is_after_jiffies(a)	time_before(jiffies, a)
#define ns_to_ktime(ns)			((ktime_t)(ns))
#define ktime_ms_delta(later, earlier)	(((later) - (earlier)) / NSEC_PER_MSEC)

enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };
enum { CLOCK_MONOTONIC_SIM, HRTIMER_MODE_REL };

#ifndef CLOCK_MONOTONIC
#define CLOCK_MONOTONIC		1
#endif

struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	struct hrtimer *next;
	ktime_t expires;
};

#define hrtimer_init(timer, clock, mode)	((void)0)
#define hrtimer_start(timer, after, mode)	sim_hrtimer_start(timer, after)
#define hrtimer_forward_now(timer, interval)	((timer)->expires = ktime_get() + (interval))

void sim_hrtimer_start(struct hrtimer *timer, ktime_t after);
void hrtimer_cancel(struct hrtimer *timer);

struct tasklet_struct {
	void (*callback)(struct tasklet_struct *tasklet);
	struct tasklet_struct *next;
	bool scheduled;
};

#define tasklet_setup(t, fn)	((t)->callback = (fn))

void tasklet_schedule(struct tasklet_struct *tasklet);
void tasklet_kill(struct tasklet_struct *tasklet);

/* ---- work, threads ---- */

struct work_struct {
	void (*func)(struct work_struct *work);
	struct work_struct *next;
	unsigned long due;
	struct task_struct *runs;
	int canceled;
	bool pending;
};

struct delayed_work {
	struct work_struct work;
};

struct workqueue_struct;

#define system_unbound_wq	((struct workqueue_struct *)NULL)
#define DECLARE_WORK(name, fn)		struct work_struct name = { .func = fn }
#define DECLARE_DELAYED_WORK(name, fn)	struct delayed_work name = { .work.func = fn }
#define INIT_WORK(w, fn)		((void)(*(w) = (struct work_struct){ .func = fn }))
#define INIT_DELAYED_WORK(w, fn)	INIT_WORK(&(w)->work, fn)
#define to_delayed_work(w)		container_of(w, struct delayed_work, work)

bool sim_queue_work(struct work_struct *work, unsigned long delay);
void flush_work(struct work_struct *work);
bool cancel_work_sync(struct work_struct *work);

#define queue_work(wq, w)			sim_queue_work(w, 0)
#define schedule_work(w)			sim_queue_work(w, 0)
#define queue_delayed_work(wq, w, delay)	sim_queue_work(&(w)->work, delay)
#define schedule_delayed_work(w, delay)		sim_queue_work(&(w)->work, delay)
#define cancel_delayed_work_sync(w)		cancel_work_sync(&(w)->work)

struct completion {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	unsigned int done;
};

#define COMPLETION_INIT \
	{ .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER }
#define DECLARE_COMPLETION_ONSTACK(name) struct completion name = COMPLETION_INIT
#define init_completion(c)		((void)(*(c) = (struct completion)COMPLETION_INIT))

void complete(struct completion *done);
void complete_all(struct completion *done);
void wait_for_completion(struct completion *done);

struct task_struct *sim_kthread_run(int (*fn)(void *arg), void *arg);
int kthread_stop(struct task_struct *task);
bool kthread_should_stop(void);

#define kthread_run(fn, arg, ...)	sim_kthread_run(fn, arg)

/* ---- trace events ---- */

/**
 * struct sim_event - a trace event
 * @name: of the event
 * @reg: called before the first probe comes, or NULL
 * @unreg: called after it went
 * @probe: gets what TP_fast_assign() filled in
 */
struct sim_event {
	const char *name;
	int (*reg)(void);
	void (*unreg)(void);
	void (*probe)(const struct sim_event *event, const void *entry);
};

#define PARAMS(...)			__VA_ARGS__
#define TP_PROTO(...)			__VA_ARGS__
#define TP_ARGS(...)			__VA_ARGS__
#define TP_STRUCT__entry(...)		__VA_ARGS__
#define TP_fast_assign(...)		__VA_ARGS__
#define TP_printk(...)
#define TRACE_DEFINE_ENUM(e)
#define __field(type, item)		type item;
#define __array(type, item, len)	type item[len];

#define DECLARE_EVENT_CLASS(class, proto, args, tstruct, assign, print)			\
	struct trace_##class { tstruct };						\
	static inline void assign_##class(struct trace_##class *__entry, proto)		\
	{										\
		assign									\
	}

#define DEFINE_EVENT_FN(class, event, proto, args, regfn, unregfn)			\
	__weak struct sim_event event_##event = {					\
		#event, regfn, unregfn							\
	};										\
	static inline bool trace_##event##_enabled(void)				\
	{										\
		return __atomic_load_n(&event_##event.probe, __ATOMIC_ACQUIRE);		\
	}										\
	static inline void trace_##event(proto)						\
	{										\
		typeof(event_##event.probe) probe =					\
			__atomic_load_n(&event_##event.probe, __ATOMIC_ACQUIRE);	\
		struct trace_##class entry;						\
											\
		if (likely(!probe))							\
			return;								\
		memset(&entry, 0xee, sizeof(entry));					\
		assign_##class(&entry, args);						\
		probe(&event_##event, &entry);						\
	}

#define DEFINE_EVENT(class, event, proto, args) \
	DEFINE_EVENT_FN(class, event, PARAMS(proto), PARAMS(args), NULL, NULL)
#define TRACE_EVENT_FN(event, proto, args, tstruct, assign, print, regfn, unregfn)	\
	DECLARE_EVENT_CLASS(event, PARAMS(proto), PARAMS(args), PARAMS(tstruct),	\
			    PARAMS(assign), )						\
	DEFINE_EVENT_FN(event, event, PARAMS(proto), PARAMS(args), regfn, unregfn)
#define TRACE_EVENT(event, proto, args, tstruct, assign, print)				\
	TRACE_EVENT_FN(event, PARAMS(proto), PARAMS(args), PARAMS(tstruct),		\
		       PARAMS(assign), , NULL, NULL)

#endif
