/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text on its way to stdout in large pieces, made without printf(): for
 * commands that print a line for each event.
 */
#ifndef _KPY_OUT_H
#define _KPY_OUT_H

#include <linux/types.h>
#include <stddef.h>

void out_flush(void);
int out_error(void);			/* errno of the first write that failed, or 0 */

void out_char(char c);
void out_text(const char *text);
void out_left(const char *text, int width);
void out_right(const char *text, int width);
void out_u64(__u64 value, int width);	/* to the right */
void out_fixed(__u64 value, int digits, int width);	/* 12345, 3 digits: "12.345" */
void out_hex(__u64 value);		/* 16 digits */
void out_plain(const char *text, int width);	/* left; what is not printable as '?' */
void out_json(const char *text);	/* quoted; bytes that are no ASCII as Latin-1 */

#endif
