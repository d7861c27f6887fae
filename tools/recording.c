// SPDX-License-Identifier: GPL-2.0
/*
 * A recording's files.
 *
 * Before the program starts, the spool: two nameless files where the trace
 * is to lie, so that an output that cannot be written is known early, its
 * disk is the one that fills up, and nothing is left if kpy itself is killed.
 * After its end, the trace, its JSON and CPython's last print, written under
 * other names first.  Nothing of it is predicted: the numbers are those that
 * CPython printed, and are checked against each other and our counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "kpy.h"
#include "recording.h"

#define NR_CHECKPOINTS	16		/* the last of them is the end */
#define HEADER_SIZE	64
#define MAX_SMALL	512
#define POOL_HEADER	48

struct moment {
	struct spool_state spool;
	const char *text;
	const char *losses;
};

/* What the spool has come to. */
struct result {
	const struct recording *rec;
	const unsigned char *stream;
	struct moment *moments;
	size_t nr;
	const struct moment *end;
	char *losses;			/* of all arenas up to the end */
};

static void *map(int fd, size_t size, int prot)
{
	void *p = size ? mmap(NULL, size, prot, MAP_SHARED, fd, 0) : NULL;

	if (p == MAP_FAILED)
		exit(trouble("out of memory"));
	return p;
}

static int open_nameless(const char *beside)
{
	char *path = format("%s.XXXXXX", beside);
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd >= 0)
		unlink(path);
	else
		trouble("%s: %s", beside, strerror(errno));
	free(path);
	return fd;
}

int recording_begin(struct recording *rec)
{
	struct stat st;
	int err;

	if (!stat(rec->path, &st) && !S_ISREG(st.st_mode))
		return trouble("%s: this is not a regular file", rec->path);
	rec->stream = open_nameless(rec->path);
	rec->states = rec->stream < 0 ? -1 : open_nameless(rec->path);
	if (rec->states < 0)
		return KPY_TROUBLE;
	err = posix_fallocate(rec->states, 0, SPOOL_STATES);
	if (err)
		return trouble("%s: %s", rec->path, strerror(err));
	rec->head = map(rec->states, SPOOL_STATES, PROT_READ | PROT_WRITE);
	return 0;
}

/* Reading the spool. */

static void read_moments(struct result *res)
{
	size_t size = SPOOL_STATES + res->rec->head->states_size;
	const char *file = map(res->rec->states, size, PROT_READ);
	size_t offset = SPOOL_STATES, nr_losses = 0, room = 0;

	while (offset < size) {
		struct moment *m;

		if (res->nr == room) {
			room = room ? 2 * room : 1024;
			res->moments = realloc(res->moments, room * sizeof(*m));
			if (!res->moments)
				exit(trouble("out of memory"));
		}
		m = &res->moments[res->nr++];
		memcpy(&m->spool, file + offset, sizeof(m->spool));
		m->text = file + offset + sizeof(m->spool);
		m->losses = m->text + m->spool.text_size;
		nr_losses += m->spool.loss_size;
		offset = m->losses + m->spool.loss_size - file;
	}
	res->losses = calloc(1, nr_losses + 1);
	for (size_t i = 0; res->losses && i < res->nr; i++)
		strncat(res->losses, res->moments[i].losses, res->moments[i].spool.loss_size);
	res->end = res->nr ? &res->moments[res->nr - 1] : NULL;
}

/* Whether there is something to write, and if not, why. */
static int judge(const struct result *res)
{
	const struct spool_head *head = res->rec->head;

	if (!head->pid)
		return trouble("%s started no CPython that can be recorded", res->rec->command[0]);
	if (head->end == SPOOL_FAILED)
		return trouble("not recorded: %s", head->why);
	if (!head->ops)
		return trouble("not recorded: no call came by; do PYTHONMALLOC or -X dev choose "
			       "another allocator?");
	if (!res->end)
		return trouble("not recorded: %s", head->end == SPOOL_CUT ? head->why :
			       "the program ended before CPython's numbers could be had");
	return 0;
}

static void know(struct state *s, enum state_field field, u64 value)
{
	s->value[field] = value;
	s->known[field] = true;
}

static void fill_state(struct state *s, const struct moment *m)
{
	const struct spool_state *spool = &m->spool;
	char *text = format("%.*s", (int)spool->text_size, m->text);

	*s = (struct state){ 0 };
	state_add_stats(s, text);
	free(text);
	know(s, S_AFTER_OPS, spool->ops);
	know(s, S_RAW_LIVE_BLOCKS, spool->raw_live_blocks);
	know(s, S_LIVE_BLOCKS, spool->live_blocks);
	know(s, S_LIVE_REQUESTED_SMALL, spool->live_requested_small);
	know(s, S_LIVE_REQUESTED_ALL, spool->live_requested_all);
	know(s, S_DIGEST, spool->digest);
	know(s, S_DIGEST_SERIAL, spool->digest_serial);
}

/* CPython's numbers against each other and against what went through the hooks. */
static int check_state(const struct state *s, const struct spool_head *head)
{
	const u64 *v = s->value;
	u64 in_use = 0, bytes = 0;

	for (int c = 0; c < KPY_CLASSES; c++)
		in_use += s->classes[c].pools ? s->classes[c].in_use : 0;
	for (int f = S_BYTES_ALLOCATED; f < S_BYTES_TOTAL; f++)
		bytes += v[f];
	if (bytes != v[S_BYTES_TOTAL] || bytes != v[S_ARENAS_CURRENT] * head->arena_size)
		return trouble("not recorded: after %llu ops CPython's byte totals do not add up",
			       v[S_AFTER_OPS]);
	if (in_use != v[S_LIVE_BLOCKS] - v[S_RAW_LIVE_BLOCKS])
		return trouble("not recorded: after %llu ops CPython has %llu blocks in use, "
			       "but %llu were seen", v[S_AFTER_OPS], in_use,
			       v[S_LIVE_BLOCKS] - v[S_RAW_LIVE_BLOCKS]);
	return 0;
}

static int check_states(const struct result *res)
{
	struct state state;
	int err = 0;

	for (size_t i = 0; !err && i < res->nr; i++) {
		fill_state(&state, &res->moments[i]);
		err = check_state(&state, res->rec->head);
	}
	return err;
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

/* The three files. */

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

/* See Documentation/trace-format.rst. */
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

static void add_interpreter(struct json_object *obj, const struct spool_head *head)
{
	int major = 0, minor = 0;
	char *version;

	sscanf(head->python, "%d.%d", &major, &minor);
	version = format("%d.%d", major, minor);
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

/* Releasing the last empty arena at once ended with 3.8. */
static struct json_object *recorded_geometry(const struct spool_head *head)
{
	struct json_object *obj = json_object_new_object();
	int minor = 0;

	sscanf(head->python, "3.%d", &minor);
	add_u64(obj, "arena_size", head->arena_size);
	add_u64(obj, "pool_size", head->pool_size);
	add_u64(obj, "alignment", head->alignment);
	add_u64(obj, "max_small", MAX_SMALL);
	add_u64(obj, "pool_header", POOL_HEADER);
	add_text(obj, "release_rule", minor >= 9 ? "keep-last" : "always");
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

static struct json_object *moment_json(const struct moment *m)
{
	struct state state;

	fill_state(&state, m);
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

/* All three or none; the trace comes last. */
static int write_outputs(const struct result *res)
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

static void summarize(const struct result *res)
{
	const struct spool_head *head = res->rec->head;
	u64 lost = head->ops - res->end->spool.ops;
	char ops[32];

	if (res->rec->verbose)
		fprintf(stderr, "kpy: %s: %s operations of CPython %.*s, %zu states\n",
			res->rec->path, commas(ops, res->end->spool.ops),
			(int)strcspn(head->python, " "), head->python, res->nr);
	if (head->end == SPOOL_CUT)
		trouble("the recording ends after %s operations: %s",
			commas(ops, res->end->spool.ops), head->why);
	else if (lost)
		trouble("the program's last %s operations are not recorded", commas(ops, lost));
}

int recording_end(const struct recording *rec)
{
	struct result res = { .rec = rec };
	int err;

	read_moments(&res);
	err = judge(&res);
	if (!err)
		err = check_states(&res);
	if (!err) {
		res.stream = map(rec->stream, res.end->spool.stream_size, PROT_READ);
		err = write_outputs(&res);
	}
	if (!err)
		summarize(&res);
	free(res.moments);
	free(res.losses);
	return err;
}
