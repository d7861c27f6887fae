// SPDX-License-Identifier: GPL-2.0
/*
 * jsonl [POINTER...] < FILE: each line must be one JSON object.  Prints what the
 * POINTERs (/key/0/key) lead to, a line for each line, `-' where there is
 * nothing; without any, how many lines there are.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

static int refuse(unsigned long line, const char *why)
{
	printf("line %lu: %s\n", line, why);
	return 1;
}

static void print(struct json_object *obj, const char *pointer)
{
	struct json_object *value;

	if (json_pointer_get(obj, pointer, &value) || !value)
		fputs("-", stdout);
	else
		fputs(json_object_get_string(value), stdout);
}

static struct json_object *parse(const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *obj;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	obj = json_tokener_parse_ex(tok, text, len);
	if (json_tokener_get_error(tok) != json_tokener_success ||
	    json_tokener_get_parse_end(tok) != len) {
		json_object_put(obj);
		obj = NULL;
	}
	json_tokener_free(tok);
	return obj;
}

int main(int argc, char **argv)
{
	unsigned long lines = 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		struct json_object *obj;

		lines++;
		if (line[len - 1] != '\n')
			return refuse(lines, "no end of line");
		obj = parse(line, len - 1);
		if (!json_object_is_type(obj, json_type_object))
			return refuse(lines, "no JSON object");
		for (int i = 1; i < argc; i++) {
			print(obj, argv[i]);
			putchar(i == argc - 1 ? '\n' : ' ');
		}
		json_object_put(obj);
	}
	if (argc == 1)
		printf("%lu\n", lines);
	return 0;
}
