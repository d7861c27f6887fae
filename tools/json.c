// SPDX-License-Identifier: GPL-2.0
/* What json-c leaves to do: readable layouts, and files with one clear complaint. */
#include <errno.h>
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <string.h>
#include <unistd.h>

#include "kpy.h"

int json_load(const char *path, struct json_object **obj)
{
	if (access(path, R_OK))
		return trouble("%s: %s", path, strerror(errno));
	*obj = json_object_from_file(path);
	if (json_object_is_type(*obj, json_type_object))
		return 0;
	json_object_put(*obj);
	return trouble("%s: this is not a JSON object", path);
}

struct json_object *json_member(struct json_object *obj, const char *key)
{
	struct json_object *member = NULL;

	json_object_object_get_ex(obj, key, &member);
	return member;
}

/* The lines of a `key value` file. */
struct json_object *json_keys(const char *text)
{
	struct json_object *obj = json_object_new_object();
	char key[64], value[64];
	int len;

	for (; sscanf(text, "%63s %63s%n", key, value, &len) == 2; text += len) {
		char *end;
		u64 number;

		json_object_object_add(obj, key,
				       parse_u64(value, &end, &number) && !*end ?
				       json_object_new_uint64(number) :
				       json_object_new_string(value));
	}
	return obj;
}

static bool is_container(struct json_object *obj)
{
	return json_object_is_type(obj, json_type_object) ||
	       json_object_is_type(obj, json_type_array);
}

/* Objects without objects inside and tables of numbers fit on a line. */
static bool fits_line(struct json_object *obj)
{
	if (json_object_is_type(obj, json_type_array)) {
		size_t nr = json_object_array_length(obj);

		return !nr || !json_object_is_type(json_object_array_get_idx(obj, 0),
						   json_type_object);
	}
	if (json_object_is_type(obj, json_type_object)) {
		json_object_object_foreach(obj, key, member) {
			(void)key;
			if (is_container(member))
				return false;
		}
	}
	return true;
}

static void print_indented(FILE *out, struct json_object *obj, int indent);

static void print_array(FILE *out, struct json_object *array, int indent)
{
	size_t nr = json_object_array_length(array);

	fputs("[\n", out);
	for (size_t i = 0; i < nr; i++) {
		fprintf(out, "%*s", indent, "");
		print_indented(out, json_object_array_get_idx(array, i), indent);
		fputs(i + 1 < nr ? ",\n" : "\n", out);
	}
	fprintf(out, "%*s]", indent - 1, "");
}

static void print_object(FILE *out, struct json_object *obj, int indent)
{
	const char *comma = "";

	fputs("{\n", out);
	json_object_object_foreach(obj, key, member) {
		fprintf(out, "%s%*s\"%s\": ", comma, indent, "", key);
		print_indented(out, member, indent);
		comma = ",\n";
	}
	fprintf(out, "\n%*s}", indent - 1, "");
}

static void print_indented(FILE *out, struct json_object *obj, int indent)
{
	int flags = JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;

	if (fits_line(obj))
		fputs(json_object_to_json_string_ext(obj, flags), out);
	else if (json_object_is_type(obj, json_type_array))
		print_array(out, obj, indent + 1);
	else
		print_object(out, obj, indent + 1);
}

void json_write(FILE *out, struct json_object *obj)
{
	print_indented(out, obj, 0);
	fputc('\n', out);
}

/* A line for each object of the list. */
void json_table(struct json_object *list, const struct column *columns, size_t nr)
{
	for (size_t c = 0; c < nr; c++)
		printf("%s%*s", c ? " " : "", columns[c].width, columns[c].title);
	putchar('\n');
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);

		for (size_t c = 0; c < nr; c++) {
			struct json_object *cell = NULL;

			json_pointer_get(row, columns[c].pointer, &cell);
			printf("%s%*s", c ? " " : "", columns[c].width,
			       cell ? json_object_get_string(cell) : "-");
		}
		putchar('\n');
	}
}
