/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kview_testmod

#if !defined(_KVIEW_TESTMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KVIEW_TESTMOD_TRACE_H

#include <linux/tracepoint.h>

/* clang-format off */
TRACE_EVENT(kview_testmod_step,
	    TP_PROTO(int step),
	    TP_ARGS(step),
	    TP_STRUCT__entry(__field(int, step)),
	    TP_fast_assign(__entry->step = step;),
	    TP_printk("step=%d", __entry->step)
);
/* clang-format on */

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE kview_testmod_trace
#include <trace/define_trace.h>
