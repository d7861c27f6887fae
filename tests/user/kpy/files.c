// SPDX-License-Identifier: GPL-2.0
/*
 * debugfs within the process: the modules make their files, kpy's debugfs_*() of
 * tools/kpy.h open them.  A read or write is the call of the module's function.
 */
#include "sim.h"

#include "kpy.h"

#define FILES	16		/* that are open at once */
#define FD	1000		/* the first one's number */

struct dentry {
	const char *name;
	struct dentry *parent;
	struct dentry *next;		/* beside it */
	struct dentry *children;	/* the last one made comes first */
	struct inode inode;
	const struct file_operations *fops;
};

static struct dentry root;

static struct open_file {
	const struct dentry *dentry;
	struct file file;
} files[FILES];

/* ---- what the modules call ---- */

static struct dentry *add(const char *name, struct dentry *parent)
{
	struct dentry *d = calloc(1, sizeof(*d));

	d->name = strdup(name);
	d->parent = parent ?: &root;
	d->next = d->parent->children;
	d->parent->children = d;
	return d;
}

struct dentry *debugfs_create_dir(const char *name, struct dentry *parent)
{
	return add(name, parent);
}

struct dentry *debugfs_create_file(const char *name, unsigned int mode, struct dentry *parent,
				   void *data, const struct file_operations *fops)
{
	struct dentry *d = add(name, parent);

	d->inode.i_private = data;
	d->fops = fops;
	return d;
}

void debugfs_remove(struct dentry *d)
{
	struct dentry **at = &d->parent->children;

	while (d->children)
		debugfs_remove(d->children);
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	free((char *)d->name);
	free(d);
}

static void seq_grow(struct seq_file *m, size_t len)
{
	if (m->size - m->len > len)
		return;
	m->size = m->size * 2 + len + 1;
	m->buf = realloc(m->buf, m->size);
	if (!m->buf)
		sim_fail("no memory for a file");
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	seq_grow(m, len);
	va_start(args, fmt);
	vsnprintf(m->buf + m->len, len + 1, fmt, args);
	va_end(args);
	m->len += len;
}

/* ---- what kpy calls ---- */

static struct dentry *find(const char *path)
{
	struct dentry *d = &root;
	size_t len;

	for (; d && *path; path += len + !!path[len]) {
		len = strcspn(path, "/");
		d = d->children;
		while (d && (strncmp(d->name, path, len) || d->name[len]))
			d = d->next;
	}
	return d;
}

int debugfs_open(const char *path, int flags)
{
	struct dentry *d = find(path);
	int i = 0, err;

	if (!d || !d->fops)
		return -ENOENT;
	while (i < FILES && files[i].dentry)
		i++;
	if (i == FILES)
		return -EMFILE;
	files[i].file.f_inode = &d->inode;
	err = d->fops->open ? d->fops->open(&d->inode, &files[i].file) : 0;
	if (err)
		return err;
	files[i].dentry = d;
	return FD + i;
}

static struct open_file *file_of(int fd)
{
	if (fd < FD || fd >= FD + FILES || !files[fd - FD].dentry)
		sim_fail("file %d is not open", fd);
	return &files[fd - FD];
}

void debugfs_close(int fd)
{
	struct open_file *f = file_of(fd);
	const struct file_operations *fops = f->dentry->fops;

	if (fops->release)
		fops->release(f->file.f_inode, &f->file);
	f->dentry = NULL;
}

int debugfs_put(int fd, const void *data, size_t len)
{
	struct open_file *f = file_of(fd);
	loff_t pos = 0;
	ssize_t put;

	for (; len; data = (const char *)data + put, len -= put) {
		put = f->dentry->fops->write(&f->file, data, len, &pos);
		if (put < 0)
			return put;
	}
	return 0;
}

int debugfs_write(const char *path, const char *text)
{
	int fd = debugfs_open(path, 0), err;

	if (fd < 0)
		return fd;
	err = debugfs_put(fd, text, strlen(text));
	debugfs_close(fd);
	return err;
}

static int show_steps(struct seq_file *m, const struct seq_operations *steps)
{
	loff_t pos = 0;
	int err = 0;
	void *v;

	for (v = steps->start(m, &pos); v && !err; v = steps->next(m, v, &pos))
		err = steps->show(m, v);
	steps->stop(m, v);
	return err;
}

int debugfs_read(const char *path, char **text)
{
	int fd = debugfs_open(path, 0), err;
	const struct dentry *d;
	struct seq_file m = {};

	if (fd < 0)
		return fd;
	d = file_of(fd)->dentry;
	m.private = d->inode.i_private;
	seq_puts(&m, "");
	err = d->fops->show ? d->fops->show(&m, NULL) : show_steps(&m, d->fops->steps);
	debugfs_close(fd);
	if (err)
		free(m.buf);
	else
		*text = m.buf;
	return err;
}

/* For `kpy heap`, which makes no sense here. */
int debugfs_list(const char *path, char ***names, size_t *nr)
{
	return -ENOENT;
}

int debugfs_trouble(const char *path, int err)
{
	return trouble("%s: %s", path, strerror(-err));
}

/* ---- what else the modules want of files ---- */

static char *escape(char *to, char *end, unsigned char c)
{
	static const char odd[] = "\n\r\t\v\f", names[] = "nrtvf";
	const char *known = c ? strchr(odd, c) : NULL;

	if (isprint(c))
		return to + scnprintf(to, end - to, "%c", c);
	if (known)
		return to + scnprintf(to, end - to, "\\%c", names[known - odd]);
	return to + scnprintf(to, end - to, c ? "\\%03o" : "\\0", c);
}

/* As the kernel's, also if the first thing to print is a %*pE: bytes, odd ones escaped. */
int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	const char *special = strstr(fmt, "%*pE"), *bytes;
	char *to = buf;
	int len;

	if (special) {
		to += scnprintf(to, size, "%.*s", (int)(special - fmt), fmt);
		len = va_arg(args, int);
		for (bytes = va_arg(args, const char *); len--; bytes++)
			to = escape(to, buf + size, *bytes);
		fmt = special + strlen("%*pE");
	}
	len = vsnprintf(to, buf + size - to, fmt, args);
	return to - buf + min(len, (int)(buf + size - to) - 1);
}

char *skip_spaces(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return (char *)text;
}

char *strim(char *text)
{
	size_t len = strlen(text);

	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return skip_spaces(text);
}

char *memdup_user_nul(const char *from, size_t len)
{
	char *text = kmalloc(len + 1, GFP_KERNEL);

	if (!text)
		return ERR_PTR(-ENOMEM);
	memcpy(text, from, len);
	text[len] = '\0';
	return text;
}

void *xa_load(struct xarray *xa, unsigned long index)
{
	return index < xa->nr ? xa->entries[index] : NULL;
}

/* Entries come one after the other. */
void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	if (index != xa->nr)
		sim_fail("entry %lu of an xarray is stored, the next one is %lu", index, xa->nr);
	if (is_power_of_2(index + 1))
		xa->entries = realloc(xa->entries, 2 * (index + 1) * sizeof(*xa->entries));
	if (!xa->entries)
		sim_fail("no memory for an xarray");
	xa->entries[xa->nr++] = entry;
	return NULL;
}

void xa_destroy(struct xarray *xa)
{
	free(xa->entries);
	xa_init(xa);
}
