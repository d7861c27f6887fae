// SPDX-License-Identifier: GPL-2.0
/* Geometries and their text form: what is accepted, and each way to be refused. */
#include "user.h"

static const struct line {
	const char *text;
	int err;
	const char *why;
} refused[] = {
	{ "", -EINVAL, "the arena size must be a power of two from 16384 to 4194304" },
	{ "arena=1M", -EINVAL, "the pool size must be a power of two from 4096 to 65536" },
	{ "pool=4K", -EINVAL, "the arena size must be a power of two from 16384 to 4194304" },
	{ "arena", -EINVAL, "options look like key=value" },
	{ "arena=1M pool", -EINVAL, "options look like key=value" },
	{ "size=1M", -EINVAL,
	  "options are preset, arena, pool, align, max, release, mode, limit and account" },
	{ "=1M", -EINVAL,
	  "options are preset, arena, pool, align, max, release, mode, limit and account" },
	{ "arena=1M preset=cpython-3.10", -EINVAL,
	  "options are preset, arena, pool, align, max, release, mode, limit and account" },
	{ "preset=cpython-3.8 preset=cpython-3.8", -EINVAL,
	  "options are preset, arena, pool, align, max, release, mode, limit and account" },
	{ "arena=1M pool=4K arena=1M", -EINVAL, "an option is given twice" },
	{ "preset=cpython-3.8 limit=1 account=on limit=1", -EINVAL, "an option is given twice" },
	{ "preset=cpython-3.7", -EINVAL, "unknown preset" },
	{ "preset=", -EINVAL, "unknown preset" },
	{ "arena=", -EINVAL, "not a size" },
	{ "arena=K", -EINVAL, "not a size" },
	{ "arena=-1", -EINVAL, "not a size" },
	{ "arena=+1", -EINVAL, "not a size" },
	{ "arena=1k", -EINVAL, "not a size" },
	{ "arena=1KK", -EINVAL, "not a size" },
	{ "arena=0x1000", -EINVAL, "not a size" },
	{ "pool=one", -EINVAL, "not a size" },
	{ "align=x", -EINVAL, "not a size" },
	{ "max=x", -EINVAL, "not a size" },
	{ "limit=x", -EINVAL, "not a size" },
	{ "arena=4294967296", -ERANGE, "not a size" },
	{ "arena=4G", -ERANGE, "not a size" },
	{ "arena=4096M", -ERANGE, "not a size" },
	{ "pool=4194304K", -ERANGE, "not a size" },
	{ "arena=99999999999999999999", -ERANGE, "not a size" },
	{ "limit=17179869184G", -ERANGE, "not a size" },
	{ "release=never", -EINVAL,
	  "release is keep-last, always, pool or arena, which is keep-last" },
	{ "mode=fast", -EINVAL, "mode is classic or percpu" },
	{ "account=yes", -EINVAL, "account is on or off" },
	{ "preset=cpython-3.8 align=64", -EINVAL, "the alignment must be 8, 16 or 32" },
	{ "preset=cpython-3.8 align=4", -EINVAL, "the alignment must be 8, 16 or 32" },
	{ "preset=cpython-3.8 max=0", -EINVAL,
	  "the largest small request must be from 1 to 512" },
	{ "preset=cpython-3.8 max=528", -EINVAL,
	  "the largest small request must be from 1 to 512" },
	{ "preset=cpython-3.8 max=24", -EINVAL,
	  "the largest small request must be a multiple of the alignment" },
	{ "arena=64K pool=64K", -EINVAL, "an arena must have at least two pools" },
	{ "arena=32K pool=64K", -EINVAL, "an arena must have at least two pools" },
	{ "arena=8M pool=64K", -EINVAL,
	  "the arena size must be a power of two from 16384 to 4194304" },
	{ "arena=8K pool=4K", -EINVAL,
	  "the arena size must be a power of two from 16384 to 4194304" },
	{ "arena=1M pool=128K", -EINVAL,
	  "the pool size must be a power of two from 4096 to 65536" },
	{ "arena=1M pool=2K", -EINVAL,
	  "the pool size must be a power of two from 4096 to 65536" },
};

static void describe(const struct line *line, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "'%s'", line->text);
}

KUNIT_ARRAY_PARAM(refused, refused, describe);

static int parse(const char *text, struct kpy_heap_params *params, const char **why)
{
	char copy[128];

	memset(params, 0xee, sizeof(*params));
	strscpy(copy, text, sizeof(copy));
	return kpy_geometry_parse(copy, params, why);
}

static void options_refused(struct kunit *test)
{
	const struct line *line = test->param_value;
	struct kpy_heap_params params;
	const char *why = "nothing";

	KUNIT_EXPECT_EQ(test, parse(line->text, &params, &why), line->err);
	KUNIT_EXPECT_STREQ(test, why, line->why);
}

static void expect_params(struct kunit *test, const char *text, struct kpy_geometry geo,
			  enum kpy_mode mode, unsigned int flags, u64 limit)
{
	struct kpy_heap_params params;
	const char *why = text;

	KUNIT_EXPECT_EQ(test, parse(text, &params, &why), 0);
	KUNIT_EXPECT_NULL(test, why);
	KUNIT_EXPECT_EQ(test, params.geometry.arena_size, geo.arena_size);
	KUNIT_EXPECT_EQ(test, params.geometry.pool_size, geo.pool_size);
	KUNIT_EXPECT_EQ(test, params.geometry.alignment, geo.alignment);
	KUNIT_EXPECT_EQ(test, params.geometry.max_small, geo.max_small);
	KUNIT_EXPECT_EQ(test, params.geometry.release, geo.release);
	KUNIT_EXPECT_EQ(test, params.mode, mode);
	KUNIT_EXPECT_EQ(test, params.flags, flags);
	KUNIT_EXPECT_EQ(test, params.limit, limit);
}

#define GEO(...) ((struct kpy_geometry){ __VA_ARGS__ })

static void options_accepted(struct kunit *test)
{
	expect_params(test, "arena=256K pool=4K",
		      GEO(SZ_256K, SZ_4K, 16, 512, KPY_RELEASE_KEEP_LAST), 0, 0, 0);
	expect_params(test, " \tarena=262144\n\npool=4096 \n",
		      GEO(SZ_256K, SZ_4K, 16, 512, KPY_RELEASE_KEEP_LAST), 0, 0, 0);
	expect_params(test, "preset=cpython-3.6",
		      GEO(SZ_256K, SZ_4K, 8, 512, KPY_RELEASE_ALWAYS), 0, 0, 0);
	expect_params(test, "preset=cpython-3.10 mode=percpu limit=1G account=on",
		      GEO(SZ_1M, SZ_16K, 16, 512, KPY_RELEASE_KEEP_LAST), KPY_MODE_PERCPU,
		      KPY_HEAP_ACCOUNT, 1 << 30);
	expect_params(test, "preset=cpython-3.6 release=pool align=32 max=96 mode=classic",
		      GEO(SZ_256K, SZ_4K, 32, 96, KPY_RELEASE_POOL), 0, 0, 0);
	expect_params(test, "preset=cpython-3.8 release=arena account=off limit=0",
		      GEO(SZ_256K, SZ_4K, 16, 512, KPY_RELEASE_KEEP_LAST), 0, 0, 0);
	expect_params(test, "preset=cpython-3.9 release=always limit=17179869183G",
		      GEO(SZ_256K, SZ_4K, 16, 512, KPY_RELEASE_ALWAYS), 0, 0,
		      17179869183ULL << 30);
	expect_params(test, "release=keep-last arena=4M pool=64K limit=18446744073709551615",
		      GEO(4 << 20, SZ_64K, 16, 512, KPY_RELEASE_KEEP_LAST), 0, 0, U64_MAX);
	expect_params(test, "arena=16K pool=4K align=8 max=8",
		      GEO(SZ_16K, SZ_4K, 8, 8, KPY_RELEASE_KEEP_LAST), 0, 0, 0);
}

static void options_bytes(struct kunit *test)
{
	static const struct {
		const char *text;
		u64 max;
		int err;
		u64 bytes;
	} sizes[] = {
		{ "0", 0, 0, 0 }, { "1", 0, -ERANGE }, { "10", 10, 0, 10 }, { "11", 10, -ERANGE },
		{ "1K", 1023, -ERANGE }, { "1K", 1024, 0, 1024 }, { "3M", U64_MAX, 0, 3 << 20 },
		{ "2G", U64_MAX, 0, 2ULL << 30 }, { "1T", U64_MAX, -EINVAL },
		{ " 1", U64_MAX, -EINVAL }, { "", U64_MAX, -EINVAL },
	};
	char copy[16];
	u64 bytes;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		bytes = sizes[i].bytes;
		strscpy(copy, sizes[i].text, sizeof(copy));
		KUNIT_EXPECT_EQ(test, kpy_bytes_parse(copy, sizes[i].max, &bytes), sizes[i].err);
		if (!sizes[i].err)
			KUNIT_EXPECT_EQ(test, bytes, sizes[i].bytes);
	}
}

static void options_names(struct kunit *test)
{
	KUNIT_EXPECT_STREQ(test, kpy_release_name(KPY_RELEASE_KEEP_LAST), "keep-last");
	KUNIT_EXPECT_STREQ(test, kpy_release_name(KPY_RELEASE_ALWAYS), "always");
	KUNIT_EXPECT_STREQ(test, kpy_release_name(KPY_RELEASE_POOL), "pool");
	KUNIT_EXPECT_STREQ(test, kpy_mode_name(KPY_MODE_CLASSIC), "classic");
	KUNIT_EXPECT_STREQ(test, kpy_mode_name(KPY_MODE_PERCPU), "percpu");
	KUNIT_EXPECT_STREQ(test, kpy_preset_name(0), "cpython-3.6");
	KUNIT_EXPECT_STREQ(test, kpy_preset_name(1), "cpython-3.8");
	KUNIT_EXPECT_STREQ(test, kpy_preset_name(2), "cpython-3.9");
	KUNIT_EXPECT_STREQ(test, kpy_preset_name(3), "cpython-3.10");
	KUNIT_EXPECT_NULL(test, kpy_preset_name(4));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(options_refused, refused_gen_params),
	KUNIT_CASE(options_accepted),
	KUNIT_CASE(options_bytes),
	KUNIT_CASE(options_names),
	{}
};

USER_SUITE(options);
