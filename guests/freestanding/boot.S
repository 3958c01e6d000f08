/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the PVH entry point (32-bit protected mode, no paging) to main().
 */

#include "long-mode.h"

        /* Type 18 of the owner "Xen": the 32-bit entry point */
        .section .note.pvh, "a", @note
        .balign 4
        .long   4, 8, 18
        .asciz  "Xen"
        .quad   start32

        .section .text.boot, "ax"
        .code32
        .globl  start32
start32:
        cli
        cld
        movl    %ebx, %edi              /* start info: main's argument */
        movl    $boot_pml4, %eax
        movl    %eax, %cr3
        movl    $CR4_PAE, %eax
        movl    %eax, %cr4
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     $EFER_LME, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $CR0_PE_PG, %eax
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $0x08, $start64

        .code64
start64:
        flat_segments
        leaq    idle_tasks + 2048, %rsp
        movl    %edi, %edi
        call    main
1:      hlt
        jmp     1b

        /* The first GiB, until main() has built the real tables */
        .section .data.boot, "aw"
        .balign 4096
boot_pml4:
        .quad   boot_pdpt + 3
        .fill   511, 8, 0
boot_pdpt:
        .quad   boot_pd + 3
        .fill   511, 8, 0
boot_pd:
        .set    i, 0
        .rept   512
        .quad   (i << 21) + 0x83
        .set    i, i + 1
        .endr

        .section .note.GNU-stack, "", @progbits
