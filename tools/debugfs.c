// SPDX-License-Identifier: GPL-2.0
/*
 * The modules' debugfs files.
 *
 * Reading and writing give -errno and stay silent, for what an errno means is
 * best said by the caller; debugfs_trouble() says it for the reasons that all
 * files share: no debugfs, no module, no root, no such heap.
 *
 * KPY_DEBUGFS in the environment names another tree than /sys/kernel/debug.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kpy.h"

static const char *root(void)
{
	const char *path = getenv("KPY_DEBUGFS");

	return path ? path : "/sys/kernel/debug";
}

static bool mounted(void)
{
	struct statfs fs;

	return getenv("KPY_DEBUGFS") ||
	       (!statfs(root(), &fs) && fs.f_type == DEBUGFS_MAGIC);
}

int debugfs_open(const char *path, int flags)
{
	char *full = format("%s/%s", root(), path);
	int fd = open(full, flags | O_CLOEXEC);
	int err = errno;

	free(full);
	return fd < 0 ? -err : fd;
}

void debugfs_close(int fd)
{
	close(fd);
}

int debugfs_put(int fd, const void *data, size_t len)
{
	while (len) {
		ssize_t put = write(fd, data, len);

		if (put < 0)
			return -errno;
		data = (const char *)data + put;
		len -= put;
	}
	return 0;
}

/* A command: it must reach the kernel in one write. */
int debugfs_write(const char *path, const char *text)
{
	int fd = debugfs_open(path, O_WRONLY);
	int err;

	if (fd < 0)
		return fd;
	err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	debugfs_close(fd);
	return err;
}

static int read_all(int fd, char **text)
{
	size_t size = 0, len = 0;
	char *buf = NULL;
	ssize_t got;

	do {
		if (size - len < 2) {
			size = size ? size * 2 : 4096;
			buf = realloc(buf, size);
			if (!buf)
				exit(trouble("out of memory"));
		}
		got = read(fd, buf + len, size - len - 1);
		if (got > 0)
			len += got;
	} while (got > 0);
	if (got < 0) {
		free(buf);
		return -errno;
	}
	buf[len] = '\0';
	*text = buf;
	return 0;
}

int debugfs_read(const char *path, char **text)
{
	int fd = debugfs_open(path, O_RDONLY);
	int err;

	if (fd < 0)
		return fd;
	err = read_all(fd, text);
	debugfs_close(fd);
	return err;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The names in a directory, in order; free each one and the array. */
int debugfs_list(const char *path, char ***names, size_t *nr)
{
	char *full = format("%s/%s", root(), path);
	struct dirent **entries;
	int found = scandir(full, &entries, visible, alphasort);
	int err = errno;

	free(full);
	if (found < 0)
		return -err;
	*nr = found;
	*names = calloc(found + 1, sizeof(**names));
	for (int i = 0; i < found; i++) {
		(*names)[i] = format("%s", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

static bool present(const char *path)
{
	char *full = format("%s/%s", root(), path);
	bool found = !access(full, F_OK);

	free(full);
	return found;
}

static int missing(const char *path)
{
	int module = strcspn(path, "/");
	char *dir = format("%.*s", module, path);
	bool loaded = present(dir);
	char heap[KPY_HEAP_NAME + 1];

	free(dir);
	if (!mounted())
		return trouble("debugfs is not mounted, try: mount -t debugfs debugfs %s", root());
	if (!loaded)
		return trouble("%.*s is not loaded, try: insmod %.*s.ko",
			       module, path, module, path);
	if (sscanf(path, "kpymalloc/heaps/%31[^/]", heap) == 1)
		return trouble("%s: there is no such heap, see: kpy heap list", heap);
	return trouble("%s/%s: there is no such file, do kpy and the module belong together?",
		       root(), path);
}

int debugfs_trouble(const char *path, int err)
{
	if (err == -ENOENT)
		return missing(path);
	if ((err == -EACCES || err == -EPERM) && geteuid())
		return trouble("%s/%s: %s, run kpy as root", root(), path, strerror(-err));
	return trouble("%s/%s: %s", root(), path, strerror(-err));
}
