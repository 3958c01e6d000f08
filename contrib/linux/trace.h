/* SPDX-License-Identifier: GPL-2.0-or-later */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pv_ve

#if !defined(PV_VE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PV_VE_TRACE_H

#include <linux/tracepoint.h>

/* #VE; the task parks, or the CPU waits */
TRACE_EVENT(pv_ve_fault,
	TP_PROTO(unsigned long ip, bool user, bool park, const struct pv_ve_fault *f,
		 u64 qualification),
	TP_ARGS(ip, user, park, f, qualification),
	TP_STRUCT__entry(
		__field(unsigned long, ip)
		__field(u64, gpa)
		__field(u64, gla)
		__field(u32, slot)
		__field(u32, generation)
		__field(u32, qualification)
		__field(bool, user)
		__field(bool, park)
	),
	TP_fast_assign(
		__entry->ip = ip;
		__entry->gpa = f->gpa;
		__entry->gla = f->gla;
		__entry->slot = f->slot;
		__entry->generation = f->generation;
		__entry->qualification = qualification;
		__entry->user = user;
		__entry->park = park;
	),
	TP_printk("%s slot=%u gen=%u gpa=%#llx gla=%#llx%s%s%s ip=%pS %s",
		  __entry->park ? "park" : "wait", __entry->slot, __entry->generation,
		  __entry->gpa, __entry->gla,
		  __entry->qualification & PV_VE_Q_READ ? " read" : "",
		  __entry->qualification & PV_VE_Q_WRITE ? " write" : "",
		  __entry->qualification & PV_VE_Q_FETCH ? " fetch" : "",
		  (void *)__entry->ip, __entry->user ? "user" : "kernel")
);

/* The task or the CPU goes on */
TRACE_EVENT(pv_ve_end,
	TP_PROTO(const struct pv_ve_fault *f, int result),
	TP_ARGS(f, result),
	TP_STRUCT__entry(
		__field(int, cpu)
		__field(u32, slot)
		__field(u32, generation)
		__field(bool, failed)
	),
	TP_fast_assign(
		__entry->cpu = f->cpu->number;
		__entry->slot = f->slot;
		__entry->generation = f->generation;
		__entry->failed = result == PV_VE_GONE;
	),
	TP_printk("cpu=%d slot=%u gen=%u%s", __entry->cpu, __entry->slot,
		  __entry->generation, __entry->failed ? " failed" : "")
);

/* A notification about that CPU's slots */
TRACE_EVENT(pv_ve_notify,
	TP_PROTO(int cpu, unsigned int woken),
	TP_ARGS(cpu, woken),
	TP_STRUCT__entry(
		__field(int, cpu)
		__field(unsigned int, woken)
	),
	TP_fast_assign(
		__entry->cpu = cpu;
		__entry->woken = woken;
	),
	TP_printk("cpu=%d woken=%u", __entry->cpu, __entry->woken)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
