// SPDX-License-Identifier: GPL-2.0
/*
 * What readers see while a run or another command is in progress.
 *
 * A command holds a mutex, so the files `status` and `error` show the copies kept
 * here.  A long command publishes its status every LAB_BREATH ops; code that
 * refuses something leaves one line with the reason.  The cost is a spinlock
 * around a copy of about 200 bytes.
 */
#include <linux/kernel.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "lab.h"

static DEFINE_SPINLOCK(report_lock);
static struct lab_status report_status;
static struct lab_work_status report_work;

struct lab_error lab_replay_error;

static void set_error(struct lab_error *error, const char *text)
{
	spin_lock(&report_lock);
	strscpy(error->text, text, sizeof(error->text));
	spin_unlock(&report_lock);
}

/**
 * lab_report_refuse - leave one line that says why something is refused
 * @error: where to store it
 * @err: negative errno
 * @fmt: the reason, without a newline
 *
 * Context: Process context.
 * Return: @err.
 */
int lab_report_refuse(struct lab_error *error, int err, const char *fmt, ...)
{
	char text[LAB_ERROR_MAX];
	va_list args;

	va_start(args, fmt);
	vscnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	set_error(error, text);
	return err;
}

/**
 * lab_report_clear - forget the last refusal when a new command begins
 * @error: where it is stored
 *
 * Context: Process context.
 */
void lab_report_clear(struct lab_error *error)
{
	set_error(error, "");
}

/**
 * lab_report_error - get the reason of the last refusal
 * @error: where it is stored
 * @text: buffer of LAB_ERROR_MAX bytes; gets an empty string if there was none
 *
 * Context: Process context, any time.
 */
void lab_report_error(const struct lab_error *error, char *text)
{
	spin_lock(&report_lock);
	memcpy(text, error->text, LAB_ERROR_MAX);
	spin_unlock(&report_lock);
}

/**
 * lab_report_publish - publish a new status of the replay
 * @status: the status
 *
 * Context: Process context.
 */
void lab_report_publish(const struct lab_status *status)
{
	spin_lock(&report_lock);
	report_status = *status;
	spin_unlock(&report_lock);
}

/**
 * lab_report_status - get the status published last
 * @status: filled in
 *
 * Context: Process context, any time.
 */
void lab_report_status(struct lab_status *status)
{
	spin_lock(&report_lock);
	*status = report_status;
	spin_unlock(&report_lock);
}

/**
 * lab_report_publish_work - publish a new status of the workload
 * @status: the status
 *
 * Context: Process context.
 */
void lab_report_publish_work(const struct lab_work_status *status)
{
	spin_lock(&report_lock);
	report_work = *status;
	spin_unlock(&report_lock);
}

/**
 * lab_report_work - get the status of the workload published last
 * @status: filled in
 *
 * Context: Process context, any time.
 */
void lab_report_work(struct lab_work_status *status)
{
	spin_lock(&report_lock);
	*status = report_work;
	spin_unlock(&report_lock);
}
