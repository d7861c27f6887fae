// SPDX-License-Identifier: GPL-2.0
/*
 * One moving line on a terminal, drawn at most ten times a second:
 *   replay  63 % [############-------]  5.7 of 9.0 Mops, 1.2 Mops/s
 * It fits the terminal's width at every moment, costs nothing when stderr
 * goes elsewhere, and leaves nothing behind.
 */
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "kpy.h"

#define REDRAW	0.1		/* seconds */

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}

static void draw_bar(double part, int cells)
{
	int full = part * cells;

	fputs(" [", stderr);
	for (int i = 0; i < cells; i++)
		fputc(i < full ? '#' : '-', stderr);
	fputc(']', stderr);
}

static void draw(struct progress *p, u64 done)
{
	double part = p->total ? (double)done / p->total : 1;
	double seconds = p->drawn - p->start;
	char left[64], right[96];
	int room, len;

	if (part > 1)
		part = 1;
	len = snprintf(left, sizeof(left), "%s %3.0f %%", p->what, 100 * part);
	room = width() - 1 - len;
	len = snprintf(right, sizeof(right), " %.1f of %.1f M%s, %.1f M%s/s", done / 1e6,
		       p->total / 1e6, p->unit, seconds > 0 ? done / 1e6 / seconds : 0, p->unit);
	room -= len;

	fprintf(stderr, "\r%s", left);
	if (room >= 8)
		draw_bar(part, room - 3);
	if (room >= 0)
		fputs(right, stderr);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void progress_start(struct progress *p, const char *what, const char *unit, u64 total)
{
	*p = (struct progress){ .what = what, .unit = unit, .total = total };
	if (isatty(STDERR_FILENO))
		p->start = now();
}

void progress_move(struct progress *p, u64 done)
{
	double t;

	if (!p->start)
		return;
	t = now();
	if (t - p->drawn < REDRAW)
		return;
	p->drawn = t;
	draw(p, done);
}

/* Takes the line away; the next move draws it again. */
void progress_clear(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = 0;
}
