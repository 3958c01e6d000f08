/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a start-up IPI (real mode) to the function in start_other. */

#include "long-mode.h"

        /* Copied to a page below 1 MiB; CS is that page, IP is 0. */
        .section .text.boot, "ax"
        .code16
        .globl  trampoline, trampoline_end
trampoline:
        cli
        movw    %cs, %ax
        movw    %ax, %ds
        movl    $CR4_PAE, %eax
        movl    %eax, %cr4
        movl    page_table_root_low - trampoline, %eax
        movl    %eax, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     $EFER_LME, %eax
        wrmsr
        lgdtl   gdt_pointer_low - trampoline
        movl    %cr0, %eax
        orl     $CR0_PE_PG, %eax        /* from real mode straight to long mode */
        movl    %eax, %cr0
        ljmpl   $0x08, $other64
        .balign 8
        .globl  page_table_root_low
page_table_root_low:
        .quad   0
gdt_pointer_low:
        .word   GDT_SIZE - 1
        .quad   gdt
trampoline_end:

        .code64
other64:
        flat_segments
        movl    $1, %edi
        lock xaddl %edi, next_cpu
        movl    %edi, %eax
        shlq    $11, %rax               /* TASK_SIZE */
        leaq    idle_tasks + 2048(%rax), %rsp
        call    *start_other
1:      hlt
        jmp     1b

        .data
        .balign 4
next_cpu:
        .long   1
        .balign 8
        .globl  start_other
start_other:
        .quad   0

        .section .note.GNU-stack, "", @progbits
