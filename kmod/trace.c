// SPDX-License-Identifier: GPL-2.0
/* The bodies of the trace events, nothing else. */
#define CREATE_TRACE_POINTS
#include "trace.h"
