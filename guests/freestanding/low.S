/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What C has no words for and calls nothing: the GDT, switches, guarded accesses. */

        .section .text.entry, "ax"

        /* void switch_stack(uint64_t *save, uint64_t load) */
        .globl  switch_stack
switch_stack:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

        /*
         * void wrmsr_irqs_on(uint32_t msr, uint64_t value): interrupts come in no
         * earlier than with the WRMSR, as with STI and HLT.
         */
        .globl  wrmsr_irqs_on, wrmsr_irqs_on_at, wrmsr_irqs_on_past
wrmsr_irqs_on:
        movl    %edi, %ecx
        movl    %esi, %eax
        movq    %rsi, %rdx
        shrq    $32, %rdx
        sti
wrmsr_irqs_on_at:
        wrmsr
wrmsr_irqs_on_past:
        cli
        ret

        /* uint64_t try_wrmsr(uint32_t msr, uint64_t value): 1, or 0 if it raises #GP. */
        .globl  try_wrmsr, try_wrmsr_at, try_wrmsr_failed
try_wrmsr:
        movl    %edi, %ecx
        movl    %esi, %eax
        movq    %rsi, %rdx
        shrq    $32, %rdx
try_wrmsr_at:
        wrmsr
        movl    $1, %eax
        ret
try_wrmsr_failed:
        xorl    %eax, %eax
        ret

        .section .user_text, "ax"
        /*
         * uint64_t copy_page(void *to, const void *from): 1, or 0 if the page has
         * failed; then the #VE handler goes on at copy_page_failed.
         */
        .globl  copy_page, copy_page_at, copy_page_failed
copy_page:
        movl    $512, %ecx
copy_page_at:
        rep movsq
        movl    $1, %eax
        ret
copy_page_failed:
        xorl    %eax, %eax
        ret

        .data
        .balign 8
        .globl  gdt, gdt_pointer
gdt:
        .quad   0
        .quad   0x00af9b000000ffff      /* 0x08 kernel code, 64-bit */
        .quad   0x00cf93000000ffff      /* 0x10 kernel data */
        .quad   0x00cff3000000ffff      /* 0x18 user data */
        .quad   0x00affb000000ffff      /* 0x20 user code, 64-bit */
        .fill   16, 8, 0                /* 0x28 a TSS of each vCPU */
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .quad   gdt

        .section .note.GNU-stack, "", @progbits
