// SPDX-License-Identifier: GPL-2.0
/*
 * wr - one system call on a file, and the name of its errno.
 *
 * The shell's echo can neither say which error a write met nor pass what a
 * hostile program would pass.  wr takes DATA or its standard input as the data of
 * one write(2) or pwrite(2), or does one read(2), and prints OK, SHORT, or an errno
 * as E2BIG or ENOENT; a prefix "open " says that it was the open that failed.
 * Exit status: 0 whatever the kernel answered, 2 if wr itself cannot go on.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DATA_MAX 0x100000

static const char usage[] =
	"usage: wr [OPTION]... FILE [DATA]\n"
	"  -r        reads instead\n"
	"  -l LEN    as many bytes, DATA is filled up with blanks\n"
	"  -o OFFSET by pwrite(2)\n"
	"  -b        from or to an address that is not mapped\n"
	"  -d FD     uses this descriptor, there is no FILE\n"
	"  -u UID    as that user, who opens the file\n"
	"  -w UID    as that user, who is handed the open file\n"
	"  -c        without CAP_SYS_ADMIN, which is missed from the open on\n"
	"  -n N      fails the call's N-th allocation; says \"passed\" if there are fewer\n";

struct call {
	const char *file;
	const char *data;
	bool read;
	bool bad;
	bool no_cap;
	int fd;
	int opener;
	int writer;
	int fail_nth;
	size_t len;
	off_t offset;
};

static long number(const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 0);
	if (errno || *end || n < 0)
		errx(2, "%s is no number", text);
	return n;
}

static void __attribute__((noreturn)) die_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

static struct call parse(int argc, char **argv)
{
	struct call c = { .fd = -1, .opener = -1, .writer = -1, .offset = -1 };
	int opt;

	while ((opt = getopt(argc, argv, "rbcl:o:d:u:w:n:")) != -1) {
		switch (opt) {
		case 'r':
			c.read = true;
			break;
		case 'b':
			c.bad = true;
			break;
		case 'c':
			c.no_cap = true;
			break;
		case 'l':
			c.len = number(optarg);
			break;
		case 'o':
			c.offset = number(optarg);
			break;
		case 'd':
			c.fd = number(optarg);
			break;
		case 'u':
			c.opener = number(optarg);
			break;
		case 'w':
			c.writer = number(optarg);
			break;
		case 'n':
			c.fail_nth = number(optarg);
			break;
		default:
			die_usage();
		}
	}
	if (c.fd < 0 && optind < argc)
		c.file = argv[optind++];
	if (optind < argc)
		c.data = argv[optind++];
	if (optind < argc || !c.file == (c.fd < 0))
		die_usage();
	return c;
}

static size_t slurp(char *data)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, data + len, DATA_MAX - len)) > 0)
		len += n;
	if (n < 0)
		err(2, "stdin");
	return len;
}

/* The data, filled up to the length that is asked for. */
static char *make_buffer(struct call *c)
{
	char *buf = malloc(c->len > DATA_MAX ? c->len : DATA_MAX);
	size_t len;

	if (!buf)
		err(2, "%zu bytes", c->len);
	if (c->read) {
		c->len = c->len ?: DATA_MAX;
		return buf;
	}
	len = c->data ? strlen(strcpy(buf, c->data)) : slurp(buf);
	if (c->len > len)
		memset(buf + len, ' ', c->len - len);
	c->len = c->len ?: len;
	return buf;
}

static void become(int uid)
{
	if (uid >= 0 && setresuid(uid, uid, uid))
		err(2, "setresuid %d", uid);
}

static void drop_cap(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		err(2, "capget");
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	data[0].permitted &= ~(1U << CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &head, data))
		err(2, "capset");
}

static void answer(const char *where, int error)
{
	printf("%s%s\n", where, strerrorname_np(error));
	exit(0);
}

static void open_file(struct call *c)
{
	if (c->no_cap)
		drop_cap();
	become(c->opener);
	if (c->fd >= 0)
		return;
	c->fd = open(c->file, c->read ? O_RDONLY : O_WRONLY);
	if (c->fd < 0)
		answer("open ", errno);
}

static ssize_t do_call(const struct call *c, char *buf)
{
	char *at = c->bad ? (char *)0x1000 : buf;

	if (c->read)
		return read(c->fd, at, c->len);
	if (c->offset >= 0)
		return pwrite(c->fd, at, c->len, c->offset);
	return write(c->fd, at, c->len);
}

/* See Documentation/fault-injection: 0 in the file says that the fault came. */
static int arm(int fd, int nth)
{
	char text[16];
	int len = sprintf(text, "%d", nth);

	return pwrite(fd, text, len, 0) == len ? 0 : -1;
}

static bool was_fired(int fd)
{
	char text[16] = "";

	/* Where copies to user space fail too, this read can meet the fault. */
	return pread(fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;
}

static ssize_t call_with_fault(const struct call *c, char *buf)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR);
	ssize_t n;
	int error;

	if (fd < 0 || arm(fd, c->fail_nth))
		err(2, "fail-nth");
	n = do_call(c, buf);
	error = errno;
	if (!was_fired(fd)) {
		arm(fd, 0);
		printf("passed ");
	}
	errno = error;
	return n;
}

int main(int argc, char **argv)
{
	struct call c = parse(argc, argv);
	char *buf = make_buffer(&c);
	ssize_t n;

	open_file(&c);
	become(c.writer);
	n = c.fail_nth ? call_with_fault(&c, buf) : do_call(&c, buf);
	if (n < 0)
		answer("", errno);
	puts(c.read || (size_t)n == c.len ? "OK" : "SHORT");
	return 0;
}
