/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both ways into long mode need; for assembly. */
#define CR0_PE_PG       0x80000001
#define CR4_PAE         0x20
#define MSR_EFER        0xc0000080
#define EFER_LME        0x100
#define GDT_SIZE        (21 * 8)

        .macro  flat_segments
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        .endm
