/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: what an instruction touches. */
#ifndef PV_VE_KVM_DECODE_H
#define PV_VE_KVM_DECODE_H

#include <linux/kvm.h>
#include "pv-ve/include/abi/pv-ve.h"

#define PV_VE_KVM_MAX_INSTRUCTION   15      /* bytes */
#define PV_VE_KVM_MAX_ACCESSES      10      /* of one instruction, beside its fetch */

typedef struct PvVeKvmAccess {
    uint64_t gla;
    unsigned size;              /* bytes, at least 1 */
    uint32_t kind;              /* PV_VE_Q_READ, PV_VE_Q_WRITE or both */
    uint64_t whole;             /* bytes, with all repetitions that are to come */
} PvVeKvmAccess;

typedef enum PvVeKvmDecode {
    PV_VE_KVM_DECODED,
    PV_VE_KVM_CUT_OFF,          /* the instruction goes on behind @size */
    PV_VE_KVM_UNKNOWN,
} PvVeKvmDecode;

/*
 * What the instruction at @code, executed in long mode with these registers, reads and
 * writes: @nr of @access, which has room for PV_VE_KVM_MAX_ACCESSES.  Of a repeated one
 * that is the next step.  Any thread.
 */
PvVeKvmDecode pv_ve_kvm_decode(const uint8_t *code, size_t size,
                               const struct kvm_regs *regs,
                               const struct kvm_sregs *sregs, PvVeKvmAccess *access,
                               unsigned *nr);

#endif
