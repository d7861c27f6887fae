// SPDX-License-Identifier: GPL-2.0
/*
 * A PYOBTRC1 trace in memory: receive, check, decode.
 *
 * The stream is kept in single pages in an xarray: hundreds of megabytes need no
 * contiguous buffer, and a length in the header costs nothing until the bytes
 * arrive.  The header is checked as soon as its 64 bytes are there, the CRC is
 * computed during the writes, and the complete stream is decoded once before it
 * may be replayed, so that a replay finds no bad op.
 *
 * Numbers in messages count from 0, as ids do.
 */
#include <linux/bitops.h>
#include <linux/crc32.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "lab.h"

#define HEADER_SIZE	sizeof(struct lab_trace_header)
#define STREAM_MAX	BIT_ULL(40)	/* bytes; no machine holds more */

/**
 * lab_trace_init - initialize an empty trace
 * @t: trace
 */
void lab_trace_init(struct lab_trace *t)
{
	memset(t, 0, sizeof(*t));
	xa_init(&t->pages);
	t->crc = ~0;
}

/**
 * lab_trace_free - free all pages
 * @t: trace, empty afterwards
 *
 * Context: Process context, may sleep.
 */
void lab_trace_free(struct lab_trace *t)
{
	unsigned long index;
	void *page;

	xa_for_each(&t->pages, index, page) {
		free_page((unsigned long)page);
		cond_resched();
	}
	xa_destroy(&t->pages);
	lab_trace_init(t);
}

static int check_zero(const struct lab_trace_header *h)
{
	const u8 *odd = memchr_inv(h->zero, 0, sizeof(h->zero));

	if (!odd)
		return 0;
	return lab_refuse(-EINVAL, "header: byte %zu is 0x%02x, not 0",
			  (size_t)(odd - (const u8 *)h), *odd);
}

static int check_counts(const struct lab_trace *t)
{
	if (t->bytes > STREAM_MAX)
		return lab_refuse(-EINVAL, "header: stream bytes %llu above %llu",
				  t->bytes, STREAM_MAX);
	if (t->ops > t->bytes)
		return lab_refuse(-EINVAL, "header: ops %llu above stream bytes %llu",
				  t->ops, t->bytes);
	if (t->ids > t->ops)
		return lab_refuse(-EINVAL, "header: ids %llu above ops %llu", t->ids, t->ops);
	if (t->ids > LAB_IDS_MAX)
		return lab_refuse(-EINVAL, "header: ids %llu above %zu", t->ids,
				  (size_t)LAB_IDS_MAX);
	return 0;
}

static int check_header(struct lab_trace *t)
{
	const struct lab_trace_header *h = &t->header;
	int err;

	if (memcmp(h->magic, "PYOBTRC1", sizeof(h->magic)))
		return lab_refuse(-EINVAL, "header: magic '%*pE', not 'PYOBTRC1'",
				  (int)sizeof(h->magic), h->magic);
	if (le32_to_cpu(h->size) != HEADER_SIZE)
		return lab_refuse(-EINVAL, "header: header size %u, not %zu",
				  le32_to_cpu(h->size), HEADER_SIZE);
	err = check_zero(h);
	if (err)
		return err;
	t->ops = le64_to_cpu(h->ops);
	t->ids = le64_to_cpu(h->ids);
	t->bytes = le64_to_cpu(h->bytes);
	return check_counts(t);
}

static ssize_t take_header(struct lab_trace *t, const char __user *buf, size_t len)
{
	int err;

	len = min_t(size_t, len, HEADER_SIZE - t->received);
	if (copy_from_user((u8 *)&t->header + t->received, buf, len))
		return -EFAULT;
	t->received += len;
	if (t->received < HEADER_SIZE)
		return len;
	err = check_header(t);
	return err ?: len;
}

/* The page that holds byte @pos of the stream, allocated if there is none yet. */
static u8 *stream_page(struct lab_trace *t, u64 pos)
{
	unsigned long index = pos >> PAGE_SHIFT;
	void *page = xa_load(&t->pages, index);

	if (page)
		return page;
	if (lab_room_for(PAGE_SIZE))
		page = (void *)__get_free_page(LAB_GFP);
	if (!page)
		return NULL;
	if (xa_err(xa_store(&t->pages, index, page, LAB_GFP))) {
		free_page((unsigned long)page);
		return NULL;
	}
	return page;
}

/* Take as much of @buf as fits into one page. */
static ssize_t take_stream(struct lab_trace *t, const char __user *buf, size_t len)
{
	u64 pos = t->received - HEADER_SIZE;
	u8 *page;

	if (len > t->bytes - pos)
		return lab_refuse(-EINVAL, "%llu bytes beyond the stream's %llu",
				  len - (t->bytes - pos), t->bytes);
	page = stream_page(t, pos);
	if (!page)
		return lab_refuse(-ENOMEM, "no memory for stream byte %llu of %llu",
				  pos, t->bytes);
	len = min_t(size_t, len, PAGE_SIZE - offset_in_page(pos));
	page += offset_in_page(pos);
	if (copy_from_user(page, buf, len))
		return -EFAULT;
	t->crc = crc32_le(t->crc, page, len);
	t->received += len;
	cond_resched();
	return len;
}

/**
 * lab_trace_write - append to a trace
 * @t: trace
 * @buf: the next bytes of the file
 * @len: number of bytes
 *
 * Context: Process context, may sleep.
 * Return: bytes taken; -EFAULT if none could be read; -EINVAL for a bad header
 * or too many bytes, or -ENOMEM, after which only lab_trace_free() may follow.
 */
ssize_t lab_trace_write(struct lab_trace *t, const char __user *buf, size_t len)
{
	size_t done = 0;
	ssize_t ret;

	while (done < len) {
		if (t->received < HEADER_SIZE)
			ret = take_header(t, buf + done, len - done);
		else
			ret = take_stream(t, buf + done, len - done);
		if (ret == -EFAULT && done)
			break;
		if (ret < 0)
			return ret;
		done += ret;
	}
	return done;
}

/**
 * lab_trace_complete - have all bytes announced in the header arrived?
 * @t: trace
 *
 * Return: whether they are.
 */
bool lab_trace_complete(const struct lab_trace *t)
{
	return t->received >= HEADER_SIZE && t->received - HEADER_SIZE == t->bytes;
}

/**
 * lab_trace_truncated - refuse an incomplete trace
 * @t: trace
 *
 * Return: -ENODATA.
 */
int lab_trace_truncated(const struct lab_trace *t)
{
	if (t->received < HEADER_SIZE)
		return lab_refuse(-ENODATA, "truncated: %llu of %zu header bytes",
				  t->received, HEADER_SIZE);
	return lab_refuse(-ENODATA, "truncated: %llu of %llu stream bytes",
			  t->received - HEADER_SIZE, t->bytes);
}

/**
 * lab_cursor_init - go to the first op of a trace
 * @c: cursor
 * @t: complete trace
 */
void lab_cursor_init(struct lab_cursor *c, struct lab_trace *t)
{
	memset(c, 0, sizeof(*c));
	c->trace = t;
}

static u64 cursor_pos(const struct lab_cursor *c)
{
	return c->end_pos - (c->end - c->p);
}

static bool next_page(struct lab_cursor *c)
{
	u64 left = c->trace->bytes - c->end_pos;

	if (!left)
		return false;
	c->p = xa_load(&c->trace->pages, c->end_pos >> PAGE_SHIFT);
	left = min_t(u64, left, PAGE_SIZE);
	c->end = c->p + left;
	c->end_pos += left;
	return true;
}

/* LEB128; the tenth byte holds only one bit. */
static int next_varint(struct lab_cursor *c, u64 *value)
{
	unsigned int shift;
	u8 byte;

	*value = 0;
	for (shift = 0; shift < 64; shift += 7) {
		if (unlikely(c->p == c->end) && !next_page(c))
			return lab_refuse(-EINVAL, "op %llu: the stream ends too early",
					  c->op);
		byte = *c->p++;
		if (shift == 63 && byte > 1)
			break;
		*value |= (u64)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return 0;
	}
	return lab_refuse(-EINVAL, "stream byte %llu: varint longer than 64 bits",
			  cursor_pos(c) - 1);
}

/* Ids are encoded as distances back from the next new id. */
static int resolve_id(struct lab_cursor *c, u64 distance, struct lab_op *op)
{
	if (!distance || distance > c->next_id)
		return lab_refuse(-EINVAL, "op %llu: %s of block %llu back, %llu created so far",
				  c->op, op->kind == LAB_FREE ? "free" : "realloc",
				  distance, c->next_id);
	op->id = c->next_id - distance;
	return 0;
}

static int create_id(struct lab_cursor *c, struct lab_op *op)
{
	if (c->next_id == c->trace->ids)
		return lab_refuse(-EINVAL, "op %llu: creates id %llu, the header has %llu ids",
				  c->op, c->next_id, c->trace->ids);
	op->id = c->next_id++;
	return 0;
}

/**
 * lab_cursor_next - decode one op
 * @c: cursor, moved past the op
 * @op: filled in; @op->id is below the trace's number of ids
 *
 * Does not check that the id is live, see lab_trace_check().
 *
 * Return: 0 or -EINVAL.
 */
int lab_cursor_next(struct lab_cursor *c, struct lab_op *op)
{
	u64 first, distance;
	int err;

	err = next_varint(c, &first);
	if (err)
		return err;
	op->kind = first & 3;
	op->size = first >> 2;
	switch (op->kind) {
	case LAB_FREE:
		op->size = 0;
		err = resolve_id(c, first >> 2, op);
		break;
	case LAB_REALLOC:
		err = next_varint(c, &distance);
		err = err ?: resolve_id(c, distance, op);
		break;
	default:
		err = create_id(c, op);
	}
	c->op++;
	return err;
}

/* Only live blocks may be freed or resized. */
static int check_op(const struct lab_cursor *c, const struct lab_op *op, unsigned long *live)
{
	if (op->kind == LAB_MALLOC || op->kind == LAB_CALLOC) {
		__set_bit(op->id, live);
		return 0;
	}
	if (!test_bit(op->id, live))
		return lab_refuse(-EINVAL, "op %llu: %s of id %llu, which is not live", c->op - 1,
				  op->kind == LAB_FREE ? "free" : "realloc", op->id);
	if (op->kind == LAB_FREE)
		__clear_bit(op->id, live);
	return 0;
}

static int check_end(const struct lab_cursor *c)
{
	struct lab_trace *t = c->trace;

	if (cursor_pos(c) != t->bytes)
		return lab_refuse(-EINVAL, "stream byte %llu: %llu bytes after the last op",
				  cursor_pos(c), t->bytes - cursor_pos(c));
	if (c->next_id != t->ids)
		return lab_refuse(-EINVAL, "header: ids %llu, the ops create %llu",
				  t->ids, c->next_id);
	return 0;
}

static int check_stream(struct lab_trace *t, unsigned long *live)
{
	struct lab_cursor c;
	struct lab_op op;
	int err;

	lab_cursor_init(&c, t);
	while (c.op < t->ops) {
		if (!(c.op % LAB_BREATH) && lab_breathe())
			return lab_refuse(-EINTR, "op %llu: check interrupted", c.op);
		err = lab_cursor_next(&c, &op);
		err = err ?: check_op(&c, &op, live);
		if (err)
			return err;
	}
	return check_end(&c);
}

/**
 * lab_trace_check - check that a complete trace can be replayed
 * @t: trace
 *
 * Context: Process context, may sleep; takes time proportional to the ops.
 * Return: 0, -EBADMSG for a wrong CRC, -EINVAL for bad contents, -ENOMEM, or
 * -EINTR on a signal.
 */
int lab_trace_check(struct lab_trace *t)
{
	u32 want = le32_to_cpu(t->header.crc);
	unsigned long *live;
	int err;

	if (want != ~t->crc)
		return lab_refuse(-EBADMSG, "CRC 0x%08x in the header, 0x%08x computed",
				  want, ~t->crc);
	live = kvcalloc(BITS_TO_LONGS(t->ids), sizeof(long), LAB_GFP);
	if (!live)
		return lab_refuse(-ENOMEM, "no memory to check %llu ids", t->ids);
	err = check_stream(t, live);
	kvfree(live);
	return err;
}
