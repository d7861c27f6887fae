// SPDX-License-Identifier: GPL-2.0
/*
 * kpy attach, kpy detach: a BPF object at work without a process that holds it.
 *
 * Links, programs and maps are pinned in one folder of a bpf file system, where
 * bpftool finds them; what lies there keeps them alive, so detaching is removing
 * the folder.  That removes nothing but pins.
 */
#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kpy.h"
#include "objects.h"

/* Where build/tools/kpy or an installed one has its objects. */
static char *object_path(const char *name)
{
	const char *suffix = strstr(name, ".bpf.o") ? "" : ".bpf.o";
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self));
	char *path;

	if (strchr(name, '/') || !access(name, F_OK))
		return format("%s", name);
	while (len > 0 && self[len - 1] != '/')
		len--;
	path = format("%.*s../bpf/%s%s", len > 0 ? (int)len : 0, self, name, suffix);
	if (!access(path, F_OK))
		return path;
	free(path);
	return format(KPY_LIBDIR "/%s%s", name, suffix);
}

static int load(const char *path, struct bpf_object **obj)
{
	int err;

	if (access(path, R_OK))
		return trouble("%s: %s", path, strerror(errno));
	*obj = bpf_object__open_file(path, NULL);
	if (!*obj)
		return trouble("%s: this is no BPF object", path);
	err = bpf_object__load(*obj);
	if (err && !module_has_btf())
		return trouble("%s: %s; perhaps it needs the module's BTF, which is not there",
			       path, strerror(-err));
	return err ? object_refused(path, err) : 0;
}

enum pin {
	PIN_LINK,			/* the first to be removed */
	PIN_PROGRAM,
	PIN_MAP,
	NR_PINS,
};

static const char *const pin_names[NR_PINS] = {
	[PIN_LINK] = "link",
	[PIN_PROGRAM] = "program",
	[PIN_MAP] = "map",
};

/* What is pinned there; NR_PINS if nothing is. */
static enum pin pin_kind(const char *path)
{
	static const char *const names[NR_PINS] = {
		[PIN_LINK] = "link", [PIN_PROGRAM] = "bpf-prog", [PIN_MAP] = "bpf-map",
	};
	char self[64], target[64] = "";
	int fd = bpf_obj_get(path);
	enum pin kind = 0;

	if (fd < 0)
		return NR_PINS;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (readlink(self, target, sizeof(target) - 1) < 0)
		target[0] = '\0';
	close(fd);
	while (kind < NR_PINS && !strstr(target, names[kind]))
		kind++;
	return kind;
}

static int not_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

struct pins {
	struct dirent **entries;
	enum pin *kinds;
	int nr;
	int count[NR_PINS];
};

static void pins_free(struct pins *p)
{
	for (int i = 0; i < p->nr; i++)
		free(p->entries[i]);
	free(p->entries);
	free(p->kinds);
}

static int pins_read(struct pins *p, const char *dir)
{
	p->nr = scandir(dir, &p->entries, not_dots, alphasort);
	if (p->nr < 0) {
		p->nr = 0;
		return trouble("%s: %s", dir, strerror(errno));
	}
	p->kinds = calloc(p->nr + 1, sizeof(*p->kinds));
	if (!p->kinds)
		return trouble("out of memory");
	for (int i = 0; i < p->nr; i++) {
		char *path = format("%s/%s", dir, p->entries[i]->d_name);

		p->kinds[i] = pin_kind(path);
		free(path);
		if (p->kinds[i] == NR_PINS)
			return trouble("%s/%s: this is no pin, nothing was detached", dir,
				       p->entries[i]->d_name);
		p->count[p->kinds[i]]++;
	}
	return 0;
}

static int unlink_kind(const struct pins *p, const char *dir, enum pin kind)
{
	int err = 0;

	for (int i = 0; i < p->nr; i++) {
		char *path = format("%s/%s", dir, p->entries[i]->d_name);

		if (p->kinds[i] == kind && unlink(path))
			err = trouble("%s: %s", path, strerror(errno));
		free(path);
	}
	return err;
}

static void print_counts(const char *what, const char *dir, const struct pins *p)
{
	printf("%s %s:", what, dir);
	for (int kind = 0; kind < NR_PINS; kind++)
		printf("%s %d %s%s", kind ? "," : "", p->count[kind], pin_names[kind],
		       p->count[kind] == 1 ? "" : "s");
	putchar('\n');
}

/* A folder of our kind: in a bpf file system, and not all of that. */
static int check_folder(const char *dir)
{
	char *above = format("%s/..", dir);
	struct stat here, up;
	struct statfs fs;
	int err = 0;

	if (statfs(dir, &fs) || stat(dir, &here) || stat(above, &up))
		err = trouble("%s: %s", dir, strerror(errno));
	else if (fs.f_type != BPF_FS_MAGIC)
		err = trouble("%s is not in a bpf file system", dir);
	else if (here.st_dev != up.st_dev)
		err = trouble("%s is a whole bpf file system, not a folder of kpy attach", dir);
	free(above);
	return err;
}

static int detach(const char *dir)
{
	struct pins p = { 0 };
	int err = check_folder(dir);

	if (!err)
		err = pins_read(&p, dir);
	for (int kind = 0; !err && kind < NR_PINS; kind++)
		err = unlink_kind(&p, dir, kind);
	if (!err && rmdir(dir))
		err = trouble("%s: %s", dir, strerror(errno));
	if (!err)
		print_counts("detached", dir, &p);
	pins_free(&p);
	return err;
}

static int report(const char *dir)
{
	struct pins p = { 0 };
	int err = pins_read(&p, dir);

	if (!err)
		print_counts("attached", dir, &p);
	pins_free(&p);
	return err;
}

/* Removes what was pinned before it went wrong. */
static void undo(const char *dir)
{
	struct pins p = { 0 };

	pins_read(&p, dir);
	for (int kind = 0; kind < NR_PINS; kind++)
		unlink_kind(&p, dir, kind);
	pins_free(&p);
	rmdir(dir);
}

static int attach(const char *name, const char *dir)
{
	char *path = object_path(name);
	struct bpf_object *obj = NULL;
	struct links links = { 0 };
	int err = load(path, &obj);

	if (!err)
		err = object_pin(obj, dir);
	if (!err) {
		err = object_attach(obj, &links);
		if (!err)
			err = links_pin(&links, dir);
		if (err)
			undo(dir);
		else
			err = report(dir);
	}
	links_destroy(&links);
	bpf_object__close(obj);
	free(path);
	return err;
}

struct arguments {
	const char *words[2];
	unsigned int nr;		/* wanted */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *args = state->input;

	switch (key) {
	case 'v':
		objects_verbose(true);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= args->nr)
			argp_usage(state);
		args->words[state->arg_num] = arg;
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num < args->nr)
			argp_usage(state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option options[] = {
	{ "verbose", 'v', NULL, 0, "Print what libbpf says", 0 },
	{ 0 }
};

int cmd_attach(int argc, char **argv)
{
	static const char doc[] =
		"Load a BPF object, attach its programs, and pin them, their links and maps in DIR, a "
		"new folder of a bpf file system: they are at work until `kpy detach DIR', and bpftool "
		"shows what they find. OBJECT is a file, or the name of one that came with kpy.\v"
		"EXAMPLES\n"
		"  kpy attach check /sys/fs/bpf/kpy\n"
		"  bpftool map dump pinned /sys/fs/bpf/kpy/heaps\n"
		"  kpy detach /sys/fs/bpf/kpy\n";
	static const struct argp argp = { options, parse, "OBJECT DIR", doc, NULL, NULL, NULL };
	struct arguments args = { .nr = 2 };
	int err;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	err = objects_possible();
	return err ? err : attach(args.words[0], args.words[1]);
}

int cmd_detach(int argc, char **argv)
{
	static const char doc[] =
		"Undo `kpy attach': remove the links, programs and maps that are pinned in DIR, and DIR. "
		"If anything else is there, nothing is done.\v"
		"EXAMPLES\n"
		"  kpy detach /sys/fs/bpf/kpy\n";
	static const struct argp argp = { options, parse, "DIR", doc, NULL, NULL, NULL };
	struct arguments args = { .nr = 1 };

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	return detach(args.words[0]);
}
