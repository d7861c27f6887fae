/* SPDX-License-Identifier: GPL-2.0 */
/*
 * BPF objects on their way into the kernel.  Where kpymalloc has no BTF, that
 * is another one than their sections say: objects_possible() comes before any
 * is opened.
 */
#ifndef _KPY_OBJECTS_H
#define _KPY_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>

struct bpf_link;
struct bpf_object;

#define OBJECT_LINKS	32

struct links {
	struct bpf_link *link[OBJECT_LINKS];
	const char *program[OBJECT_LINKS];
	size_t nr;
};

void objects_verbose(bool on);		/* print what libbpf says */
int objects_possible(void);		/* the module and BPF are there */
bool module_has_btf(void);
const char *objects_way(void);		/* how programs get their events */

int object_refused(const char *what, int err);
int object_attach(struct bpf_object *obj, struct links *links);
int object_pin(struct bpf_object *obj, const char *dir);
void links_destroy(struct links *links);
int links_pin(struct links *links, const char *dir);	/* they stay when kpy ends */

#endif
