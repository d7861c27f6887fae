/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels we build for.  Force-included by Kbuild;
 * the only place that looks at LINUX_VERSION_CODE.
 */
#ifndef _KPY_COMPAT_H
#define _KPY_COMPAT_H

#include <linux/version.h>

#endif
