// SPDX-License-Identifier: GPL-2.0
/*
 * The interpreter in this process, found by its symbols: in the executable
 * itself or in the libpython that it is linked with.
 *
 * Two habits of CPython decide how its numbers can be had.  It prints them
 * only while the object domain's malloc is pymalloc itself, so the original
 * allocator is put back for the time of a print.  And from 3.12 on they
 * belong to an interpreter, so that a print needs a current thread state.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "recorder.h"

static void (*get_allocator)(int domain, struct allocator *allocator);
static void (*set_allocator)(int domain, struct allocator *allocator);
static void (*get_arenas)(struct arena_allocator *allocator);
static void (*set_arenas)(struct arena_allocator *allocator);
static int (*print_stats)(FILE *file);
static const char *(*get_version)(void);
/* those of 3.12 and later */
static void *(*thread_state)(void);
static void *(*interpreter_of)(void *thread_state);
static void *(*main_interpreter)(void);
static const char **fs_encoding;

static struct allocator original[NR_DOMAINS];
static bool per_interpreter;		/* 3.12 and later */
static bool fs_encoding_seen;

bool python_find(void)
{
	set_allocator = dlsym(RTLD_DEFAULT, "PyMem_SetAllocator");
	get_allocator = dlsym(RTLD_DEFAULT, "PyMem_GetAllocator");
	set_arenas = dlsym(RTLD_DEFAULT, "PyObject_SetArenaAllocator");
	get_arenas = dlsym(RTLD_DEFAULT, "PyObject_GetArenaAllocator");
	get_version = dlsym(RTLD_DEFAULT, "Py_GetVersion");
	return set_allocator && get_allocator && set_arenas && get_arenas && get_version;
}

const char *python_version(void)
{
	return get_version();
}

static bool find_interpreter_functions(void)
{
	thread_state = dlsym(RTLD_DEFAULT, "PyThreadState_GetUnchecked");
	if (!thread_state)
		thread_state = dlsym(RTLD_DEFAULT, "_PyThreadState_UncheckedGet");
	interpreter_of = dlsym(RTLD_DEFAULT, "PyThreadState_GetInterpreter");
	main_interpreter = dlsym(RTLD_DEFAULT, "PyInterpreterState_Main");
	fs_encoding = dlsym(RTLD_DEFAULT, "Py_FileSystemDefaultEncoding");
	return thread_state && interpreter_of && main_interpreter;
}

/* What keeps this interpreter from being recorded; NULL if nothing does. */
const char *python_missing(void)
{
	int major, minor;

	if (sscanf(get_version(), "%d.%d", &major, &minor) != 2 || major != 3 || minor < 7)
		return "only CPython 3.7 and later can be recorded";
	per_interpreter = minor >= 12;
	if (per_interpreter && !find_interpreter_functions())
		return "the interpreter does not export its thread state";
	print_stats = dlsym(RTLD_DEFAULT, "_PyObject_DebugMallocStats");
	if (!print_stats)
		return "the interpreter does not export _PyObject_DebugMallocStats";
	return NULL;
}

/* Puts @hook, with the original as its context, in front of both domains. */
void python_wrap(const struct allocator *hook)
{
	for (int domain = DOMAIN_MEM; domain < NR_DOMAINS; domain++) {
		struct allocator wrapped = *hook;

		get_allocator(domain, &original[domain]);
		wrapped.ctx = &original[domain];
		set_allocator(domain, &wrapped);
	}
}

void python_wrap_arenas(const struct arena_allocator *hook, struct arena_allocator *previous)
{
	struct arena_allocator copy = *hook;

	get_arenas(previous);
	set_arenas(&copy);
}

/* CPython's own print, to be freed.  It takes nothing from pymalloc itself. */
char *python_stats(size_t *size)
{
	struct allocator current;
	size_t ignored;
	char *text = NULL;
	FILE *file = open_memstream(&text, size ? size : &ignored);

	if (!file)
		return NULL;
	get_allocator(DOMAIN_OBJ, &current);
	set_allocator(DOMAIN_OBJ, &original[DOMAIN_OBJ]);
	print_stats(file);
	set_allocator(DOMAIN_OBJ, &current);
	fclose(file);
	return text;
}

bool python_can_print(void)
{
	return !per_interpreter || thread_state();
}

bool python_main_interpreter(void)
{
	return !per_interpreter || interpreter_of(thread_state()) == main_interpreter();
}

/*
 * From 3.12 on there is no call-back between the last free of an interpreter
 * and the end of its thread state.  But what comes after the file system
 * encoding is forgotten is short: a few hundred frees of static types and
 * interned strings.
 */
bool python_last_phase(void)
{
	if (!fs_encoding)
		return false;
	if (*fs_encoding)
		fs_encoding_seen = true;
	return fs_encoding_seen && !*fs_encoding;
}
