// SPDX-License-Identifier: GPL-2.0
/* BPF objects: adapted to the module, attached, pinned; see objects.h. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kpy.h"
#include "objects.h"

static bool verbose;

static int print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	return verbose ? vfprintf(stderr, fmt, args) : 0;
}

void objects_verbose(bool on)
{
	verbose = on;
}

bool module_has_btf(void)
{
	return !access("/sys/kernel/btf/kpymalloc", F_OK);
}

/*
 * Without the module's BTF a program sees the same arguments, only the way in
 * differs.  What a section stands for has to be said before an object is opened.
 */
static int fall_back(void)
{
	if (libbpf_register_prog_handler("tp_btf+", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, NULL) < 0 ||
	    libbpf_register_prog_handler("fentry+", BPF_PROG_TYPE_KPROBE, 0, NULL) < 0 ||
	    libbpf_register_prog_handler("fexit+", BPF_PROG_TYPE_KPROBE, 0, NULL) < 0)
		return trouble("libbpf: %s", strerror(errno));
	return 0;
}

int objects_possible(void)
{
	libbpf_set_print(print);
	if (access("/sys/module/kpymalloc", F_OK))
		return trouble("kpymalloc is not loaded, try: insmod kpymalloc.ko");
	if (access("/sys/fs/bpf", F_OK))
		return trouble("this kernel has no BPF");
	return module_has_btf() ? 0 : fall_back();
}

const char *objects_way(void)
{
	return module_has_btf() ? "tp_btf" : "raw_tp (the module has no BTF)";
}

int object_refused(const char *what, int err)
{
	if ((err == -EPERM || err == -EACCES) && geteuid())
		return trouble("%s: %s, run kpy as root", what, strerror(-err));
	return trouble("%s: %s%s", what, strerror(-err), verbose ? "" : ", -v tells more");
}

/* bpffs takes no dots in names. */
static char *pin_path(const char *dir, const char *name)
{
	char *path = format("%s/%s", dir, name);

	for (char *dot = path + strlen(dir); (dot = strchr(dot, '.')); )
		*dot = '_';
	return path;
}

static int pin_all(struct bpf_object *obj, const char *dir)
{
	struct bpf_program *prog;
	struct bpf_map *map;
	int err = 0;

	bpf_object__for_each_map(map, obj) {
		char *path = pin_path(dir, bpf_map__name(map));

		if (!err && bpf_map__fd(map) >= 0)
			err = bpf_map__pin(map, path);
		free(path);
	}
	bpf_object__for_each_program(prog, obj) {
		char *path = pin_path(dir, bpf_program__name(prog));

		if (!err && bpf_program__fd(prog) >= 0)
			err = bpf_program__pin(prog, path);
		free(path);
	}
	return err;
}

/* Programs and maps in @dir, a new folder. */
int object_pin(struct bpf_object *obj, const char *dir)
{
	int err;

	if (mkdir(dir, 0700)) {
		if (errno == EEXIST)
			return trouble("%s is there already, try: kpy detach %s", dir, dir);
		return trouble("%s: %s", dir, strerror(errno));
	}
	err = pin_all(obj, dir);
	if (!err)
		return 0;
	rmdir(dir);
	if (err == -EINVAL || err == -EPERM)
		return trouble("%s is not in a bpf file system such as /sys/fs/bpf", dir);
	return object_refused("cannot pin", err);
}

static struct bpf_link *attach(struct bpf_program *prog)
{
	const char *section = bpf_program__section_name(prog);
	const char *target = strchr(section, '/');

	if (target && !strncmp(section, "tp_btf/", 7) &&
	    bpf_program__type(prog) == BPF_PROG_TYPE_RAW_TRACEPOINT)
		return bpf_program__attach_raw_tracepoint(prog, target + 1);
	if (target && bpf_program__type(prog) == BPF_PROG_TYPE_KPROBE && section[0] == 'f')
		return bpf_program__attach_kprobe(prog, !strncmp(section, "fexit/", 6), target + 1);
	return bpf_program__attach(prog);
}

int object_attach(struct bpf_object *obj, struct links *links)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj) {
		struct bpf_link *link;

		if (bpf_program__fd(prog) < 0 || bpf_program__type(prog) == BPF_PROG_TYPE_SYSCALL)
			continue;
		if (links->nr == OBJECT_LINKS)
			return trouble("too many programs");
		link = attach(prog);
		if (!link && errno == EOPNOTSUPP)
			continue;	/* only its user knows what to */
		if (!link)
			return object_refused(bpf_program__section_name(prog), -errno);
		links->program[links->nr] = bpf_program__name(prog);
		links->link[links->nr++] = link;
	}
	return 0;
}

void links_destroy(struct links *links)
{
	while (links->nr)
		bpf_link__destroy(links->link[--links->nr]);
}

int links_pin(struct links *links, const char *dir)
{
	for (size_t i = 0; i < links->nr; i++) {
		char *name = format("%s_link", links->program[i]);
		char *path = pin_path(dir, name);
		int err = bpf_link__pin(links->link[i], path);

		free(path);
		free(name);
		if (err)
			return object_refused("cannot pin", err);
	}
	for (size_t i = 0; i < links->nr; i++)
		bpf_link__disconnect(links->link[i]);
	return 0;
}
