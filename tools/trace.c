// SPDX-License-Identifier: GPL-2.0
/*
 * A trace file as a stream of chunks, unpacked on the way if it is
 * zstd-compressed, so that one of any size passes through a few hundred KiB.
 * What the bytes mean is for the kernel to judge.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "kpy.h"

static const unsigned char zstd_magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

struct trace {
	const char *path;
	FILE *file;
	ZSTD_DStream *unpack;		/* NULL: a plain file */
	ZSTD_inBuffer in;
	size_t frame_left;		/* zstd's hint; 0 at the end of a frame */
	size_t in_size;
	size_t out_size;
	unsigned char *in_buf;
	unsigned char *out_buf;
};

static bool is_compressed(FILE *file)
{
	unsigned char magic[sizeof(zstd_magic)];
	bool same = fread(magic, 1, sizeof(magic), file) == sizeof(magic) &&
		    !memcmp(magic, zstd_magic, sizeof(magic));

	rewind(file);
	return same;
}

int trace_open(const char *path, struct trace **trace)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return trouble("out of memory");
	*trace = t;
	t->path = path;
	t->file = fopen(path, "rbe");
	if (!t->file) {
		int err = trouble("%s: %s", path, strerror(errno));

		trace_close(t);
		return err;
	}
	t->in_size = ZSTD_DStreamInSize();
	t->out_size = 2 * ZSTD_DStreamOutSize();
	t->in_buf = malloc(t->in_size);
	t->out_buf = malloc(t->out_size);
	t->in.src = t->in_buf;
	if (is_compressed(t->file))
		t->unpack = ZSTD_createDStream();
	return 0;
}

void trace_close(struct trace *t)
{
	if (t->file)
		fclose(t->file);
	ZSTD_freeDStream(t->unpack);
	free(t->in_buf);
	free(t->out_buf);
	free(t);
}

static int read_file(struct trace *t, void *buf, size_t size, size_t *len)
{
	*len = fread(buf, 1, size, t->file);
	return ferror(t->file) ? trouble("%s: %s", t->path, strerror(errno)) : 0;
}

static int refill(struct trace *t)
{
	t->in.pos = 0;
	return read_file(t, t->in_buf, t->in_size, &t->in.size);
}

static int unpack(struct trace *t, ZSTD_outBuffer *out)
{
	while (out->pos < out->size) {
		size_t before = out->pos;
		int err = t->in.pos == t->in.size ? refill(t) : 0;
		bool ended = !t->in.size;

		if (err)
			return err;
		if (ended && !t->frame_left)
			break;
		t->frame_left = ZSTD_decompressStream(t->unpack, out, &t->in);
		if (ZSTD_isError(t->frame_left))
			return trouble("%s: the compressed data is damaged: %s", t->path,
				       ZSTD_getErrorName(t->frame_left));
		if (ended && t->frame_left && out->pos == before)
			return trouble("%s: the compressed data ends too early", t->path);
	}
	return 0;
}

/* The next chunk, valid until the next call; an empty one is the end. */
int trace_next(struct trace *t, const void **chunk, size_t *len)
{
	ZSTD_outBuffer out = { t->out_buf, t->out_size, 0 };
	int err;

	*chunk = t->out_buf;
	if (!t->unpack)
		return read_file(t, t->out_buf, t->out_size, len);
	err = unpack(t, &out);
	*len = out.pos;
	return err;
}

/* Bytes of the whole trace, from its header: what a bar is drawn against, no more. */
u64 trace_size(const void *header)
{
	const unsigned char *stream_bytes = (const unsigned char *)header + 32;
	u64 size = 0;

	for (int i = 7; i >= 0; i--)
		size = size << 8 | stream_bytes[i];
	return TRACE_HEADER + size;
}

static size_t without(const char *path, size_t len, const char *suffix)
{
	size_t end = strlen(suffix);

	return len > end && !strncmp(path + len - end, suffix, end) ? len - end : len;
}

/* What the recorder wrote beside the trace: NAME.json of NAME.trace.zst; to be freed. */
char *trace_companion(const char *path)
{
	size_t len = without(path, strlen(path), ".zst");

	len = without(path, len, ".trace");
	return format("%.*s.json", (int)len, path);
}

/* That file if there is one, else NULL. */
int trace_recording(const char *path, struct json_object **recording)
{
	char *companion = trace_companion(path);
	int err = 0;

	*recording = NULL;
	if (!access(companion, F_OK))
		err = json_load(companion, recording);
	free(companion);
	return err;
}
