// SPDX-License-Identifier: GPL-2.0
/*
 * kpynative.ko: what stands for the machine when loader.c runs the stock kernel's SLUB,
 * kpymalloc and kpybench in a process: pages, per-CPU memory, random numbers and the
 * clock; interrupts that never come; work that is never done.  And the measurement.
 *
 * Never to be loaded into a kernel.
 */
#include <linux/cpu.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/page_ref.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <asm/alternative.h>
#include <asm/ibt.h>
#include <asm/linkage.h>
#include <asm/msr.h>
#include <asm/paravirt.h>

#include "bench.h"

/* As in loader.c. */
struct machine {
	u64 ram;
	u64 ram_size;
	u64 percpu_free;
	u64 percpu_size;
	u32 nr_cpus;
	void (*put)(const char *text);
};

#define ORDERS	11	/* of pages: up to 4 MiB at once */
#define ROUNDS	10

static struct machine *machine;

__printf(1, 2) static void say(const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	machine->put(line);
}

/* Pages: never used ones behind each other, freed ones by order, linked by their first word. */
static unsigned long next_page;
static void *free_list[ORDERS];

static void *take_pages(unsigned int order)
{
	unsigned long size = PAGE_SIZE << order, address = ALIGN(next_page, size);
	void *pages = free_list[order];

	if (pages) {
		free_list[order] = *(void **)pages;
		return pages;
	}
	if (address + size > machine->ram + machine->ram_size)
		return NULL;
	next_page = address + size;
	return (void *)address;
}

void prep_compound_page(struct page *page, unsigned int order);

/* As in prep_new_page(). */
static void prepare(struct page *page, unsigned int order, gfp_t gfp)
{
	unsigned int i;

	for (i = 0; i < 1U << order; i++) {
		memset(&page[i], 0, sizeof(*page));
		atomic_set(&page[i]._mapcount, -1);
	}
	set_page_count(page, 1);
	if (order && gfp & __GFP_COMP)
		prep_compound_page(page, order);
}

static struct page *hook_alloc_pages(gfp_t gfp, unsigned int order)
{
	void *pages = take_pages(order);

	if (!pages)
		return NULL;
	if (gfp & __GFP_ZERO)
		memset(pages, 0, PAGE_SIZE << order);
	prepare(virt_to_page(pages), order, gfp);
	return virt_to_page(pages);
}

static struct page *hook_folio_alloc(gfp_t gfp, unsigned int order)
{
	return hook_alloc_pages(gfp | __GFP_COMP, order);
}

static void hook_free_pages(struct page *page, unsigned int order)
{
	void *pages = page_address(page);

	*(void **)pages = free_list[order];
	free_list[order] = pages;
}

static void hook_folio_put(struct folio *folio)
{
	hook_free_pages(&folio->page, folio_order(folio));
}

/* Never freed. */
static void __percpu *hook_alloc_percpu(size_t size, size_t align)
{
	u64 at = ALIGN(machine->percpu_free, align);
	unsigned int cpu;

	if (at + size > machine->percpu_size)
		return NULL;
	machine->percpu_free = at + size;
	for (cpu = 0; cpu < machine->nr_cpus; cpu++)
		memset((void *)(__per_cpu_offset[cpu] + at), 0, size);
	return (void __percpu *)at;
}

static u64 hook_random(void)
{
	static u64 x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static u32 hook_random_below(u32 ceil)
{
	return (u32)hook_random() % ceil;
}

static void hook_random_bytes(void *buf, size_t len)
{
	u8 *byte = buf;

	while (len--)
		*byte++ = hook_random();
}

static u64 hook_clock(void)
{
	return rdtsc();
}

static long hook_much(void)
{
	return LONG_MAX;
}

static unsigned long hook_nothing(void)
{
	return 0;
}

struct kpynative_hook {
	const char *name;
	void *function;
};

/* Functions of some kernel or other; those that this one has not are left out. */
const struct kpynative_hook kpynative_hooks[] = {
	{ "alloc_pages_noprof", hook_alloc_pages },
	{ "__alloc_pages_noprof", hook_alloc_pages },
	{ "alloc_pages", hook_alloc_pages },
	{ "__alloc_pages", hook_alloc_pages },
	{ "__folio_alloc_noprof", hook_folio_alloc },
	{ "__folio_alloc", hook_folio_alloc },
	{ "__free_pages", hook_free_pages },
	{ "__folio_put", hook_folio_put },
	{ "pcpu_alloc_noprof", hook_alloc_percpu },
	{ "__alloc_percpu", hook_alloc_percpu },
	{ "__alloc_percpu_gfp", hook_alloc_percpu },
	{ "free_percpu", hook_nothing },
	{ "get_random_u8", hook_random },
	{ "get_random_u16", hook_random },
	{ "get_random_u32", hook_random },
	{ "get_random_u64", hook_random },
	{ "__get_random_u32_below", hook_random_below },
	{ "get_random_bytes", hook_random_bytes },
	{ "ktime_get", hook_clock },
	{ "si_mem_available", hook_much },
	{ "mod_node_page_state", hook_nothing },
	{ "__mod_node_page_state", hook_nothing },
	{ "__lruvec_stat_mod_folio", hook_nothing },
	{ "__mod_lruvec_page_state", hook_nothing },
	{ "_printk", hook_nothing },
	{ "__cpuhp_setup_state", hook_nothing },
	{ "register_memory_notifier", hook_nothing },
	{ "queue_delayed_work_on", hook_nothing },
	{ "synchronize_rcu", hook_nothing },
	{ "call_rcu", hook_nothing },
	{ "kmem_cache_destroy", hook_nothing },
	{}
};

static bool processor_has(unsigned int feature)
{
	return feature == X86_FEATURE_CX16 || feature == X86_FEATURE_ERMS ||
	       feature == X86_FEATURE_FSRM;
}

/* As apply_alternatives(), of what the code that is measured here has a choice of. */
void kpynative_alternatives(struct alt_instr *a, size_t size);
void kpynative_alternatives(struct alt_instr *a, size_t size)
{
	const struct alt_instr *end = (void *)a + size;

	for (; a < end; a++) {
		volatile u8 *to = (u8 *)&a->instr_offset + a->instr_offset;
		const u8 *from = (u8 *)&a->repl_offset + a->repl_offset;
		u32 i;

		if (!processor_has(a->cpuid))
			continue;
		for (i = 0; i < a->instrlen; i++)
			to[i] = i < a->replacementlen ? from[i] : 0x90;
		if (a->replacementlen == 5 && (*from == 0xe8 || *from == 0xe9))
			*(volatile s32 *)(to + 1) += from - to;
	}
}

/* Interrupts are on, and stay so. */
asm(".pushsection .text\n"
    "kpynative_save_fl:\n"
    ASM_ENDBR
    "	mov $0x200, %eax\n"
    ASM_RET
    "kpynative_switch:\n"
    ASM_ENDBR
    ASM_RET
    ".popsection");
void kpynative_save_fl(void);
void kpynative_switch(void);

static void start_cpu(void)
{
	pv_ops.irq.save_fl.func = kpynative_save_fl;
	pv_ops.irq.irq_disable.func = kpynative_switch;
	pv_ops.irq.irq_enable.func = kpynative_switch;
	init_idle_preempt_count(current, 0);
	preempt_count_dec();
	set_cpu_cap(&boot_cpu_data, X86_FEATURE_CX16);
}

static void count_cpus(void)
{
	unsigned int cpu;

	set_nr_cpu_ids(machine->nr_cpus);
	for (cpu = 0; cpu < machine->nr_cpus; cpu++) {
		cpumask_set_cpu(cpu, (struct cpumask *)cpu_possible_mask);
		cpumask_set_cpu(cpu, (struct cpumask *)cpu_present_mask);
	}
	cpumask_set_cpu(0, (struct cpumask *)cpu_online_mask);
	nr_node_ids = 1;
	node_set_state(0, N_NORMAL_MEMORY);
}

static void map_memory(void)
{
	page_offset_base = machine->ram;
	vmemmap_base = machine->ram;
	next_page = machine->ram + (machine->ram_size >> PAGE_SHIFT) * sizeof(struct page);
	high_memory = (void *)(machine->ram + machine->ram_size);
	atomic_long_set(&_totalram_pages, machine->ram_size >> PAGE_SHIFT);
	node_data[0] = memset(take_pages(get_order(sizeof(pg_data_t))), 0, sizeof(pg_data_t));
}

void kmem_cache_init(void);
int kpy_general_module_init(void);
int kpy_depot_module_init(void);

static struct lab_bench bench;

static void show(const char *name)
{
	struct bench_result r;
	unsigned int i;

	for (i = 0; lab_bench_result(i, &r); i++)
		say("%s %s %u %u %llu %llu %llu\n", name, r.pattern, r.size, r.ops, r.min.ns,
		    r.median_ns, r.min.cycles);
	lab_bench_clear(&bench);
}

/* Those that need neither an interrupt nor another CPU. */
static const char *const patterns[] = {
	"pair_fixed", "pair_var", "pair_const", "batch_alloc", "batch_fifo", "batch_lifo",
	"bulk16_alloc", "bulk16_free", "bulk64_alloc", "bulk64_free",
	"bulk256_alloc", "bulk256_free",
	"mixed_alloc", "mixed_random_free", "churn",
};

static int measure_all(const char *name, const char *backend)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(patterns); i++)
		err = lab_bench_run(&bench, backend, patterns[i], 0);
	show(name);
	return err;
}

static int measure_heap(const char *name)
{
	return lab_bench_set_heap(&bench, name) ?: measure_all(name, "kpymalloc");
}

static int make_heap(const char *name, enum kpy_mode mode)
{
	struct kpy_heap_params params = {
		.name = name, .geometry = *kpy_preset("cpython-3.10"), .mode = mode,
	};

	return PTR_ERR_OR_ZERO(kpy_heap_create(&params));
}

static int boot(void)
{
	start_cpu();
	count_cpus();
	map_memory();
	kmem_cache_init();
	mutex_init(&bench.lock);
	mutex_lock(&bench.lock);
	return kpy_general_module_init() ?: kpy_depot_module_init() ?:
	       make_heap("classic", KPY_MODE_CLASSIC) ?: make_heap("percpu", KPY_MODE_PERCPU);
}

int kpynative_main(struct machine *m);
int kpynative_main(struct machine *m)
{
	int err, round;

	machine = m;
	err = boot();
	for (round = 0; !err && round < ROUNDS; round++)
		err = measure_all("none", "none") ?: measure_all("kmalloc", "kmalloc") ?:
		      measure_all("cache", "cache") ?: measure_heap("classic") ?:
		      measure_heap("percpu");
	return -err;
}

MODULE_LICENSE("GPL");
