// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel addresses by name: /proc/kallsyms, read when first asked for, and again
 * when modules have come or gone since.  What the kernel hides (kptr_restrict) is
 * unknown, and printed as a number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stacks.h"

#define LAST_FUNCTION	4096		/* bytes; only the start of a function is known */
#define LOOK		0.5		/* seconds between two looks at the modules */

struct symbol {
	__u64 address;
	const char *name;
	const char *module;		/* NULL: the kernel itself */
};

static struct symbol *symbols;
static size_t nr_symbols;
static char *names;			/* what the symbols point into */

static void add(const struct symbol *s)
{
	/* each time the number is a power of two */
	if (!(nr_symbols & (nr_symbols - 1)))
		symbols = realloc(symbols, (nr_symbols ? 2 * nr_symbols : 1) * sizeof(*symbols));
	if (!symbols)
		exit(trouble("out of memory"));
	symbols[nr_symbols++] = *s;
}

/* "ffffffffc0a01230 t kpy_alloc\t[kpymalloc]", cut into its words */
static void parse(char *line)
{
	char type, *end, *tab;
	struct symbol s = { .address = strtoull(line, &end, 16) };

	if (!s.address || end[0] != ' ' || !end[1] || end[2] != ' ')
		return;
	type = end[1];
	s.name = end + 3;
	tab = strchr(s.name, '\t');
	if (tab && tab[1] == '[') {
		*tab = '\0';
		s.module = tab + 2;
		tab[2 + strcspn(s.module, "]")] = '\0';
	}
	if (strchr("tTwW", type))
		add(&s);
}

/* Of names for the same address the kernel's first one counts. */
static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return (x->name > y->name) - (x->name < y->name);
}

static void load(void)
{
	char *rest, *line;
	size_t size = 0;
	FILE *f = fopen("/proc/kallsyms", "r");

	free(names);
	names = NULL;
	nr_symbols = 0;
	if (!f || getdelim(&names, &size, '\0', f) < 0)
		trouble("/proc/kallsyms: %s, addresses stay numbers", strerror(errno));
	rest = names;
	while ((line = strsep(&rest, "\n")))
		parse(line);
	if (nr_symbols)
		qsort(symbols, nr_symbols, sizeof(*symbols), by_address);
	if (f)
		fclose(f);
}

static u64 mix(u64 hash, const char *word)
{
	while (*word)
		hash = (hash ^ (unsigned char)*word++) * 1099511628211ULL;
	return hash;
}

/* A number for the modules and where they are; how often they are used does not matter. */
static u64 modules_hash(void)
{
	char name[64], size[32], state[32], address[32], *line = NULL;
	FILE *f = fopen("/proc/modules", "r");
	size_t room = 0;
	u64 hash = 1;

	while (f && getline(&line, &room, f) > 0)
		if (sscanf(line, "%63s %31s %*s %*s %31s %31s", name, size, state, address) == 4)
			hash = mix(mix(mix(mix(hash, name), size), state), address);
	free(line);
	if (f)
		fclose(f);
	return hash;
}

static void refresh(void)
{
	static double looked;
	static u64 known;		/* 0: nothing has been read yet */
	u64 hash;

	if (known && now() < looked + LOOK)
		return;
	looked = now();
	hash = modules_hash();
	if (hash == known)
		return;
	known = hash;
	load();
}

/* The number of symbols that start at or below @address */
static size_t below(__u64 address)
{
	size_t low = 0, high = nr_symbols;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool same_module(const struct symbol *a, const struct symbol *b)
{
	return a->module && b->module ? !strcmp(a->module, b->module) : a->module == b->module;
}

/* Behind the last function of a module may be anything, such as what its init was. */
static bool behind(size_t n, __u64 address)
{
	return (n + 1 == nr_symbols || !same_module(&symbols[n], &symbols[n + 1])) &&
	       address - symbols[n].address >= LAST_FUNCTION;
}

void ksyms_load(void)
{
	refresh();
}

/* The function that holds @address; NULL if that is unknown.  Good until the next call. */
const char *ksym_name(__u64 address, __u64 *offset, const char **module)
{
	size_t n;

	refresh();
	n = below(address);
	if (!n || behind(n - 1, address))
		return NULL;
	while (n > 1 && symbols[n - 2].address == symbols[n - 1].address)
		n--;
	*offset = address - symbols[n - 1].address;
	*module = symbols[n - 1].module;
	return symbols[n - 1].name;
}

/* "kpylab_site_a+0x12 [kpylab]", or the number; to be freed */
char *ksym_text(__u64 address)
{
	const char *module, *name;
	__u64 offset;

	name = ksym_name(address, &offset, &module);
	if (!name)
		return format("0x%llx", address);
	if (!module)
		return format("%s+0x%llx", name, offset);
	return format("%s+0x%llx [%s]", name, offset, module);
}
