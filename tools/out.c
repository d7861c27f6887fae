// SPDX-License-Identifier: GPL-2.0
/* Text on its way to stdout, see out.h. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kpy.h"
#include "out.h"

static char buf[256 << 10];
static size_t len;
static int error;

static bool is_pipe(void)
{
	static int known = -1;
	struct stat st;

	if (known < 0)
		known = !fstat(STDOUT_FILENO, &st) && S_ISFIFO(st.st_mode);
	return known;
}

/*
 * A pipe takes no more than PIPE_BUF bytes at once: what others write into it
 * may come behind them, and had better not come into a line.
 */
static size_t piece(const char *text, size_t n)
{
	size_t end = PIPE_BUF;

	if (n <= PIPE_BUF || !is_pipe())
		return n;
	while (end && text[end - 1] != '\n')
		end--;
	if (end)
		return end;
	for (end = PIPE_BUF; end < n && text[end - 1] != '\n'; end++)
		;
	return end;
}

static void write_piece(const char *text, size_t n)
{
	while (n && !error) {
		ssize_t put = write(STDOUT_FILENO, text, n);

		if (put >= 0) {
			text += put;
			n -= put;
		} else if (errno != EINTR) {
			error = errno;
		}
	}
}

static void write_out(size_t n)
{
	for (size_t done = 0; done < n && !error; ) {
		size_t next = piece(buf + done, n - done);

		write_piece(buf + done, next);
		done += next;
	}
	len -= n;
	memmove(buf, buf + n, len);
}

void out_flush(void)
{
	write_out(len);
}

/* Whole lines, if there are any. */
static void make_room(void)
{
	const char *end = memrchr(buf, '\n', len);

	write_out(end ? (size_t)(end + 1 - buf) : len);
}

int out_error(void)
{
	return error;
}

void out_char(char c)
{
	while (len == sizeof(buf))
		make_room();
	buf[len++] = c;
}

static void put(const char *text, size_t n)
{
	while (n > sizeof(buf) - len)
		make_room();
	memcpy(buf + len, text, n);
	len += n;
}

static void blanks(int n)
{
	while (n-- > 0)
		out_char(' ');
}

void out_text(const char *text)
{
	while (*text)
		out_char(*text++);
}

void out_left(const char *text, int width)
{
	out_text(text);
	blanks(width - (int)strlen(text));
}

void out_right(const char *text, int width)
{
	blanks(width - (int)strlen(text));
	out_text(text);
}

/* At least @least digits, from the end of @end backwards; gives where they start. */
static char *digits(char *end, __u64 value, int least)
{
	do {
		*--end = '0' + value % 10;
		value /= 10;
		least--;
	} while (value || least > 0);
	return end;
}

void out_u64(__u64 value, int width)
{
	char text[32], *end = text + sizeof(text), *start = digits(end, value, 1);

	blanks(width - (int)(end - start));
	put(start, end - start);
}

void out_fixed(__u64 value, int after, int width)
{
	char text[32], *end = text + sizeof(text), *start;
	__u64 unit = 1;

	for (int i = 0; i < after; i++)
		unit *= 10;
	start = digits(end, value % unit, after);
	*--start = '.';
	start = digits(start, value / unit, 1);
	blanks(width - (int)(end - start));
	put(start, end - start);
}

void out_hex(__u64 value)
{
	char text[16];

	for (int i = 15; i >= 0; i--, value >>= 4)
		text[i] = "0123456789abcdef"[value & 15];
	put(text, sizeof(text));
}

void out_plain(const char *text, int width)
{
	int n = 0;

	for (; text[n]; n++)
		out_char(text[n] < ' ' || text[n] == 127 ? '?' : text[n]);
	blanks(width - n);
}

void out_json(const char *text)
{
	out_char('"');
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			out_char('\\');
		if (c < ' ' || c >= 127) {
			out_text("\\u00");
			out_char("0123456789abcdef"[c >> 4]);
			out_char("0123456789abcdef"[c & 15]);
		} else {
			out_char(c);
		}
	}
	out_char('"');
}
