// SPDX-License-Identifier: GPL-2.0
/*
 * A recording on its way from the program to its files.
 *
 * Before the program starts there is the spool: two nameless files where the
 * trace is to lie, so that an output that cannot be written is known early,
 * its disk is the one that fills up, and nothing is left if kpy itself is
 * killed.  After the program's end it is judged what has come of it.  Nothing
 * is predicted: the numbers are those that CPython printed, checked against
 * each other and our counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kpy.h"
#include "recording.h"

static void *map(int fd, size_t size, int prot)
{
	void *p = size ? mmap(NULL, size, prot, MAP_SHARED, fd, 0) : NULL;

	if (p == MAP_FAILED)
		exit(trouble("out of memory"));
	return p;
}

static int open_nameless(const char *beside)
{
	char *path = format("%s.XXXXXX", beside);
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd >= 0)
		unlink(path);
	else
		trouble("%s: %s", beside, strerror(errno));
	free(path);
	return fd;
}

int recording_begin(struct recording *rec)
{
	struct stat st;
	int err;

	if (!stat(rec->path, &st) && !S_ISREG(st.st_mode))
		return trouble("%s: this is not a regular file", rec->path);
	rec->stream = open_nameless(rec->path);
	rec->states = rec->stream < 0 ? -1 : open_nameless(rec->path);
	if (rec->states < 0)
		return KPY_TROUBLE;
	err = posix_fallocate(rec->states, 0, SPOOL_STATES);
	if (err)
		return trouble("%s: %s", rec->path, strerror(err));
	rec->head = map(rec->states, SPOOL_STATES, PROT_READ | PROT_WRITE);
	return 0;
}

/* Reading the spool. */

static void read_moments(struct result *res)
{
	size_t size = SPOOL_STATES + res->rec->head->states_size;
	const char *file = map(res->rec->states, size, PROT_READ);
	size_t offset = SPOOL_STATES, nr_losses = 0, room = 0;

	while (offset < size) {
		struct moment *m;

		if (res->nr == room) {
			room = room ? 2 * room : 1024;
			res->moments = realloc(res->moments, room * sizeof(*m));
			if (!res->moments)
				exit(trouble("out of memory"));
		}
		m = &res->moments[res->nr++];
		memcpy(&m->spool, file + offset, sizeof(m->spool));
		m->text = file + offset + sizeof(m->spool);
		m->losses = m->text + m->spool.text_size;
		nr_losses += m->spool.loss_size;
		offset = m->losses + m->spool.loss_size - file;
	}
	res->losses = calloc(1, nr_losses + 1);
	for (size_t i = 0; res->losses && i < res->nr; i++)
		strncat(res->losses, res->moments[i].losses, res->moments[i].spool.loss_size);
	res->end = res->nr ? &res->moments[res->nr - 1] : NULL;
}

/* Whether there is something to write, and if not, why. */
static int judge(const struct result *res)
{
	const struct spool_head *head = res->rec->head;

	if (!head->pid)
		return trouble("%s started no CPython that can be recorded", res->rec->command[0]);
	if (head->end == SPOOL_FAILED)
		return trouble("not recorded: %s", head->why);
	if (!head->ops)
		return trouble("not recorded: no call came by; do PYTHONMALLOC or -X dev choose "
			       "another allocator?");
	if (!res->end || !head->alignment)
		return trouble("not recorded: %s", head->end == SPOOL_CUT ? head->why :
			       "the program ended before CPython's numbers could be had");
	return 0;
}

static void know(struct state *s, enum state_field field, u64 value)
{
	s->value[field] = value;
	s->known[field] = true;
}

void moment_state(const struct moment *m, struct state *s)
{
	const struct spool_state *spool = &m->spool;
	char *text = format("%.*s", (int)spool->text_size, m->text);

	*s = (struct state){ 0 };
	state_add_stats(s, text);
	free(text);
	know(s, S_AFTER_OPS, spool->ops);
	know(s, S_RAW_LIVE_BLOCKS, spool->raw_live_blocks);
	know(s, S_LIVE_BLOCKS, spool->live_blocks);
	know(s, S_LIVE_REQUESTED_SMALL, spool->live_requested_small);
	know(s, S_LIVE_REQUESTED_ALL, spool->live_requested_all);
	know(s, S_DIGEST, spool->digest);
	know(s, S_DIGEST_SERIAL, spool->digest_serial);
}

/* CPython's numbers against each other and against what went through the hooks. */
static int check_state(const struct state *s, const struct spool_head *head)
{
	const u64 *v = s->value;
	u64 in_use = 0, bytes = 0;

	for (int c = 0; c < KPY_CLASSES; c++)
		in_use += s->classes[c].pools ? s->classes[c].in_use : 0;
	for (int f = S_BYTES_ALLOCATED; f < S_BYTES_TOTAL; f++)
		bytes += v[f];
	if (bytes != v[S_BYTES_TOTAL] || bytes != v[S_ARENAS_CURRENT] * head->arena_size)
		return trouble("not recorded: after %llu ops CPython's byte totals do not add up",
			       v[S_AFTER_OPS]);
	if (in_use != v[S_LIVE_BLOCKS] - v[S_RAW_LIVE_BLOCKS])
		return trouble("not recorded: after %llu ops CPython has %llu blocks in use, "
			       "but %llu were seen", v[S_AFTER_OPS], in_use,
			       v[S_LIVE_BLOCKS] - v[S_RAW_LIVE_BLOCKS]);
	return 0;
}

static int check_states(const struct result *res)
{
	struct state state;
	int err = 0;

	for (size_t i = 0; !err && i < res->nr; i++) {
		moment_state(&res->moments[i], &state);
		err = check_state(&state, res->rec->head);
	}
	return err;
}

static void summarize(const struct result *res)
{
	const struct spool_head *head = res->rec->head;
	u64 lost = head->ops - res->end->spool.ops;
	char ops[32];

	if (res->rec->verbose)
		fprintf(stderr, "kpy: %s: %s operations of CPython %.*s, %zu states\n",
			res->rec->path, commas(ops, res->end->spool.ops),
			(int)strcspn(head->python, " "), head->python, res->nr);
	if (head->end == SPOOL_CUT)
		trouble("the recording ends after %s operations: %s",
			commas(ops, res->end->spool.ops), head->why);
	else if (lost)
		trouble("the program's last %s operations are not recorded", commas(ops, lost));
}

int recording_end(const struct recording *rec)
{
	struct result res = { .rec = rec };
	int err;

	read_moments(&res);
	err = judge(&res);
	if (!err)
		err = check_states(&res);
	if (!err) {
		res.stream = map(rec->stream, res.end->spool.stream_size, PROT_READ);
		err = recording_write(&res);
	}
	if (!err)
		summarize(&res);
	free(res.moments);
	free(res.losses);
	return err;
}
