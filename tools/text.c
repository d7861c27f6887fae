// SPDX-License-Identifier: GPL-2.0
/* Messages, numbers, and the modules' files of `key value` lines. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kpy.h"

/* Tells the user what is wrong, in one line, and gives the exit status. */
int trouble(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("kpy: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return KPY_TROUBLE;
}

char *format(const char *fmt, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		exit(trouble("out of memory"));
	return text;
}

/* 1234567 → 1,234,567, as CPython prints its byte totals */
const char *commas(char buf[32], u64 value)
{
	char digits[32];
	int len = snprintf(digits, sizeof(digits), "%llu", value);
	char *out = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return buf;
}

/* A decimal number and nothing that strtoull() would also take: no sign, no blank. */
bool parse_u64(const char *text, char **end, u64 *value)
{
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, end, 10);
	return !errno;
}

static const char *key_find(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text) {
		if (!strncmp(text, key, len) && text[len] == ' ')
			return text + len + 1;
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return NULL;
}

/* What stands behind @key on its line, to be freed; NULL if there is no such line. */
char *key_text(const char *text, const char *key)
{
	const char *value = key_find(text, key);

	return value ? format("%.*s", (int)strcspn(value, "\n"), value) : NULL;
}

bool key_u64(const char *text, const char *key, u64 *value)
{
	const char *found = key_find(text, key);
	char *end;

	return found && parse_u64(found, &end, value) && (*end == '\n' || !*end);
}
