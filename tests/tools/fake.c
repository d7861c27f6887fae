// SPDX-License-Identifier: GPL-2.0
/*
 * Linked into kpy in place of its writes (--wrap), this hands each command to
 * the program $FAKE_KERNEL, which gives an errno as its exit status; kpy reads
 * from a tree of plain files.  So kpy itself runs as it is, without a kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int debugfs_write(const char *path, const char *text);
int debugfs_put(int fd, const void *data, size_t len);
int __wrap_debugfs_write(const char *path, const char *text);
int __wrap_debugfs_put(int fd, const void *data, size_t len);
int __real_debugfs_put(int fd, const void *data, size_t len);

static int ask(const char *path, const char *text)
{
	const char *kernel = getenv("FAKE_KERNEL");
	pid_t child = fork();
	int status;

	if (!child) {
		execl(kernel, kernel, path, text, NULL);
		_exit(ENOEXEC);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int __wrap_debugfs_write(const char *path, const char *text)
{
	return ask(path, text);
}

int __wrap_debugfs_put(int fd, const void *data, size_t len)
{
	char size[24];
	int err;

	snprintf(size, sizeof(size), "%zu", len);
	err = ask("kpylab/replay/load", size);
	return err ? err : __real_debugfs_put(fd, data, len);
}
