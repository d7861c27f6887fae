// SPDX-License-Identifier: GPL-2.0
/*
 * L0: geometries: CPython's presets, which ones are allowed, and their text form
 * `preset=cpython-3.10` or `arena=1M pool=16K align=16 max=512 release=keep-last`;
 * also the text form of a heap's other parameters.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>

#include "internal.h"

static const struct {
	const char *name;
	struct kpy_geometry geo;
} presets[] = {
	{ "cpython-3.6", { 256 << 10, 4 << 10, 8, 512, KPY_RELEASE_ALWAYS } },
	{ "cpython-3.8", { 256 << 10, 4 << 10, 16, 512, KPY_RELEASE_ALWAYS } },
	{ "cpython-3.9", { 256 << 10, 4 << 10, 16, 512, KPY_RELEASE_KEEP_LAST } },
	{ "cpython-3.10", { 1 << 20, 16 << 10, 16, 512, KPY_RELEASE_KEEP_LAST } },
};

static const char *const release_names[] = {
	[KPY_RELEASE_KEEP_LAST] = "keep-last",
	[KPY_RELEASE_ALWAYS] = "always",
	[KPY_RELEASE_POOL] = "pool",
};

static const char *const mode_names[] = {
	[KPY_MODE_CLASSIC] = "classic",
	[KPY_MODE_PERCPU] = "percpu",
};

enum option {
	OPTION_ARENA,
	OPTION_POOL,
	OPTION_ALIGN,
	OPTION_MAX,
	OPTION_RELEASE,
	OPTION_MODE,
	OPTION_LIMIT,
	OPTION_ACCOUNT,
};

static const char *const option_names[] = {
	[OPTION_ARENA] = "arena",
	[OPTION_POOL] = "pool",
	[OPTION_ALIGN] = "align",
	[OPTION_MAX] = "max",
	[OPTION_RELEASE] = "release",
	[OPTION_MODE] = "mode",
	[OPTION_LIMIT] = "limit",
	[OPTION_ACCOUNT] = "account",
};

/**
 * kpy_release_name() - text form of a release rule
 * @release: a valid one
 *
 * Context: Any.
 * Return: a constant string.
 */
const char *kpy_release_name(enum kpy_release release)
{
	return release_names[release];
}

/**
 * kpy_mode_name() - text form of a mode
 * @mode: a valid one
 *
 * Context: Any.
 * Return: a constant string.
 */
const char *kpy_mode_name(enum kpy_mode mode)
{
	return mode_names[mode];
}

/**
 * kpy_preset_name() - names of the presets, one by one
 * @index: from 0
 *
 * Context: Any.
 * Return: the name, NULL after the last one.
 */
const char *kpy_preset_name(unsigned int index)
{
	return index < ARRAY_SIZE(presets) ? presets[index].name : NULL;
}

/**
 * kpy_preset() - the geometry of a CPython version
 * @name: "cpython-3.6" (upstream's, 3.7 too), "cpython-3.8", "cpython-3.9" or
 *        "cpython-3.10" (through 3.13 and later)
 *
 * Context: Any.
 * Return: the geometry, NULL for an unknown name.
 */
const struct kpy_geometry *kpy_preset(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(presets); i++)
		if (!strcmp(presets[i].name, name))
			return &presets[i].geo;
	return NULL;
}
EXPORT_SYMBOL_GPL(kpy_preset);

static bool size_ok(u32 size, u32 min, u32 max)
{
	return is_power_of_2(size) && size >= min && size <= max;
}

static const char *geometry_fault(const struct kpy_geometry *geo)
{
	if (!size_ok(geo->arena_size, KPY_ARENA_MIN, KPY_ARENA_MAX))
		return "the arena size must be a power of two from 16384 to 4194304";
	if (!size_ok(geo->pool_size, KPY_POOL_MIN, KPY_POOL_MAX))
		return "the pool size must be a power of two from 4096 to 65536";
	if (geo->arena_size < 2 * geo->pool_size)
		return "an arena must have at least two pools";
	if (!size_ok(geo->alignment, KPY_ALIGN_MIN, KPY_ALIGN_MAX))
		return "the alignment must be 8, 16 or 32";
	if (!geo->max_small || geo->max_small > KPY_SMALL_MAX)
		return "the largest small request must be from 1 to 512";
	if (geo->max_small % geo->alignment)
		return "the largest small request must be a multiple of the alignment";
	if ((unsigned int)geo->release >= ARRAY_SIZE(release_names))
		return "unknown release rule";
	return NULL;
}

/**
 * kpy_geometry_check() - check whether a heap may be laid out like this
 * @geo: the sizes
 * @why: set to a line that says what is wrong, or NULL
 *
 * Context: Any.
 * Return: 0 or -EINVAL.
 */
int kpy_geometry_check(const struct kpy_geometry *geo, const char **why)
{
	*why = geometry_fault(geo);
	return *why ? -EINVAL : 0;
}
EXPORT_SYMBOL_GPL(kpy_geometry_check);

/**
 * kpy_bytes_parse() - read a number of bytes
 * @text: digits, optionally with a suffix K, M or G; is modified
 * @max: largest valid one
 * @bytes: set to it
 *
 * Context: Any.
 * Return: 0, -EINVAL, or -ERANGE for a number beyond @max.
 */
int kpy_bytes_parse(char *text, u64 max, u64 *bytes)
{
	static const char suffixes[] = "KMG";
	size_t len = strlen(text);
	const char *suffix = len ? strchr(suffixes, text[len - 1]) : NULL;
	unsigned int shift = suffix ? (suffix - suffixes + 1) * 10 : 0;
	int err;

	if (suffix)
		text[len - 1] = '\0';
	if (!isdigit(*text))
		return -EINVAL;
	err = kstrtoull(text, 10, bytes);
	if (err)
		return err;
	if (*bytes > max >> shift)
		return -ERANGE;
	*bytes <<= shift;
	return 0;
}

static int parse_size(char *text, u32 *size)
{
	u64 bytes;
	int err = kpy_bytes_parse(text, U32_MAX, &bytes);

	if (!err)
		*size = bytes;
	return err;
}

static int set_release(struct kpy_geometry *geo, const char *text, const char **why)
{
	int i;

	*why = "release is keep-last, always, pool or arena, which is keep-last";
	i = strcmp(text, "arena") ? match_string(release_names, ARRAY_SIZE(release_names), text) :
				    KPY_RELEASE_KEEP_LAST;
	if (i < 0)
		return -EINVAL;
	geo->release = i;
	return 0;
}

static int set_account(struct kpy_heap_params *params, const char *text, const char **why)
{
	*why = "account is on or off";
	params->flags &= ~KPY_HEAP_ACCOUNT;
	if (!strcmp(text, "on"))
		params->flags |= KPY_HEAP_ACCOUNT;
	else if (strcmp(text, "off"))
		return -EINVAL;
	return 0;
}

static int parse_name(const char *const *names, size_t n, const char *text, const char *fault,
		      const char **why)
{
	int i = match_string(names, n, text);

	if (i < 0)
		*why = fault;
	return i;
}

static int set_option(struct kpy_heap_params *params, enum option option, char *value,
		      const char **why)
{
	struct kpy_geometry *geo = &params->geometry;
	int i;

	*why = "not a size";
	switch (option) {
	case OPTION_ARENA:
		return parse_size(value, &geo->arena_size);
	case OPTION_POOL:
		return parse_size(value, &geo->pool_size);
	case OPTION_ALIGN:
		return parse_size(value, &geo->alignment);
	case OPTION_MAX:
		return parse_size(value, &geo->max_small);
	case OPTION_RELEASE:
		return set_release(geo, value, why);
	case OPTION_MODE:
		i = parse_name(mode_names, ARRAY_SIZE(mode_names), value,
			       "mode is classic or percpu", why);
		params->mode = i;
		return i < 0 ? -EINVAL : 0;
	case OPTION_LIMIT:
		return kpy_bytes_parse(value, U64_MAX, &params->limit);
	case OPTION_ACCOUNT:
		return set_account(params, value, why);
	}
	return -EINVAL;
}

/* @seen has a bit for each option that was given before. */
static int parse_option(struct kpy_heap_params *params, const char *key, char *value,
			unsigned long *seen, const char **why)
{
	int option = match_string(option_names, ARRAY_SIZE(option_names), key);

	*why = "options are preset, arena, pool, align, max, release, mode, limit and account";
	if (option < 0)
		return -EINVAL;
	*why = "an option is given twice";
	if (__test_and_set_bit(option, seen))
		return -EINVAL;
	return set_option(params, option, value, why);
}

static int set_preset(struct kpy_heap_params *params, const char *name, const char **why)
{
	const struct kpy_geometry *geo = kpy_preset(name);

	*why = "unknown preset";
	if (!geo)
		return -EINVAL;
	params->geometry = *geo;
	return 0;
}

/**
 * kpy_geometry_parse() - read the text form
 * @options: `key=value` words; is modified
 * @params: geometry, mode, limit and flags are set
 * @why: set to a line that says what is wrong
 *
 * preset= comes first, and further options change it.  Without it arena= and pool= are
 * needed, and the rest is as in CPython 3.10.  No option may be given twice.
 *
 * Context: Any.
 * Return: 0, -EINVAL, or -ERANGE for a size beyond 32 bits or a limit beyond 64.
 */
int kpy_geometry_parse(char *options, struct kpy_heap_params *params, const char **why)
{
	unsigned long seen = 0;
	char *word, *value;
	bool first = true;
	int err;

	params->geometry = *kpy_preset("cpython-3.10");
	params->geometry.arena_size = 0;
	params->geometry.pool_size = 0;
	params->mode = KPY_MODE_CLASSIC;
	params->limit = 0;
	params->flags = 0;

	while ((word = strsep(&options, " \t\n"))) {
		if (!*word)
			continue;
		*why = "options look like key=value";
		value = strchr(word, '=');
		if (!value)
			return -EINVAL;
		*value++ = '\0';
		if (first && !strcmp(word, "preset"))
			err = set_preset(params, value, why);
		else
			err = parse_option(params, word, value, &seen, why);
		if (err)
			return err;
		first = false;
	}
	return kpy_geometry_check(&params->geometry, why);
}
