/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPY_SVG_H
#define _KPY_SVG_H

#include "kpy.h"

/* A stack in one line, as flamegraph.pl takes it: outer;…;inner, and what it is worth. */
struct folded {
	char *text;
	u64 value;
};

/* Of lines in folded_order(): equal outer frames stand together. */
int folded_order(const void *a, const void *b);
int svg_write(const char *path, const char *title, const char *unit,
	      const struct folded *lines, size_t nr);

#endif
