// SPDX-License-Identifier: GPL-2.0
/*
 * Mode percpu against a second account of it: which block lies in which front,
 * magazine, shelf and depot of one class, and what the marks of the working set say.
 *
 * Random requests of tasks and interrupts of two CPUs, single ones and many at once,
 * ticks, trims, CPUs that go and tracers that come; after each of them all is
 * compared, block by block.
 */
#include "user.h"
#include "front/magazine.h"
#include "trace.h"

#define SIZE		64
#define SZIDX		3
#define CAPACITY	63	/* blocks of a pool */
#define CPUS		2
#define FRONT		62
#define MAG		48
#define SHELF		9
#define MOVES		4
#define MAGS		256
#define LIVE		4000
#define OPS		4000

/* Blocks, the last one on top. */
struct stack {
	void *p[FRONT];
	u32 n;
};

struct shelf {
	struct stack mag[MAGS];
	u32 n;
	u32 low;
};

struct cpu {
	struct stack front[KPY_NR_FRONTS];
	struct shelf shelf;
	u32 empties;
	u64 allocs;
	u64 seen;
	bool visited;		/* by a tick: other classes were new to it once */
};

/**
 * struct account - what the heap should be
 * @heap: the heap
 * @test: the case
 * @rnd: decides what comes next
 * @cpu: what CPUs have
 * @depot: what any CPU may take
 * @empties: empty magazines of the heap
 * @mags: magazines in all
 * @out: blocks that pools count as handed out
 * @frees: blocks ever freed
 * @live: blocks in use
 * @nr_live: how many
 * @traced: events are on
 * @op: of those so far
 */
struct account {
	struct kpy_heap *heap;
	struct kunit *test;
	struct rnd_state rnd;
	struct cpu cpu[CPUS];
	struct shelf depot;
	u32 empties;
	u32 mags;
	u64 out;
	u64 frees;
	void *live[LIVE];
	u32 nr_live;
	bool traced;
	u32 op;
};

static struct account *account;		/* for what runs in interrupts */
static u64 events;

static u32 dice(struct account *a, u32 n)
{
	return prandom_u32_state(&a->rnd) % n;
}

static struct cpu *this_cpu(struct account *a)
{
	return &a->cpu[raw_smp_processor_id()];
}

static struct stack *this_stack(struct account *a)
{
	return &this_cpu(a)->front[in_task() ? KPY_FRONT_TASK : KPY_FRONT_IRQ];
}

/* ---- the account: magazines ---- */

static struct stack shelf_take(struct shelf *s)
{
	s->n--;
	s->low = min(s->low, s->n);
	return s->mag[s->n];
}

static void shelf_moves(struct shelf *from, struct shelf *to, u32 n)
{
	while (n-- && from->n)
		to->mag[to->n++] = shelf_take(from);
}

static void level(struct account *a, struct cpu *c)
{
	for (; c->empties > MOVES; c->empties--)
		a->empties++;
	for (; c->empties < MOVES && a->empties; c->empties++)
		a->empties--;
}

static bool from_shelf(struct cpu *c, struct stack *front)
{
	struct stack mag;

	if (!c->shelf.n)
		return false;
	mag = shelf_take(&c->shelf);
	memcpy(front->p + front->n, mag.p, MAG * sizeof(void *));
	front->n += MAG;
	c->empties++;
	return true;
}

static bool to_shelf(struct cpu *c, struct stack *front)
{
	struct stack *mag = &c->shelf.mag[c->shelf.n];

	if (c->shelf.n >= SHELF || !c->empties)
		return false;
	c->empties--;
	front->n -= MAG;
	memcpy(mag->p, front->p + front->n, MAG * sizeof(void *));
	c->shelf.n++;
	return true;
}

/* Blocks that pools have, without another arena. */
static u64 in_pools(struct account *a)
{
	return a->heap->c.arenas_current * a->heap->pools_per_arena * CAPACITY - a->out;
}

/* What came from pools is not foretold: it is looked up after the call. */
static u32 from_pools(struct account *a, u64 there)
{
	u32 n = min_t(u64, MAG, there);

	a->out += n;
	return n;
}

/* With the lock; false: only pools can help. */
static bool refill_locked(struct account *a, struct cpu *c, struct stack *front)
{
	if (!c->shelf.n)
		shelf_moves(&a->depot, &c->shelf, MOVES);
	if (!from_shelf(c, front))
		return false;
	level(a, c);
	return true;
}

static bool make_room_locked(struct account *a, struct cpu *c, struct stack *front)
{
	if (c->shelf.n >= SHELF)
		shelf_moves(&c->shelf, &a->depot, MOVES);
	level(a, c);
	return to_shelf(c, front);
}

/* ---- the account: requests ---- */

static void learn_front(struct account *a, struct stack *front, u32 n)
{
	enum kpy_front_kind kind = in_task() ? KPY_FRONT_TASK : KPY_FRONT_IRQ;
	struct kpy_front *f = front_of(a->heap, raw_smp_processor_id(), kind, SZIDX);

	memcpy(front->p, f->block, n * sizeof(void *));
	front->n = n;
}

static void live_add(struct account *a, void *ptr)
{
	a->live[a->nr_live++] = ptr;
	memset(ptr, 0x40 + a->nr_live % 64, SIZE);
}

static void fail_at(struct account *a, const char *what)
{
	KUNIT_FAIL(a->test, "operation %u: %s", a->op, what);
}

static void do_alloc(struct account *a)
{
	struct cpu *c = this_cpu(a);
	struct stack *front = this_stack(a);
	u64 there = in_pools(a);
	u32 n = 0;
	void *ptr;

	if (!front->n && (a->traced || !from_shelf(c, front)) && !refill_locked(a, c, front))
		n = from_pools(a, there ?: a->heap->pools_per_arena * CAPACITY);
	ptr = kpy_alloc(a->heap, SIZE, GFP_ATOMIC);
	c->allocs++;
	if (n)
		learn_front(a, front, n - 1);
	else if (front->p[--front->n] != ptr)
		fail_at(a, "not the block that was foretold");
	live_add(a, ptr);
}

static void *live_take(struct account *a)
{
	u32 i = dice(a, a->nr_live);
	void *ptr = a->live[i];

	a->live[i] = a->live[--a->nr_live];
	return ptr;
}

/* Room in a full front, by a new magazine if need be. */
static void room_for_one(struct account *a, struct cpu *c, struct stack *front)
{
	if (front->n < FRONT || (!a->traced && to_shelf(c, front)) ||
	    make_room_locked(a, c, front))
		return;
	a->empties++;
	a->mags++;
	make_room_locked(a, c, front);
}

static void account_free(struct account *a, void *ptr)
{
	struct stack *front = this_stack(a);

	room_for_one(a, this_cpu(a), front);
	front->p[front->n++] = ptr;
	a->frees++;
}

static void do_free(struct account *a)
{
	void *ptr;

	if (!a->nr_live)
		return;
	ptr = live_take(a);
	account_free(a, ptr);
	kpy_free(a->heap, ptr);
}

/* ---- the account: many at once ---- */

static u32 take_mags(struct account *a, struct cpu *c, u32 count, void **to)
{
	struct stack mag;
	u32 n;

	for (n = 0; count - n >= MAG; n += MAG) {
		if (!c->shelf.n) {
			shelf_moves(&a->depot, &c->shelf, MOVES);
			level(a, c);
		}
		if (!c->shelf.n)
			break;
		mag = shelf_take(&c->shelf);
		memcpy(to + n, mag.p, MAG * sizeof(void *));
		c->empties++;
	}
	return n;
}

static bool need_pools(struct account *a, struct cpu *c, struct stack *front)
{
	return !front->n && !from_shelf(c, front) && !refill_locked(a, c, front);
}

/* As many as are foretold; what is missing then comes from pools. */
static u32 foretell_many(struct account *a, u32 count, void **to)
{
	struct cpu *c = this_cpu(a);
	struct stack *front = this_stack(a);
	u32 n = take_mags(a, c, count, to), m;

	if (n < count && !need_pools(a, c, front)) {
		m = min(count - n, front->n);
		front->n -= m;
		memcpy(to + n, front->p + front->n, m * sizeof(void *));
		n += m;
	}
	return n;
}

static u32 at_hand(struct account *a)
{
	return (this_cpu(a)->shelf.n + a->depot.n) * MAG + this_stack(a)->n;
}

static void do_alloc_many(struct account *a)
{
	u32 count = 1 + dice(a, 250), n, i;
	void *want[256], *got[256];

	if (a->traced || at_hand(a) < count || a->nr_live + count > LIVE)
		return;
	n = foretell_many(a, count, want);
	if (kpy_alloc_bulk(a->heap, SIZE, GFP_ATOMIC, n, got) != n)
		fail_at(a, "not as many as were foretold");
	this_cpu(a)->allocs += n;
	if (memcmp(want, got, n * sizeof(void *)))
		fail_at(a, "not the blocks that were foretold");
	for (i = 0; i < n; i++)
		live_add(a, got[i]);
}

static u32 put_mags(struct account *a, struct cpu *c, u32 count, void **p)
{
	u32 n;

	for (n = 0; count - n >= MAG; n += MAG) {
		if (c->shelf.n >= SHELF || !c->empties) {
			if (c->shelf.n >= SHELF)
				shelf_moves(&c->shelf, &a->depot, MOVES);
			level(a, c);
		}
		if (!c->empties)
			break;
		c->empties--;
		memcpy(c->shelf.mag[c->shelf.n++].p, p + n, MAG * sizeof(void *));
	}
	return n;
}

static u32 put_front(struct account *a, u32 count, void **p)
{
	struct cpu *c = this_cpu(a);
	struct stack *front = this_stack(a);
	u32 n;

	if (count > FRONT - front->n && front->n >= MAG && !to_shelf(c, front))
		make_room_locked(a, c, front);
	n = min(count, FRONT - front->n);
	memcpy(front->p + front->n, p, n * sizeof(void *));
	front->n += n;
	return n;
}

static void account_free_many(struct account *a, u32 count, void **p)
{
	u32 n;

	for (; count; count -= n, p += n) {
		n = a->traced ? 0 : put_mags(a, this_cpu(a), min(count, 256U), p);
		n += a->traced ? 0 : put_front(a, min(count, 256U) - n, p + n);
		a->frees += n;
		if (n)
			continue;
		account_free(a, *p);
		n = 1;
	}
}

static void do_free_many(struct account *a)
{
	u32 count = dice(a, 400), n;
	void *p[400];

	for (n = 0; n < count && a->nr_live; n++)
		p[n] = live_take(a);
	account_free_many(a, n, p);
	kpy_free_bulk(a->heap, n, p);
}

/* ---- the account: ticks ---- */

static u64 state_of(const struct cpu *c)
{
	return (c->allocs << 16) + 8 * (2 + c->front[0].n + c->front[1].n);
}

static bool has_any(const struct cpu *c)
{
	return c->front[0].n || c->front[1].n || c->shelf.n || c->empties;
}

static void shelf_to_pools(struct account *a, struct shelf *s)
{
	while (s->n) {
		shelf_take(s);
		a->out -= MAG;
		a->empties++;
	}
}

static void shelf_trim(struct account *a, struct shelf *s)
{
	u32 low;

	for (low = s->low; low; low--) {
		shelf_take(s);
		a->out -= MAG;
		a->empties++;
		s->low = low - 1;
	}
	s->low = s->n;
}

static void drain_class_of(struct account *a, struct cpu *c)
{
	a->out -= c->front[0].n + c->front[1].n;
	c->front[0].n = 0;
	c->front[1].n = 0;
	shelf_to_pools(a, &c->shelf);
}

static void empties_go(struct account *a, struct cpu *c)
{
	a->empties += c->empties;
	c->empties = 0;
}

/* One CPU's part; @busy: of our class and of the others, so far. */
static void account_visit(struct account *a, struct cpu *c, bool all, bool busy[2])
{
	bool ours = state_of(c) != c->seen;

	c->seen = state_of(c);
	busy[0] |= ours;
	busy[1] |= !c->visited;
	c->visited = true;
	if (!ours || all)
		drain_class_of(a, c);
	else
		shelf_trim(a, &c->shelf);
	if (all || !(busy[0] || busy[1]))
		empties_go(a, c);
}

/* All that a CPU had that is not there. */
static void account_offline(struct account *a, struct cpu *c)
{
	drain_class_of(a, c);
	empties_go(a, c);
}

static void account_drain(struct account *a, bool all)
{
	bool busy[2] = {};
	u32 i;

	for (i = 0; i < CPUS; i++) {
		if (cpu_online(i) && has_any(&a->cpu[i]))
			account_visit(a, &a->cpu[i], all, busy);
		if (!cpu_online(i))
			account_offline(a, &a->cpu[i]);
	}
	if (all || !busy[0])
		shelf_to_pools(a, &a->depot);
	else
		shelf_trim(a, &a->depot);
	if (all || !(busy[0] || busy[1])) {
		a->mags -= a->empties;
		a->empties = 0;
	}
}

static void do_tick(struct account *a)
{
	account_drain(a, false);
	msleep(500);
}

static void do_trim(struct account *a)
{
	account_drain(a, true);
	kpy_heap_trim(a->heap);
}

static void do_hotplug(struct account *a)
{
	sim_set_cpu(0);
	if (cpu_online(1))
		sim_cpu_down(1);
	else
		sim_cpu_up(1);
}

static void count_event(const struct sim_event *event, const void *entry)
{
	events++;
}

static void do_trace(struct account *a)
{
	a->traced = !a->traced;
	if (a->traced) {
		sim_trace(&event_kpy_alloc, count_event);
		sim_trace(&event_kpy_free, count_event);
	} else {
		sim_untrace(&event_kpy_alloc);
		sim_untrace(&event_kpy_free);
	}
}

/* ---- the comparison ---- */

static bool same_stack(struct account *a, const struct kpy_front *f, const struct stack *s)
{
	return kpy_front_blocks(f->state) == s->n && !f->none &&
	       !memcmp(f->block, s->p, s->n * sizeof(void *));
}

static bool same_shelf(const struct kpy_shelf *shelf, const struct shelf *s)
{
	const struct kpy_magazine *mag = shelf->full;
	u32 i;

	for (i = s->n; i--; mag = mag->next)
		if (!mag || memcmp(mag->block, s->mag[i].p, sizeof(mag->block)))
			return false;
	return !mag && shelf->nr == s->n && shelf->low == s->low;
}

static u32 length(const struct kpy_magazine *mag)
{
	u32 n = 0;

	for (; mag; mag = mag->next)
		n++;
	return n;
}

static void compare_cpu(struct account *a, u32 i)
{
	const struct kpy_cpu *is = per_cpu_ptr(a->heap->cpu, i);
	const struct cpu *c = &a->cpu[i];

	if (!same_stack(a, front_of(a->heap, i, KPY_FRONT_TASK, SZIDX), &c->front[0]))
		fail_at(a, "a front for tasks differs");
	if (!same_stack(a, front_of(a->heap, i, KPY_FRONT_IRQ, SZIDX), &c->front[1]))
		fail_at(a, "a front for interrupts differs");
	if (!same_shelf(&is->shelf[SZIDX], &c->shelf))
		fail_at(a, "a shelf differs");
	if (is->nr_empties != c->empties || length(is->empties) != c->empties)
		fail_at(a, "a CPU's empty magazines differ");
}

static void compare(struct account *a)
{
	const struct kpy_heap_stats *s = ut_stats(a->heap);
	u32 i;

	for (i = 0; i < CPUS; i++)
		compare_cpu(a, i);
	if (!same_shelf(&a->heap->depot[SZIDX], &a->depot))
		fail_at(a, "the depot differs");
	KUNIT_EXPECT_EQ(a->test, length(a->heap->empties), a->empties);
	KUNIT_EXPECT_EQ(a->test, a->heap->class[SZIDX].in_use, a->out);
	KUNIT_EXPECT_EQ(a->test, s->held_bytes, s->arenas_current * s->geometry.arena_size +
			a->mags * sizeof(struct kpy_magazine));
	KUNIT_EXPECT_EQ(a->test, s->allocs, a->cpu[0].allocs + a->cpu[1].allocs);
	KUNIT_EXPECT_EQ(a->test, s->frees, a->frees);
	KUNIT_EXPECT_EQ(a->test, s->class[SZIDX].in_use, a->nr_live);
}

/* ---- the run ---- */

static void request(struct account *a, bool grows)
{
	u32 n = 1 + dice(a, 40), what = dice(a, 8);

	if (what == 0)
		do_alloc_many(a);
	if (what == 1)
		do_free_many(a);
	for (; what > 1 && n; n--) {
		if (dice(a, 8) < (grows ? 6 : 2) && a->nr_live < LIVE)
			do_alloc(a);
		else
			do_free(a);
	}
}

static void request_in_interrupt(void *arg)
{
	request(account, *(bool *)arg);
}

static void do_request(struct account *a)
{
	bool grows = a->op / 200 % 2 == 0;

	sim_set_cpu(cpu_online(1) ? dice(a, CPUS) : 0);
	if (dice(a, 4))
		request(a, grows);
	else
		sim_interrupt(dice(a, 2) ? SIM_SOFT : SIM_HARD, request_in_interrupt, &grows);
}

static void step(struct account *a)
{
	switch (dice(a, a->op / 500 % 2 ? 60 : 600)) {
	case 0:
		do_trim(a);
		break;
	case 1 ... 4:
		do_tick(a);
		break;
	case 5:
		do_hotplug(a);
		break;
	case 6:
		do_trace(a);
		break;
	default:
		do_request(a);
	}
}

static void account_init(struct kunit *test, struct account *a, u64 seed)
{
	a->test = test;
	a->heap = ut_heap(test, KPY_MODE_PERCPU, KPY_RELEASE_KEEP_LAST);
	prandom_seed_state(&a->rnd, seed);
	account = a;
	events = 0;
}

static void account_exit(struct account *a)
{
	if (a->traced)
		do_trace(a);
	if (!cpu_online(1))
		sim_cpu_up(1);
	sim_set_cpu(0);
	while (a->nr_live)
		do_free(a);
	do_trim(a);
	compare(a);
	KUNIT_EXPECT_EQ(a->test, a->heap->c.held_bytes, 0);
	KUNIT_EXPECT_EQ(a->test, a->out, 0);
}

static const u64 seeds[] = { 1, 2, 3, 4, 5, 6 };

static void describe(const u64 *seed, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %llu", *seed);
}

KUNIT_ARRAY_PARAM(seed, seeds, describe);

static void cached_as_accounted(struct kunit *test)
{
	struct account *a = kt_memory(test, sizeof(*a));

	account_init(test, a, *(u64 *)test->param_value);
	for (a->op = 0; a->op < OPS && !test->failed; a->op++) {
		step(a);
		compare(a);
		if (a->op % 100 == 0)
			kt_expect_valid(test, a->heap);
	}
	if (!test->failed)
		account_exit(a);
	KUNIT_EXPECT_GT(test, events, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(cached_as_accounted, seed_gen_params),
	{}
};

USER_SUITE(cached);
