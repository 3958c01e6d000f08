/* SPDX-License-Identifier: MIT */
/*
 * pv-ve: the interface between guest and host.
 *
 * The only file of this project that a guest includes.  It needs a C11 compiler
 * and the fixed-width types; a guest without <stdint.h> defines PV_VE_NO_STDINT
 * and supplies uint16_t, uint32_t and uint64_t itself.
 *
 * docs/specs/pv-ve.rst says what each of these means and when it may be used.
 */
#ifndef PV_VE_ABI_H
#define PV_VE_ABI_H

#ifndef PV_VE_NO_STDINT
#include <stdint.h>
#endif

#define PV_VE_ABI_VERSION           1

/* Virtualization exception, Intel SDM vol. 3, "Virtualization Exceptions" */
#define PV_VE_VECTOR                20

/*
 * Discovery.  The block lies at one of the bases from _FIRST to _LAST, _STEP
 * apart; a guest looks at each of them for the signature.
 */
#define PV_VE_CPUID_FIRST           0x40000100u
#define PV_VE_CPUID_LAST            0x4000ff00u
#define PV_VE_CPUID_STEP            0x100u
#define PV_VE_CPUID_SIGNATURE       "PvVePvVePvVe"
#define PV_VE_CPUID_SIG_EBX         0x65567650u     /* "PvVe" */
#define PV_VE_CPUID_SIG_ECX         0x65567650u
#define PV_VE_CPUID_SIG_EDX         0x65567650u

/* Leaf base + 0: EAX last leaf of the block, EBX:ECX:EDX signature */
#define PV_VE_CPUID_ID              0
/* Leaf base + 1: EAX ABI version, EBX features, ECX slots, EDX first MSR */
#define PV_VE_CPUID_INFO            1

/* Features: offered in CPUID, accepted in PV_VE_MSR_FEATURES */
#define PV_VE_F_BASE                (1u << 0)   /* all that has no bit of its own */
#define PV_VE_F_CPL0                (1u << 1)   /* PV_VE_CTL_CPL0 */
#define PV_VE_F_IF0                 (1u << 2)   /* PV_VE_CTL_IF0 */
#define PV_VE_F_WAIT                (1u << 3)   /* PV_VE_MSR_WAIT */
#define PV_VE_F_MSIX                (1u << 4)   /* PV_VE_NOTIFY_MSIX */
#define PV_VE_F_URGENT              (1u << 5)   /* PV_VE_MSR_URGENT, announcements */

/* MSRs of each vCPU, relative to the first one that CPUID names */
#define PV_VE_MSR_FEATURES          0
#define PV_VE_MSR_CONTROL           1
#define PV_VE_MSR_INFO_AREA         2
#define PV_VE_MSR_PV_PAGE           3
#define PV_VE_MSR_NOTIFY            4
#define PV_VE_MSR_WAIT              5
#define PV_VE_MSR_URGENT            6
#define PV_VE_NR_MSRS               7

/* PV_VE_MSR_CONTROL */
#define PV_VE_CTL_ENABLE            (1u << 0)
#define PV_VE_CTL_CPL0              (1u << 1)   /* also while CPL is below 3 */
#define PV_VE_CTL_IF0               (1u << 2)   /* also while RFLAGS.IF is clear */

/* PV_VE_MSR_NOTIFY: a LAPIC vector, or PV_VE_NOTIFY_MSIX and an MSI-X entry */
#define PV_VE_NOTIFY_VECTOR_MASK    0xffu
#define PV_VE_NOTIFY_VECTOR_MIN     32
#define PV_VE_NOTIFY_MSIX           (1u << 8)
#define PV_VE_NOTIFY_ENTRY_SHIFT    16
#define PV_VE_NOTIFY_ENTRY_MASK     0x7ffu

/* PV_VE_MSR_WAIT: the slot, and the generation of the fault in it */
#define PV_VE_WAIT_SLOT_MASK        0xffu
#define PV_VE_WAIT_GEN_SHIFT        32
#define PV_VE_WAIT(slot, gen)       ((uint64_t)(gen) << PV_VE_WAIT_GEN_SHIFT | (slot))

/* PCI function */
#define PV_VE_PCI_VENDOR_ID         0x1b36      /* Red Hat, as QEMU's own devices */
#define PV_VE_PCI_DEVICE_ID         0x00fe
#define PV_VE_PCI_MSIX_BAR          0

#define PV_VE_AREA_SIZE             4096
#define PV_VE_SLOTS                 120

/*
 * Information area, one 4 KiB page of each vCPU.  Up to eptp_index it is the
 * processor's own format; what lies from slot on is ours.
 */
struct pv_ve_info {
    uint32_t reason;            /* PV_VE_REASON_EPT_VIOLATION */
    uint32_t busy;              /* PV_VE_BUSY at delivery; the guest clears it */
    uint64_t qualification;     /* PV_VE_Q_* */
    uint64_t gla;               /* guest-linear address, if PV_VE_Q_GLA_VALID */
    uint64_t gpa;               /* guest-physical address */
    uint16_t eptp_index;        /* 0 */
    uint16_t reserved[3];
    uint32_t slot;              /* 0 .. PV_VE_SLOTS - 1 */
    uint32_t generation;        /* of the fault in that slot, never 0 */
};

#define PV_VE_REASON_EPT_VIOLATION  48
#define PV_VE_BUSY                  0xffffffffu

/* Exit qualification, as for EPT violations */
#define PV_VE_Q_READ                (1u << 0)
#define PV_VE_Q_WRITE               (1u << 1)
#define PV_VE_Q_FETCH               (1u << 2)
#define PV_VE_Q_GLA_VALID           (1u << 7)
#define PV_VE_Q_TRANSLATED          (1u << 8)   /* not an access to a paging structure */

/*
 * PV page, one 4 KiB page of each vCPU.
 *
 * A word of a slot is a generation and a state.  Each side writes only its own
 * word, and then looks at the other's:
 *
 *   host:  host = (gen, RESOLVED or FAILED); full barrier; is guest (gen, PARKED)?
 *   guest: guest = (gen, PARKED); full barrier; is host (gen, RESOLVED or FAILED)?
 *
 * At least one of them sees the other, so no wake-up is lost.
 */
#define PV_VE_STATE_BITS            4
#define PV_VE_STATE_MASK            0xfu
#define PV_VE_WORD(gen, state)      ((uint32_t)(gen) << PV_VE_STATE_BITS | (state))
#define PV_VE_GEN_MAX               0x0fffffffu     /* then 1 again */

/* States of the guest's word */
#define PV_VE_PARKED                1   /* a task sleeps, or is about to, in this slot */
#define PV_VE_ACKED                 2   /* the guest has done with this fault */

/* States of the host's word */
#define PV_VE_RESOLVED              4   /* the page is there */
#define PV_VE_FAILED                8   /* the page will never come */

struct pv_ve_slot {
    uint32_t host;              /* written by the host only */
    uint32_t guest;             /* written by the guest only */
    uint64_t cookie[3];         /* the guest's own; the host never looks */
};

struct pv_ve_page {
    /*
     * Bit s % 64 of word s / 64: slot s was found parked when its page was
     * resolved or failed.  The host sets a bit and notifies if its word was 0;
     * the guest's notification handler takes whole words by an atomic exchange
     * with 0.
     */
    uint64_t done[2];
    /* Not 0: a migration may soon read the lists; written by the host only. */
    uint32_t announced;
    uint32_t reserved_word;
    uint64_t reserved[29];
    struct pv_ve_slot slot[PV_VE_SLOTS];
};

/*
 * Pages that the guest cannot run without.  PV_VE_MSR_URGENT names the first page of a
 * chain of lists; the host reads it on the source, when the guest has stopped for the
 * switch to postcopy.
 *
 * where: page-aligned GPA | PV_VE_URGENT_BITMAP or 0 | class of urgency, 0 is first
 * what:  without _BITMAP a number of pages of 4 KiB; with it bit b stands for the page
 *        at GPA + b * 4 KiB
 */
#define PV_VE_URGENT_PAGE           4096
#define PV_VE_URGENT_CLASSES        4
#define PV_VE_URGENT_CLASS_MASK     0x3u
#define PV_VE_URGENT_BITMAP         (1u << 2)
#define PV_VE_URGENT_RESERVED       0xff8u      /* of where, 0 */
#define PV_VE_URGENT_ENTRIES        255
#define PV_VE_URGENT_MAX_LISTS      4096        /* that the host reads, of all vCPUs */

struct pv_ve_urgent_entry {
    uint64_t where;
    uint64_t what;
};

struct pv_ve_urgent_list {
    uint64_t next;              /* GPA of the next list, a multiple of 4096, or 0 */
    uint32_t count;             /* entries in use, up to PV_VE_URGENT_ENTRIES */
    uint32_t reserved;          /* 0 */
    struct pv_ve_urgent_entry entry[PV_VE_URGENT_ENTRIES];
};

#define PV_VE_ABI_ASSERT(name, cond) _Static_assert(cond, "pv-ve ABI: " name)
PV_VE_ABI_ASSERT("busy word", __builtin_offsetof(struct pv_ve_info, busy) == 4);
PV_VE_ABI_ASSERT("qualification",
                 __builtin_offsetof(struct pv_ve_info, qualification) == 8);
PV_VE_ABI_ASSERT("gla", __builtin_offsetof(struct pv_ve_info, gla) == 16);
PV_VE_ABI_ASSERT("gpa", __builtin_offsetof(struct pv_ve_info, gpa) == 24);
PV_VE_ABI_ASSERT("eptp index", __builtin_offsetof(struct pv_ve_info, eptp_index) == 32);
PV_VE_ABI_ASSERT("slot", __builtin_offsetof(struct pv_ve_info, slot) == 40);
PV_VE_ABI_ASSERT("generation", __builtin_offsetof(struct pv_ve_info, generation) == 44);
PV_VE_ABI_ASSERT("info size", sizeof(struct pv_ve_info) == 48);
PV_VE_ABI_ASSERT("slot size", sizeof(struct pv_ve_slot) == 32);
PV_VE_ABI_ASSERT("announced", __builtin_offsetof(struct pv_ve_page, announced) == 16);
PV_VE_ABI_ASSERT("slots", __builtin_offsetof(struct pv_ve_page, slot) == 256);
PV_VE_ABI_ASSERT("page size", sizeof(struct pv_ve_page) == PV_VE_AREA_SIZE);
PV_VE_ABI_ASSERT("list size", sizeof(struct pv_ve_urgent_list) == PV_VE_URGENT_PAGE);
PV_VE_ABI_ASSERT("entries", __builtin_offsetof(struct pv_ve_urgent_list, entry) == 16);

#endif
