/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pv-ve: tests of what instructions touch. */
#include "qemu/osdep.h"
#include "pv-ve/accel/kvm/decode.h"

#define R PV_VE_Q_READ
#define W PV_VE_Q_WRITE

/* No two of them are near each other. */
#define AX 0x7f0000010044
#define CX 0x3
#define DX 0x7f00fedc0020
#define BX 0x7f0000031230
#define SP 0x7f0000040010
#define BP 0x7f0000050000
#define SI 0x7f0000060000
#define DI 0x7f0000070000
#define R9 0xffff8000f0080010
#define IP 0x400ffd
#define FS 0x7f0001000000
#define GS 0xffff800002000000

static const struct kvm_regs regs = {
    .rax = AX, .rcx = CX, .rdx = DX, .rbx = BX, .rsp = SP, .rbp = BP, .rsi = SI,
    .rdi = DI, .r9 = R9, .rip = IP,
};

/* The bases that are not 0 count in 64-bit mode for FS and GS alone. */
static struct kvm_sregs sregs = {
    .cs = { .l = 1, .base = 0x100000 }, .ss = { .db = 1, .base = 0x200000 },
    .ds = { .base = 0x300000 }, .es = { .base = 0x400000 },
    .fs = { .base = FS }, .gs = { .base = GS },
};

typedef struct Case {
    const char *text, *code;
    size_t size;
    PvVeKvmAccess access[3];    /* up to one of size 0 */
} Case;

#define CODE(bytes) bytes, sizeof(bytes) - 1

static const Case wide[] = {
    { "mov %rbx,%rax", CODE("\x48\x89\xd8") },
    { "mov 8(%rbx,%rcx,4),%rax", CODE("\x48\x8b\x44\x8b\x08"),
      { { BX + 8 + 4 * CX, 8, R } } },
    { "mov %al,-1(%rdi)", CODE("\x88\x47\xff"), { { DI - 1, 1, W } } },
    { "mov (%r9),%eax", CODE("\x41\x8b\x01"), { { R9, 4, R } } },
    { "mov 0x10(%rip),%rax", CODE("\x48\x8b\x05\x10\0\0\0"),
      { { IP + 7 + 0x10, 8, R } } },
    { "mov %fs:0x28,%rax", CODE("\x64\x48\x8b\x04\x25\x28\0\0\0"),
      { { FS + 0x28, 8, R } } },
    { "mov %gs:(%rdx),%eax", CODE("\x65\x8b\x02"), { { GS + DX, 4, R } } },
    { "mov (%esi),%eax", CODE("\x67\x8b\x06"), { { (uint32_t)SI, 4, R } } },
    { "movabs 0x8877665544332211,%al", CODE("\xa0\x11\x22\x33\x44\x55\x66\x77\x88"),
      { { 0x8877665544332211, 1, R } } },
    { "add $1,(%rax)", CODE("\x48\x83\x00\x01"), { { AX, 8, R | W } } },
    { "lock cmpxchg16b (%rbx)", CODE("\xf0\x48\x0f\xc7\x0b"), { { BX, 16, R | W } } },
    { "movups (%rbx),%xmm0", CODE("\x0f\x10\x03"), { { BX, 16, R } } },
    { "vmovdqu64 %zmm0,(%rbx)", CODE("\x62\xf1\xfe\x48\x7f\x03"), { { BX, 64, W } } },
    { "fxsave (%rbx)", CODE("\x0f\xae\x03"), { { BX, 512, W } } },
    { "push %rax", CODE("\x50"), { { SP - 8, 8, W } } },
    { "push (%rbx)", CODE("\xff\x33"), { { BX, 8, R }, { SP - 8, 8, W } } },
    { "pop %rax", CODE("\x58"), { { SP, 8, R } } },
    { "pop (%rbx)", CODE("\x8f\x03"), { { BX, 8, W }, { SP, 8, R } } },
    { "pop 8(%rsp)", CODE("\x8f\x44\x24\x08"), { { SP + 16, 8, W }, { SP, 8, R } } },
    { "mov 8(%rsp),%rax", CODE("\x48\x8b\x44\x24\x08"), { { SP + 8, 8, R } } },
    { "mov %rax,(%rsp)", CODE("\x48\x89\x04\x24"), { { SP, 8, W } } },
    { "addr32 call", CODE("\x67\xe8\0\0\0\0"), { { SP - 8, 8, W } } },
    { "addr32 push %rax", CODE("\x67\x50"), { { SP - 8, 8, W } } },
    { "addr32 leave", CODE("\x67\xc9"), { { BP, 8, R } } },
    { "bt %edx,(%eax)", CODE("\x67\x0f\xa3\x10"),
      { { (uint32_t)(AX + ((int32_t)(uint32_t)DX >> 5) * 4), 4, R } } },
    { "call", CODE("\xe8\0\0\0\0"), { { SP - 8, 8, W } } },
    { "call *(%rbx)", CODE("\xff\x13"), { { BX, 8, R }, { SP - 8, 8, W } } },
    { "ret", CODE("\xc3"), { { SP, 8, R } } },
    { "iretq", CODE("\x48\xcf"), { { SP, 40, R } } },
    { "leave", CODE("\xc9"), { { BP, 8, R } } },
    { "enter $0x20,$0", CODE("\xc8\x20\0\0"), { { SP - 8, 8, W } } },
    { "pushfq", CODE("\x9c"), { { SP - 8, 8, W } } },
    { "movsb", CODE("\xa4"), { { DI, 1, W }, { SI, 1, R } } },
    { "rep movsq", CODE("\xf3\x48\xa5"), { { DI, 8, W }, { SI, 8, R } } },
    { "rep stosb", CODE("\xf3\xaa"), { { DI, 1, W } } },
    { "movsb %gs:(%rsi),(%rdi)", CODE("\x65\xa4"), { { DI, 1, W }, { GS + SI, 1, R } } },
    { "xlat", CODE("\xd7"), { { BX + (AX & 0xff), 1, R } } },
    { "bts %rax,(%rbx)", CODE("\x48\x0f\xab\x03"), { { BX + (AX >> 6) * 8, 8, R | W } } },
    { "btc %rcx,(%rbx)", CODE("\x48\x0f\xbb\x0b"), { { BX, 8, R | W } } },
    { "bt %rax,(%rbx)", CODE("\x48\x0f\xa3\x03"), { { BX + (AX >> 6) * 8, 8, R } } },
    { "bt %r9,(%rbx)", CODE("\x4c\x0f\xa3\x0b"),
      { { BX + ((int64_t)R9 >> 6) * 8, 8, R } } },
    { "btr %r9d,(%rbx)", CODE("\x44\x0f\xb3\x0b"),
      { { BX + ((int32_t)(uint32_t)R9 >> 5) * 4, 4, R | W } } },
    { "bt %r9w,(%rbx)", CODE("\x66\x44\x0f\xa3\x0b"),
      { { BX + ((int16_t)R9 >> 4) * 2, 2, R } } },
    { "bt $3,(%rbx)", CODE("\x48\x0f\xba\x23\x03"), { { BX, 8, R } } },
    { "lgdt (%rbx)", CODE("\x0f\x01\x13"), { { BX, 10, R } } },
    { "maskmovdqu %xmm1,%xmm0", CODE("\x66\x0f\xf7\xc1"), { { DI, 16, W } } },
    { "lea (%rbx),%rax", CODE("\x48\x8d\x03") },
    { "nopl (%rbx)", CODE("\x0f\x1f\x03") },
    { "prefetcht0 (%rbx)", CODE("\x0f\x18\x0b") },
    { "prefetchwt1 (%rbx)", CODE("\x0f\x0d\x13") },
    { "cldemote (%rbx)", CODE("\x0f\x1c\x03") },
    { "invlpg (%rbx)", CODE("\x0f\x01\x3b") },
    { "endbr64", CODE("\xf3\x0f\x1e\xfa") },
    { "int3", CODE("\xcc") },
    { "vpgatherdd %ymm2,(%rax,%ymm1,4),%ymm0", CODE("\xc4\xe2\x6d\x90\x04\x88") },
};

static const Case narrow[] = {
    { "mov (%ebx),%eax", CODE("\x8b\x03"), { { 0x300000 + (uint32_t)BX, 4, R } } },
    { "mov 0xfffffff0,%eax", CODE("\xa1\xf0\xff\xff\xff"), { { 0x2ffff0, 4, R } } },
    { "push %eax", CODE("\x50"), { { 0x200000 + (uint32_t)SP - 4, 4, W } } },
    { "mov (%ebp),%eax", CODE("\x8b\x45\0"), { { 0x200000 + (uint32_t)BP, 4, R } } },
    { "addr16 push %eax", CODE("\x67\x50"), { { 0x200000 + (uint32_t)SP - 4, 4, W } } },
    { "stosl", CODE("\xab"), { { 0x400000 + (uint32_t)DI, 4, W } } },
    { "mov %cs:(%ebx),%eax", CODE("\x2e\x8b\x03"),
      { { 0x100000 + (uint32_t)BX, 4, R } } },
    { "mov (%bx),%eax", CODE("\x67\x8b\x07"), { { 0x300000 + (uint16_t)BX, 4, R } } },
};

static PvVeKvmDecode decode(const Case *c, size_t size, const struct kvm_regs *r,
                            PvVeKvmAccess *access, unsigned *nr)
{
    /* Nothing behind @size is looked at: it is not there. */
    g_autofree uint8_t *code = g_memdup2(c->code, size);

    return pv_ve_kvm_decode(code, size, r, &sregs, access, nr);
}

static void check(const Case *c)
{
    PvVeKvmAccess access[PV_VE_KVM_MAX_ACCESSES];
    unsigned nr, expected = 0;

    g_test_message("%s", c->text);
    g_assert_cmpint(decode(c, c->size, &regs, access, &nr), ==, PV_VE_KVM_DECODED);
    while (expected < ARRAY_SIZE(c->access) && c->access[expected].size) {
        expected++;
    }
    g_assert_cmpuint(nr, ==, expected);
    for (unsigned i = 0; i < nr; i++) {
        g_assert_cmphex(access[i].gla, ==, c->access[i].gla);
        g_assert_cmpuint(access[i].size, ==, c->access[i].size);
        g_assert_cmphex(access[i].kind, ==, c->access[i].kind);
    }
    for (size_t size = 1; size < c->size; size++) {
        g_assert_cmpint(decode(c, size, &regs, access, &nr), ==, PV_VE_KVM_CUT_OFF);
        g_assert_cmpuint(nr, ==, 0);
    }
}

static void test_64_bit(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(wide); i++) {
        check(&wide[i]);
    }
}

static void test_32_bit(void)
{
    sregs.cs.l = 0;
    sregs.cs.db = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(narrow); i++) {
        check(&narrow[i]);
    }
    sregs.cs.l = 1;
    sregs.cs.db = 0;
}

static void test_16_bit(void)
{
    const Case store = {
        "mov %ax,(%bx)", CODE("\x89\x07"), { { 0x300000 + (uint16_t)BX, 2, W } }
    };

    sregs.cs.l = 0;
    check(&store);
    sregs.cs.l = 1;
}

/* The last step has been made; its registers tell of one that never comes. */
static void test_repeated_for_the_last_time(void)
{
    const Case copy = { "rep movsb", CODE("\xf3\xa4") };
    PvVeKvmAccess access[PV_VE_KVM_MAX_ACCESSES];
    struct kvm_regs done = regs;
    unsigned nr;

    done.rcx = 0;
    g_assert_cmpint(decode(&copy, copy.size, &done, access, &nr), ==, PV_VE_KVM_DECODED);
    g_assert_cmpuint(nr, ==, 0);
    done.rcx = 1ull << 32;
    g_assert_cmpint(decode(&copy, copy.size, &done, access, &nr), ==, PV_VE_KVM_DECODED);
    g_assert_cmpuint(nr, ==, 2);
}

static uint64_t whole(const Case *c, uint64_t count, uint64_t rflags)
{
    PvVeKvmAccess access[PV_VE_KVM_MAX_ACCESSES];
    struct kvm_regs r = regs;
    unsigned nr;

    r.rcx = count;
    r.rflags = rflags;
    g_assert_cmpint(decode(c, c->size, &r, access, &nr), ==, PV_VE_KVM_DECODED);
    g_assert_cmpuint(nr, >, 0);
    return access[nr - 1].whole;
}

static void test_whole(void)
{
    static const Case copy = { "rep movsq", CODE("\xf3\x48\xa5") };
    static const Case fill = { "addr32 rep stosb", CODE("\x67\xf3\xaa") };
    static const Case once = { "movsq", CODE("\x48\xa5") };
    static const Case compare = { "repe cmpsb", CODE("\xf3\xa6") };
    static const Case find = { "repne scasb", CODE("\xf2\xae") };

    g_assert_cmpuint(whole(&copy, 1000, 0), ==, 8000);
    g_assert_cmpuint(whole(&copy, -1, 0), <=, 1ull << 43);
    g_assert_cmpuint(whole(&fill, 1ull << 32 | 5000, 0), ==, 5000);
    g_assert_cmpuint(whole(&once, 1000, 0), ==, 8);
    g_assert_cmpuint(whole(&copy, 1000, 0x400), ==, 8);     /* downwards */
    g_assert_cmpuint(whole(&compare, 1000, 0), ==, 1);
    g_assert_cmpuint(whole(&find, 1000, 0), ==, 1);
}

static void test_unknown(void)
{
    const Case none = { "PUSH ES, which 64-bit mode lacks", CODE("\x06\x90") };
    PvVeKvmAccess access[PV_VE_KVM_MAX_ACCESSES];
    unsigned nr;

    g_assert_cmpint(decode(&none, none.size, &regs, access, &nr), ==, PV_VE_KVM_UNKNOWN);
    g_assert_cmpuint(nr, ==, 0);
}

/* Guests may execute anything. */
static void test_any(void)
{
    PvVeKvmAccess access[PV_VE_KVM_MAX_ACCESSES];
    struct kvm_regs r;
    uint8_t code[PV_VE_KVM_MAX_INSTRUCTION];
    const Case any = { "any", (char *)code, sizeof(code) };

    for (unsigned n = 0; n < 200000; n++) {
        unsigned nr;

        for (unsigned i = 0; i < sizeof(code); i++) {
            code[i] = g_test_rand_int();
        }
        for (unsigned i = 0; i < sizeof(r) / 4; i++) {
            ((uint32_t *)&r)[i] = g_test_rand_int();
        }
        sregs.cs.l = n & 1;
        sregs.cs.db = n >> 1 & 1;
        decode(&any, 1 + n % sizeof(code), &r, access, &nr);
        g_assert_cmpuint(nr, <=, PV_VE_KVM_MAX_ACCESSES);
        for (unsigned i = 0; i < nr; i++) {
            g_assert_cmpuint(access[i].size, >, 0);
            g_assert_true(access[i].kind & (R | W));
            g_assert_cmpuint(access[i].whole, >=, access[i].size);
            g_assert_true(sregs.cs.l || access[i].gla <= UINT32_MAX);
        }
    }
    sregs.cs.l = 1;
    sregs.cs.db = 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/decode/64-bit", test_64_bit);
    g_test_add_func("/decode/32-bit", test_32_bit);
    g_test_add_func("/decode/16-bit", test_16_bit);
    g_test_add_func("/decode/repeated-for-the-last-time",
                    test_repeated_for_the_last_time);
    g_test_add_func("/decode/whole", test_whole);
    g_test_add_func("/decode/unknown", test_unknown);
    g_test_add_func("/decode/any", test_any);
    return g_test_run();
}
