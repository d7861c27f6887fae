// SPDX-License-Identifier: GPL-2.0
/*
 * A flame graph, after Brendan Gregg's: a rectangle for each frame, as wide as
 * what was asked for in it and in what it called; the outermost at the bottom.
 * The file needs nothing else; a name always has the same colour.
 */
#include <errno.h>
#include <string.h>

#include "svg.h"

#define WIDTH		1200		/* pixels */
#define MARGIN		10
#define HEAD		40
#define ROW		16
#define CHARACTER	7.0		/* of the font */
#define NARROW		0.1		/* nothing narrower is drawn */

struct drawing {
	FILE *out;
	const char *unit;
	u64 total;
	unsigned int height;
};

static size_t frame_length(const char *text)
{
	return strcspn(text, ";");
}

/* A semicolon comes before everything, so that "a;b" is not behind "a.b". */
int folded_order(const void *a, const void *b)
{
	const char *x = ((const struct folded *)a)->text, *y = ((const struct folded *)b)->text;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (!*x || !*y)
		return !!*x - !!*y;
	return (*x == ';' ? 0 : (unsigned char)*x) - (*y == ';' ? 0 : (unsigned char)*y);
}

static unsigned int depth(const char *text)
{
	unsigned int n = 1;

	for (; *text; text++)
		n += *text == ';';
	return n;
}

static void put_text(FILE *out, const char *text, size_t len)
{
	for (; len--; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			/* XML has no other control characters, not even written out */
			fputc((unsigned char)*text < ' ' ? '?' : *text, out);
		}
	}
}

/* FNV-1a */
static unsigned int hash(const char *name, size_t len)
{
	unsigned int h = 2166136261U;

	while (len--)
		h = (h ^ (unsigned char)*name++) * 16777619U;
	return h;
}

static void put_colour(FILE *out, const char *name, size_t len)
{
	unsigned int h = hash(name, len);

	fprintf(out, "rgb(%u,%u,%u)", 205 + h % 50, 60 + (h >> 8) % 170, (h >> 16) % 55);
}

static void put_label(FILE *out, const char *name, size_t len, double x, double y, double width)
{
	size_t room = width > 6 ? (width - 6) / CHARACTER : 0;

	if (room < 3)
		return;
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + ROW - 4);
	if (len <= room) {
		put_text(out, name, len);
	} else {
		put_text(out, name, room - 2);
		fputs("..", out);
	}
	fputs("</text>", out);
}

/* @start and @value are in the unit; frames of level 0 stand on the ground. */
static void put_frame(const struct drawing *d, const char *name, size_t len, unsigned int level,
		      u64 start, u64 value)
{
	double scale = (double)(WIDTH - 2 * MARGIN) / d->total;
	double x = MARGIN + start * scale, width = value * scale;
	double y = d->height - MARGIN - (level + 1.0) * ROW;
	char number[32];

	if (width < NARROW)
		return;
	fputs("<g><title>", d->out);
	put_text(d->out, name, len);
	fprintf(d->out, " (%s %s, %.2f%%)</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
		"height=\"%d\" rx=\"2\" fill=\"", commas(number, value), d->unit,
		100.0 * value / d->total, x, y, width, ROW - 1);
	put_colour(d->out, name, len);
	fputs("\"/>", d->out);
	put_label(d->out, name, len, x, y, width);
	fputs("</g>\n", d->out);
}

/* The lines from @first on that have the frame at @at, too, and what they are worth. */
static size_t group(const struct folded *lines, size_t nr, size_t at, u64 *value)
{
	const char *name = lines->text + at;
	size_t len = at + frame_length(name), n = 0;

	*value = 0;
	while (n < nr && !strncmp(lines[n].text, lines->text, len) &&
	       (lines[n].text[len] == ';' || !lines[n].text[len]))
		*value += lines[n++].value;
	return n;
}

/* All the lines are the same up to @at, where the frame of this level begins. */
static void put_level(const struct drawing *d, const struct folded *lines, size_t nr, size_t at,
		      unsigned int level, u64 start)
{
	while (nr) {
		size_t len = frame_length(lines->text + at), next = at + len + 1, n, skip = 0;
		u64 value, self = 0;

		n = group(lines, nr, at, &value);
		put_frame(d, lines->text + at, len, level, start, value);
		/* those that end here come first */
		while (skip < n && !lines[skip].text[next - 1])
			self += lines[skip++].value;
		put_level(d, lines + skip, n - skip, next, level + 1, start + self);
		start += value;
		lines += n;
		nr -= n;
	}
}

static void put_head(const struct drawing *d, const char *title)
{
	fprintf(d->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
		"viewBox=\"0 0 %d %u\" font-family=\"monospace\" font-size=\"11\">\n"
		"<style>g:hover rect{stroke:black}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fffaf0\"/>\n"
		"<text x=\"%d\" y=\"24\" font-size=\"16\" text-anchor=\"middle\">",
		WIDTH, d->height, WIDTH, d->height, WIDTH / 2);
	put_text(d->out, title, strlen(title));
	fputs("</text>\n", d->out);
}

int svg_write(const char *path, const char *title, const char *unit,
	      const struct folded *lines, size_t nr)
{
	struct drawing d = { .out = fopen(path, "w"), .unit = unit };
	unsigned int rows = 0;

	if (!d.out)
		return trouble("%s: %s", path, strerror(errno));
	for (size_t i = 0; i < nr; i++) {
		d.total += lines[i].value;
		rows = depth(lines[i].text) > rows ? depth(lines[i].text) : rows;
	}
	d.height = HEAD + (rows + 1) * ROW + MARGIN;
	put_head(&d, title);
	if (d.total) {
		put_frame(&d, "all", 3, 0, 0, d.total);
		put_level(&d, lines, nr, 0, 1, 0);
	}
	fputs("</svg>\n", d.out);
	if (ferror(d.out) | fclose(d.out))
		return trouble("%s: %s", path, strerror(errno));
	return 0;
}
