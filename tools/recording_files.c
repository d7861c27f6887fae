// SPDX-License-Identifier: GPL-2.0
/*
 * The files of a recording: the trace, its JSON, and CPython's last print.
 * They get their names when all are written, so that none is ever half there.
 * Documentation/trace-format.rst says what is in them.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "kpy.h"
#include "recording.h"

#define NR_CHECKPOINTS	16		/* the last of them is the end */
#define HEADER_SIZE	64
#define MAX_SMALL	512
#define POOL_HEADER	48

static uint32_t crc32(const unsigned char *data, size_t len)
{
	uint32_t table[256], crc = ~0u;

	for (uint32_t byte = 0; byte < 256; byte++) {
		table[byte] = byte;
		for (int bit = 0; bit < 8; bit++)
			table[byte] = table[byte] >> 1 ^ (table[byte] & 1 ? 0xedb88320 : 0);
	}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *data++) & 0xff];
	return ~crc;
}

static void put_le(unsigned char *to, u64 value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = value >> 8 * i;
}

static void make_header(const struct result *res, unsigned char header[HEADER_SIZE])
{
	const struct spool_state *end = &res->end->spool;

	memset(header, 0, HEADER_SIZE);
	memcpy(header, "PYOBTRC1", 8);
	put_le(header + 8, HEADER_SIZE, 4);
	put_le(header + 12, crc32(res->stream, end->stream_size), 4);
	put_le(header + 16, end->ops, 8);
	put_le(header + 24, end->ids, 8);
	put_le(header + 32, end->stream_size, 8);
}

static void pack(FILE *file, ZSTD_CCtx *zstd, const void *data, size_t len, ZSTD_EndDirective end)
{
	static char buf[1 << 17];
	ZSTD_inBuffer in = { data, len, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { buf, sizeof(buf), 0 };

		left = ZSTD_compressStream2(zstd, &out, &in, end);
		fwrite(buf, 1, out.pos, file);
	} while (!ZSTD_isError(left) && (in.pos < in.size || (end == ZSTD_e_end && left)));
}

static bool is_compressed(const char *path)
{
	size_t len = strlen(path);

	return len > 4 && !strcmp(path + len - 4, ".zst");
}

static void write_trace(const struct result *res, FILE *file)
{
	unsigned char header[HEADER_SIZE];
	size_t size = res->end->spool.stream_size;
	ZSTD_CCtx *zstd;

	make_header(res, header);
	if (!is_compressed(res->rec->path)) {
		fwrite(header, 1, HEADER_SIZE, file);
		fwrite(res->stream, 1, size, file);
		return;
	}
	zstd = ZSTD_createCCtx();
	if (!zstd)
		exit(trouble("out of memory"));
	ZSTD_CCtx_setPledgedSrcSize(zstd, HEADER_SIZE + size);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	pack(file, zstd, header, HEADER_SIZE, ZSTD_e_continue);
	pack(file, zstd, res->stream, size, ZSTD_e_end);
	ZSTD_freeCCtx(zstd);
}

static void write_stats(const struct result *res, FILE *file)
{
	fwrite(res->end->text, 1, res->end->spool.text_size, file);
}

static void add_u64(struct json_object *obj, const char *key, u64 value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

/* The recorder refuses all but 3.x. */
static int minor_version(const struct spool_head *head)
{
	return atoi(head->python + strlen("3."));
}

static void add_interpreter(struct json_object *obj, const struct spool_head *head)
{
	char *version = format("3.%d", minor_version(head));

	add_text(obj, "interpreter", version);
	add_text(obj, "python", head->python);
	free(version);
}

static void add_command(struct json_object *obj, char **command)
{
	struct json_object *words = json_object_new_array();

	for (; *command; command++)
		json_object_array_add(words, json_object_new_string(*command));
	json_object_object_add(obj, "command", words);
}

/* Up to 3.8 the last usable arena, too, is released as soon as it is empty. */
static struct json_object *recorded_geometry(const struct spool_head *head)
{
	struct json_object *obj = json_object_new_object();

	add_u64(obj, "arena_size", head->arena_size);
	add_u64(obj, "pool_size", head->pool_size);
	add_u64(obj, "alignment", head->alignment);
	add_u64(obj, "max_small", MAX_SMALL);
	add_u64(obj, "pool_header", POOL_HEADER);
	add_text(obj, "release_rule", minor_version(head) >= 9 ? "keep-last" : "always");
	return obj;
}

static struct json_object *counts(const struct spool_state *end)
{
	static const char *const kinds[] = { "malloc", "calloc", "realloc", "free" };
	struct json_object *obj = json_object_new_object();

	add_u64(obj, "total", end->ops);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		add_u64(obj, kinds[i], end->kinds[i]);
	add_u64(obj, "ids", end->ids);
	return obj;
}

static struct json_object *how_it_ended(const struct result *res)
{
	static const char *const ends[] = {
		[SPOOL_RUNNING] = "unfinished",
		[SPOOL_EXITED] = "exit",
		[SPOOL_STOPPED] = "stopped",
		[SPOOL_LIMIT] = "max-ops",
		[SPOOL_CUT] = "cut",
	};
	const struct spool_head *head = res->rec->head;
	struct json_object *obj = json_object_new_object();

	add_text(obj, "how", ends[head->end]);
	add_text(obj, "why", head->why);
	add_u64(obj, "ops_not_recorded", head->ops - res->end->spool.ops);
	return obj;
}

/* Whether moment @i is the first at or after a whole part of the recording. */
static bool begins_part(const struct result *res, size_t i)
{
	u64 ops = res->moments[i].spool.ops, before = i ? res->moments[i - 1].spool.ops : 0;
	u64 part = res->end->spool.ops / NR_CHECKPOINTS + 1;

	return ops / part != before / part;
}

static bool is_checkpoint(const struct result *res, size_t i)
{
	u64 every = res->rec->head->every;

	if (&res->moments[i] == res->end)
		return false;
	return every ? !(res->moments[i].spool.ops % every) : begins_part(res, i);
}

static struct json_object *moment_json(const struct moment *m)
{
	struct state state;

	moment_state(m, &state);
	return state_json(&state);
}

static void write_json(const struct result *res, FILE *file)
{
	const struct spool_head *head = res->rec->head;
	struct json_object *obj = json_object_new_object();
	struct json_object *checkpoints = json_object_new_array();

	add_interpreter(obj, head);
	add_command(obj, res->rec->command);
	add_text(obj, "format", "PYOBTRC1");
	json_object_object_add(obj, "geometry", recorded_geometry(head));
	add_text(obj, "arenas", head->mmap_arenas ? "mmap" : "aligned");
	add_text(obj, "arena_loss", res->losses);
	json_object_object_add(obj, "ops", counts(&res->end->spool));
	json_object_object_add(obj, "end", how_it_ended(res));
	json_object_object_add(obj, "final", moment_json(res->end));
	for (size_t i = 0; i < res->nr; i++)
		if (is_checkpoint(res, i))
			json_object_array_add(checkpoints, moment_json(&res->moments[i]));
	json_object_object_add(obj, "checkpoints", checkpoints);
	json_write(file, obj);
	json_object_put(obj);
}

struct output {
	char *path;
	char *part;			/* its name while it is written */
	void (*write)(const struct result *res, FILE *file);
};

static int write_part(const struct output *out, const struct result *res)
{
	FILE *file = fopen(out->part, "we");
	bool failed;

	if (!file)
		return trouble("%s: %s", out->part, strerror(errno));
	out->write(res, file);
	failed = ferror(file);
	if (fclose(file) || failed)
		return trouble("%s: %s", out->path, strerror(errno));
	return 0;
}

/* The trace comes last: where it is, the others are. */
int recording_write(const struct result *res)
{
	const char *path = res->rec->path;
	char *json = trace_companion(path);
	struct output outputs[] = {
		{ .path = format("%.*s.stats.txt", (int)strlen(json) - 5, json),
		  .write = write_stats },
		{ .path = json, .write = write_json },
		{ .path = format("%s", path), .write = write_trace },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
		outputs[i].part = format("%s.%d", outputs[i].path, getpid());
		err = err ? err : write_part(&outputs[i], res);
	}
	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
		if (!err && rename(outputs[i].part, outputs[i].path))
			err = trouble("%s: %s", outputs[i].path, strerror(errno));
		if (err)
			unlink(outputs[i].part);
		free(outputs[i].part);
		free(outputs[i].path);
	}
	return err;
}
