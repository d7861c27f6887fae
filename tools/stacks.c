// SPDX-License-Identifier: GPL-2.0
/*
 * The stacks of bpf/stack.bpf.h, see stacks.h.
 *
 * The map finds a number by a stack; turned around it is read here when a
 * number is met that was not there the last time.
 */
#include <bpf/bpf.h>
#include <json-c/json.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "stacks.h"

struct walk {
	bool read;
	struct kpy_stack stack;
	__u64 call_site;		/* what it was cut at last, and what came out */
	const struct frames *cut;
};

struct stacks {
	int map_fd;
	struct walk **walks;		/* by id */
	__u32 nr;
	void *tree;			/* of struct frames, each one once */
};

struct stacks *stacks_new(int map_fd)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (!s)
		exit(trouble("out of memory"));
	s->map_fd = map_fd;
	return s;
}

void stacks_free(struct stacks *s)
{
	if (!s)
		return;
	for (__u32 i = 0; i < s->nr; i++)
		free(s->walks[i]);
	free(s->walks);
	tdestroy(s->tree, free);
	free(s);
}

static int by_frames(const void *a, const void *b)
{
	const struct frames *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr - y->nr;
	return memcmp(x->ip, y->ip, x->nr * sizeof(*x->ip));
}

/* The one that equals @f. */
static const struct frames *intern(struct stacks *s, const struct frames *f)
{
	struct frames **found = tfind(f, &s->tree, by_frames), *new;

	if (found)
		return *found;
	new = malloc(sizeof(*new));
	if (!new)
		exit(trouble("out of memory"));
	*new = *f;
	if (!tsearch(new, &s->tree, by_frames))
		exit(trouble("out of memory"));
	return new;
}

static struct walk *walk_of(struct stacks *s, __u32 id)
{
	if (id >= s->nr) {
		__u32 nr = 2 * id + 1;

		s->walks = realloc(s->walks, nr * sizeof(*s->walks));
		if (!s->walks)
			exit(trouble("out of memory"));
		memset(s->walks + s->nr, 0, (nr - s->nr) * sizeof(*s->walks));
		s->nr = nr;
	}
	if (!s->walks[id])
		s->walks[id] = calloc(1, sizeof(**s->walks));
	if (!s->walks[id])
		exit(trouble("out of memory"));
	return s->walks[id];
}

static void read_map(struct stacks *s)
{
	struct kpy_stack key, *at = NULL;
	__u32 id;

	while (!bpf_map_get_next_key(s->map_fd, at, &key)) {
		at = &key;
		if (bpf_map_lookup_elem(s->map_fd, &key, &id))
			continue;
		walk_of(s, id)->stack = key;
		walk_of(s, id)->read = true;
	}
}

static void cut_nothing(const struct kpy_stack *stack, struct frames *f)
{
	for (f->nr = 0; f->nr < STACK_DEPTH && stack->ip[f->nr]; f->nr++)
		f->ip[f->nr] = stack->ip[f->nr];
}

/*
 * Who measures calls by fexit has a trampoline called from the entry of
 * kpy_alloc(): the call site is in it, the caller two frames on.
 */
static bool is_trampoline(__u64 address)
{
	static const char prefix[] = "bpf_trampoline_";
	const char *module;
	__u64 offset;
	const char *name = ksym_name(address, &offset, &module);

	return name && !strncmp(name, prefix, strlen(prefix));
}

/* From @call_site outwards; a walk that did not come past it is worth nothing. */
static void cut(const struct kpy_stack *stack, __u64 call_site, struct frames *f)
{
	int first = 0;

	if (!call_site) {
		cut_nothing(stack, f);
		return;
	}
	while (first < STACK_DEPTH && stack->ip[first] != call_site)
		first++;
	if (first + 2 < STACK_DEPTH && stack->ip[first + 2] && is_trampoline(call_site)) {
		first += 2;
		call_site = stack->ip[first];
	}
	f->ip[0] = call_site;
	f->nr = 1;
	for (int i = first + 1; i < STACK_DEPTH && stack->ip[i]; i++)
		f->ip[f->nr++] = stack->ip[i];
}

const struct frames *stacks_find(struct stacks *s, __u32 id, __u64 call_site)
{
	struct walk *w = walk_of(s, id);
	struct frames f = { 0 };

	if (w->cut && w->call_site == call_site)
		return w->cut;
	if (id && !w->read)
		read_map(s);
	w = walk_of(s, id);
	cut(&w->stack, call_site, &f);
	w->call_site = call_site;
	w->cut = intern(s, &f);
	return w->cut;
}

void stacks_print(const struct frames *f, const char *indent)
{
	for (int i = 0; i < f->nr; i++) {
		char *text = ksym_text(f->ip[i]);

		printf("%s%s\n", indent, text);
		free(text);
	}
}

/* The innermost first. */
struct json_object *stacks_json(const struct frames *f)
{
	struct json_object *list = json_object_new_array();

	for (int i = 0; i < f->nr; i++) {
		char *text = ksym_text(f->ip[i]);

		json_object_array_add(list, json_object_new_string(text));
		free(text);
	}
	return list;
}
