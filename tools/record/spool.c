// SPDX-License-Identifier: GPL-2.0
/*
 * Writes the two files of spool.h.
 *
 * They are opened anew for each piece, through kpy's descriptors: the program
 * never sees a descriptor of ours, and closing all it knows does no harm.
 * Space is reserved before it is mapped: a full disk is an error here and not
 * a SIGBUS in the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "recorder.h"

#define WINDOW		(1UL << 20)
#define VARINT_MAX	10

struct spool_head *spool;

static char stream_path[64];
static char states_path[64];
static uint8_t *window;			/* the piece of the stream that is mapped */
static uint64_t window_offset;
static size_t window_used;

static bool make_paths(void)
{
	const char *value = getenv(SPOOL_ENV);
	int pid, stream, states;

	if (!value || sscanf(value, "%d %d %d", &pid, &stream, &states) != 3)
		return false;
	snprintf(stream_path, sizeof(stream_path), "/proc/%d/fd/%d", pid, stream);
	snprintf(states_path, sizeof(states_path), "/proc/%d/fd/%d", pid, states);
	return true;
}

/* The kernel kills with SIGXFSZ whoever does not mind the limit. */
static bool within_limit(uint64_t file_size)
{
	struct rlimit limit;

	errno = EFBIG;
	return !getrlimit(RLIMIT_FSIZE, &limit) && file_size <= limit.rlim_cur;
}

static void *map_file(const char *path, uint64_t offset, size_t size)
{
	int fd = within_limit(offset + size) ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = MAP_FAILED;
	int err;

	if (fd < 0)
		return NULL;
	err = posix_fallocate(fd, offset, size);
	if (!err)
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	if (!err && map == MAP_FAILED)
		err = errno;
	close(fd);
	errno = err;
	return err ? NULL : map;
}

bool spool_open(void)
{
	if (!make_paths())
		return false;
	spool = map_file(states_path, 0, SPOOL_STATES);
	return spool;
}

/* One process is recorded, the first that asks. */
bool spool_claim(void)
{
	int32_t nobody = 0;

	return atomic_compare_exchange_strong(&spool->pid, &nobody, getpid());
}

static void fail(void)
{
	char why[128];

	snprintf(why, sizeof(why), "cannot write the recording: %s", strerror(errno));
	recorder_end(SPOOL_FAILED, why);
}

uint64_t spool_stream_size(void)
{
	return window_offset + window_used;
}

static bool next_window(void)
{
	uint64_t size = spool_stream_size();
	uint64_t offset = size & -(uint64_t)SPOOL_PAGE;
	void *map = map_file(stream_path, offset, WINDOW);

	if (!map) {
		fail();
		return false;
	}
	if (window)
		munmap(window, WINDOW);
	window = map;
	window_offset = offset;
	window_used = size - offset;
	return true;
}

/* Appends a LEB128 number to the stream. */
void spool_put(uint64_t value)
{
	if (unlikely(!window || window_used > WINDOW - VARINT_MAX) && !next_window())
		return;
	for (; value > 0x7f; value >>= 7)
		window[window_used++] = value | 0x80;
	window[window_used++] = value;
}

void spool_put_state(const struct spool_state *state, const char *text, const char *losses)
{
	const struct iovec parts[] = {
		{ (void *)state, sizeof(*state) },
		{ (void *)text, state->text_size },
		{ (void *)losses, state->loss_size },
	};
	uint64_t offset = SPOOL_STATES + spool->states_size;
	ssize_t size = sizeof(*state) + state->text_size + state->loss_size;
	int fd = within_limit(offset + size) ? open(states_path, O_WRONLY | O_CLOEXEC) : -1;
	ssize_t written = fd < 0 ? -1 : pwritev(fd, parts, 3, offset);

	if (written == size) {
		spool->states_size += size;
	} else {
		if (written >= 0)
			errno = ENOSPC;
		fail();
	}
	if (fd >= 0)
		close(fd);
}
