/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pv-ve: what an instruction touches, as far as its general registers tell.
 *
 * The library knows the operands, the implied ones as well.  Left out are for example
 * gathers, whose addresses are in vector registers, what a segment register that is
 * loaded reads, CLZERO and MONITOR, and the end of what XSAVE writes.  An instruction
 * that does less than it could, a masked store for one, counts as if it did all.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include <linux/kvm.h>
#include <Zydis/Zydis.h>
#include "pv-ve/accel/kvm/decode.h"

QEMU_BUILD_BUG_ON(PV_VE_KVM_MAX_ACCESSES < ZYDIS_MAX_OPERAND_COUNT);

#define READS   (ZYDIS_OPERAND_ACTION_READ | ZYDIS_OPERAND_ACTION_CONDREAD)
#define WRITES  (ZYDIS_OPERAND_ACTION_WRITE | ZYDIS_OPERAND_ACTION_CONDWRITE)

#define DIRECTION       0x400           /* of RFLAGS */
#define MAX_REPETITIONS (1ull << 40)

typedef struct Decoded {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    ZydisRegisterContext registers;
    const struct kvm_sregs *sregs;
    uint64_t rip, rflags;
} Decoded;

/* ---- Registers ------------------------------------------------------------- */

static void set_registers(ZydisRegisterContext *context, const struct kvm_regs *r)
{
    const uint64_t general[] = {        /* in the order of their numbers */
        r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
        r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(general); i++) {
        context->values[ZYDIS_REGISTER_RAX + i] = general[i];
        context->values[ZYDIS_REGISTER_EAX + i] = (uint32_t)general[i];
        context->values[ZYDIS_REGISTER_AX + i] = (uint16_t)general[i];
    }
}

static uint64_t segment_base(const struct kvm_sregs *sregs, ZydisRegister segment)
{
    if (segment == ZYDIS_REGISTER_FS) {
        return sregs->fs.base;
    } else if (segment == ZYDIS_REGISTER_GS) {
        return sregs->gs.base;
    } else if (sregs->cs.l) {
        return 0;
    }
    return segment == ZYDIS_REGISTER_CS ? sregs->cs.base :
           segment == ZYDIS_REGISTER_SS ? sregs->ss.base :
           segment == ZYDIS_REGISTER_ES ? sregs->es.base : sregs->ds.base;
}

/* ---- Operands -------------------------------------------------------------- */

static bool is_stack_pointer(ZydisRegister r)
{
    return r == ZYDIS_REGISTER_RSP || r == ZYDIS_REGISTER_ESP || r == ZYDIS_REGISTER_SP;
}

static ZydisRegister counter(const Decoded *d)
{
    unsigned width = d->instruction.address_width;

    return width == 64 ? ZYDIS_REGISTER_RCX :
           width == 32 ? ZYDIS_REGISTER_ECX : ZYDIS_REGISTER_CX;
}

/* Has memory operands, and touches nothing. */
static bool touches_nothing(const Decoded *d)
{
    const ZydisDecodedInstruction *in = &d->instruction;
    bool repeated = in->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                      ZYDIS_ATTRIB_HAS_REPNE);

    switch (in->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
    case ZYDIS_CATEGORY_CLDEMOTE:
        return true;
    default:
        return in->mnemonic == ZYDIS_MNEMONIC_INVLPG ||
               (repeated && !d->registers.values[counter(d)]);
    }
}

/* A bit's number in a register can lead to memory far from the operand. */
static int64_t bit_offset(const Decoded *d)
{
    const ZydisDecodedOperand *bit = &d->operand[1];
    unsigned width = d->operand[0].size;
    int64_t number;

    if (bit->type != ZYDIS_OPERAND_TYPE_REGISTER) {
        return 0;
    }
    number = d->registers.values[bit->reg.value];
    number = width == 64 ? number : width == 32 ? (int32_t)number : (int16_t)number;
    return (number >> ctz32(width)) * (width / 8);
}

/*
 * What PUSH, CALL, POP, RET and their like imply; the prefix for addresses is not for
 * it.
 */
static bool is_implied_stack(const ZydisDecodedOperand *o)
{
    return o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
           o->mem.segment == ZYDIS_REGISTER_SS;
}

static uint64_t stack_offset(const Decoded *d, const ZydisDecodedOperand *o)
{
    uint64_t pointer = d->registers.values[o->mem.base];

    /* Before a write it moves. */
    return is_stack_pointer(o->mem.base) && o->actions & WRITES ? pointer - o->size / 8 :
                                                                  pointer;
}

/* What the library's address lacks. */
static int64_t correction(const Decoded *d, const ZydisDecodedOperand *o)
{
    switch (d->instruction.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTS:
        return bit_offset(d);
    case ZYDIS_MNEMONIC_XLAT:
        return d->registers.values[ZYDIS_REGISTER_RAX] & 0xff;
    case ZYDIS_MNEMONIC_POP:
        /* Its address is made after the stack pointer has moved. */
        return is_stack_pointer(o->mem.base) ? o->size / 8 : 0;
    default:
        return 0;
    }
}

/*
 * Of a string instruction that goes upwards until it has done all.  One that ends where
 * it finds something need not come so far.  Nobody has memory for more than the limit.
 */
static uint64_t repetitions(const Decoded *d)
{
    if (!(d->instruction.attributes & ZYDIS_ATTRIB_HAS_REP) || d->rflags & DIRECTION) {
        return 1;
    }
    return MIN(d->registers.values[counter(d)], MAX_REPETITIONS);
}

static bool find_access(const Decoded *d, const ZydisDecodedOperand *o,
                        PvVeKvmAccess *access)
{
    ZyanU64 offset;

    if (o->type != ZYDIS_OPERAND_TYPE_MEMORY || o->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
        !ZYAN_SUCCESS(ZydisCalcAbsoluteAddressEx(&d->instruction, o, d->rip,
                                                 &d->registers, &offset))) {
        return false;
    }
    if (is_implied_stack(o)) {
        offset = stack_offset(d, o);
    } else {
        offset += correction(d, o);
        offset &= MAKE_64BIT_MASK(0, d->instruction.address_width);
    }
    access->gla = offset + segment_base(d->sregs, o->mem.segment);
    if (!d->sregs->cs.l) {
        access->gla = (uint32_t)access->gla;
    }
    access->size = MAX(1, o->size / 8);
    access->whole = access->size * repetitions(d);
    access->kind = (o->actions & READS ? PV_VE_Q_READ : 0) |
                   (o->actions & WRITES ? PV_VE_Q_WRITE : 0);
    return access->kind;
}

/* ---- The instruction ------------------------------------------------------- */

static void init_decoder(ZydisDecoder *decoder, const struct kvm_sregs *sregs)
{
    if (sregs->cs.l) {
        ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    } else {
        ZydisDecoderInit(decoder, sregs->cs.db ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 :
                                                 ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
                         sregs->ss.db ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
    }
}

PvVeKvmDecode pv_ve_kvm_decode(const uint8_t *code, size_t size,
                               const struct kvm_regs *regs,
                               const struct kvm_sregs *sregs, PvVeKvmAccess *access,
                               unsigned *nr)
{
    Decoded d = { .sregs = sregs, .rip = regs->rip, .rflags = regs->rflags };
    ZydisDecoder decoder;
    ZyanStatus status;

    *nr = 0;
    init_decoder(&decoder, sregs);
    status = ZydisDecoderDecodeFull(&decoder, code, size, &d.instruction, d.operand);
    if (!ZYAN_SUCCESS(status)) {
        return status == ZYDIS_STATUS_NO_MORE_DATA ? PV_VE_KVM_CUT_OFF :
               PV_VE_KVM_UNKNOWN;
    }
    set_registers(&d.registers, regs);
    if (!touches_nothing(&d)) {
        for (unsigned i = 0; i < d.instruction.operand_count; i++) {
            *nr += find_access(&d, &d.operand[i], &access[*nr]);
        }
    }
    return PV_VE_KVM_DECODED;
}
