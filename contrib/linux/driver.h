/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv_ve: guest driver for pv-ve, virtualization exceptions for missing pages.
 *
 * A task that touches a page which the host does not have yet sleeps until the
 * page comes, and others run.  The interface is docs/specs/pv-ve.rst.
 */
#ifndef PV_VE_DRIVER_H
#define PV_VE_DRIVER_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#define PV_VE_NO_STDINT
#include "pv-ve.h"

struct mm_struct;
struct pci_dev;
struct pt_regs;
struct task_struct;
struct ve_info;

/* What became of a fault */
enum pv_ve_result {
	PV_VE_OPEN,		/* the page is not there yet */
	PV_VE_RETRY,		/* try the access again */
	PV_VE_GONE,		/* the page never comes */
};

enum pv_ve_count {
	PV_VE_N_DELIVERED,
	PV_VE_N_PARKED_USER,
	PV_VE_N_PARKED_KERNEL,
	PV_VE_N_AT_ONCE,	/* was there before the task slept */
	PV_VE_N_WAITED,		/* the CPU waited, nothing else could run */
	PV_VE_N_ABANDONED,	/* a signal ended the sleep */
	PV_VE_N_FAILED,
	PV_VE_N_NOTIFIED,
	PV_VE_N_COUNTS
};

struct pv_ve_cpu {
	raw_spinlock_t lock;	/* enabled, guest words and cookies */
	bool enabled;
	u32 epoch;		/* grows with each disable; a fault is of one epoch */
	int number;
	call_single_data_t nudge;	/* an interrupt that does nothing; the lock's */
	struct pv_ve_info *info;
	struct pv_ve_page *page;
	u64 kvm_apf;		/* what KVM's async page fault was set to */
	u64 count[PV_VE_N_COUNTS];
};

struct pv_ve_fault {
	struct pv_ve_cpu *cpu;	/* whose slot it is */
	u32 slot;
	u32 generation;
	u64 gpa;
	u64 gla;		/* 0 if the host did not tell */
	bool fetch;		/* of an instruction, for all that the host told */
	u32 epoch;		/* the CPU's when #VE was taken */
};

DECLARE_PER_CPU(struct pv_ve_cpu, pv_ve_cpus);

#define pv_ve_inc(what) this_cpu_inc(pv_ve_cpus.count[what])

/* What the host offers and we accept; set once at load */
struct pv_ve_host {
	u32 features;
	u32 first_msr;
	bool user_only;
};

extern struct pv_ve_host pv_ve_host;

/* Classes of urgent pages */
enum pv_ve_class {
	PV_VE_CLASS_NOW,	/* the kernel's own, tasks that run or could run */
	PV_VE_CLASS_RECENT,	/* tasks that ran lately, pages in use, their structs */
	PV_VE_CLASS_REST,	/* the other tasks, large pages in use */
	PV_VE_CLASS_LAST,	/* what else is the kernel's */
};

/* The last description of this guest */
struct pv_ve_description {
	u64 number;
	u64 pages;
	u64 left_out;		/* for want of lists */
	u64 took_us;
};

extern struct pv_ve_description pv_ve_last;

static inline struct pv_ve_slot *pv_ve_slot(const struct pv_ve_fault *f)
{
	return &f->cpu->page->slot[f->slot];
}

static inline enum pv_ve_result pv_ve_look(const struct pv_ve_slot *slot, u32 generation)
{
	u32 host = READ_ONCE(slot->host);

	if (host == PV_VE_WORD(generation, PV_VE_RESOLVED))
		return PV_VE_RETRY;
	if (host == PV_VE_WORD(generation, PV_VE_FAILED))
		return PV_VE_GONE;
	return PV_VE_OPEN;
}

/* attach.c */
int pv_ve_attach(void);
void pv_ve_detach(void);

/* fault.c: in place of the kernel's functions of the same purpose */
void pv_ve_get_info(struct ve_info *ve);
bool pv_ve_handle(struct pt_regs *regs, struct ve_info *ve);

/* pci.c */
int pv_ve_pci_register(void);
void pv_ve_pci_unregister(void);

/* crash.c */
void pv_ve_crash_hook(void);
void pv_ve_crash_unhook(void);

/* cpu.c */
void pv_ve_cpus_init(void);
int pv_ve_start(void);
void pv_ve_stop(void);
void pv_ve_pause(void);
void pv_ve_resume(void);
void pv_ve_leave(void);
void pv_ve_abandon(void);
void pv_ve_free(void);

/* park.c */
enum pv_ve_result pv_ve_park(const struct pv_ve_fault *f, bool user);
enum pv_ve_result pv_ve_wait(const struct pv_ve_fault *f);
bool pv_ve_any_in_kernel(void);
/* From now on who would sleep in the kernel stops its CPU instead, or no more. */
void pv_ve_keep_kernel_awake(bool awake);
void pv_ve_release(struct pv_ve_cpu *cpu);
void pv_ve_take_done(struct pv_ve_cpu *cpu);
void pv_ve_wake_all(struct pv_ve_cpu *cpu);

/* failed.c */
bool pv_ve_find_search(void);
bool pv_ve_goes_on_without(struct pt_regs *regs, const struct pv_ve_fault *f);
bool pv_ve_in_module(unsigned long ip);
void pv_ve_sigbus(struct pt_regs *regs, const struct pv_ve_fault *f);

/* copy.c */
void pv_ve_find_file_copy(void);
bool pv_ve_in_file_copy(const struct pt_regs *regs);

/* notify.c */
int pv_ve_irqs_request(struct pci_dev *dev);
void pv_ve_irqs_free(void);
u64 pv_ve_notify_of(const struct pv_ve_cpu *cpu);
void pv_ve_aim(const struct pv_ve_cpu *cpu);

/* kvm.c */
void pv_ve_kvm_find(void);
void pv_ve_kvm_off(struct pv_ve_cpu *cpu);
void pv_ve_kvm_restore(struct pv_ve_cpu *cpu);

/* urgent.c */
void pv_ve_urgent_begin(void);
void pv_ve_urgent_end(void);
void pv_ve_urgent_look(void);

/* describe.c */
void pv_ve_describe(void);

/* tasks.c */
struct task_struct *pv_ve_task_from(int *number);

/* heat.c */
void pv_ve_heat_begin(void);
void pv_ve_heat_look(void);

/* stacks.c */
void pv_ve_stacks_begin(void);
void pv_ve_stacks_end(void);
bool pv_ve_is_on_stack(unsigned long address);
void pv_ve_look_at_stack(unsigned long stack, unsigned long size);

/* used.c */
enum pv_ve_used {
	PV_VE_USED_SMALL,
	PV_VE_USED_LARGE,
	PV_VE_USED_KINDS
};

void pv_ve_used_begin(void);
void pv_ve_used_end(void);
bool pv_ve_looks_for_used(void);
void pv_ve_looked_for_used(void);
bool pv_ve_is_used(unsigned long frame, enum pv_ve_used kind);
bool pv_ve_is_any_used(unsigned long frame);
void pv_ve_used(unsigned long frame, enum pv_ve_used kind);
void pv_ve_used_age(enum pv_ve_used kind);
void pv_ve_name_used(enum pv_ve_used kind, unsigned int class);

/* tables.c */
void pv_ve_name_tables_of(struct mm_struct *mm, unsigned int class);
void pv_ve_name_kernel_tables(void);
void pv_ve_name_entry_area(void);
void pv_ve_name_used_image(void);
void pv_ve_name_image(void);
void pv_ve_name_used_page_structs(void);
void pv_ve_name_page_structs(void);

/* memory.c */
void pv_ve_name_kernel_memory(void);

/* lists.c */
bool pv_ve_is_announced(void);
bool pv_ve_lists_init(void);
u64 pv_ve_lists_head(void);
void pv_ve_lists_begin(void);
void pv_ve_lists_publish(void);
void pv_ve_lists_counts(u64 *named, u64 *not_named);
void pv_ve_lists_withdraw(void);
void pv_ve_lists_free(void);
void pv_ve_name(u64 pfn, u64 count, unsigned int class);
void pv_ve_name_bitmap(u64 pfn, u64 bits, unsigned int class);

/* stats.c */
void pv_ve_stats_create(void);
void pv_ve_stats_remove(void);

#endif
