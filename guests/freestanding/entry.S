/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries into the kernel, the way out, and the switch between two tasks. */

        .section .text.entry, "ax"

        /* Exceptions 8, 10-14, 17, 21, 29 and 30 push an error code themselves. */
        .macro  stub vector
stub_\vector:
        .if     (\vector < 32) && ((0x60227d00 >> \vector) & 1)
        .else
        pushq   $0
        .endif
        pushq   $\vector
        jmp     enter
        .endm

        .altmacro
        .macro  stub_number n
        stub    \n
        .endm
        .set    i, 0
        .rept   0x40
        stub_number %i
        .set    i, i + 1
        .endr

enter:
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %rax
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        cld
        movq    %rsp, %rdi
        call    dispatch

        .globl  return_from_entry
return_from_entry:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rax
        popq    %rcx
        popq    %rdx
        popq    %rsi
        popq    %rdi
        addq    $16, %rsp               /* vector, error code */
        iretq

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
        .globl  wrmsr_irqs_on
wrmsr_irqs_on:
        movl    %edi, %ecx
        movl    %esi, %eax
        movq    %rsi, %rdx
        shrq    $32, %rdx
        sti
        wrmsr
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

        .section .rodata
        .balign 8
        .globl  entry_stubs
        .macro  stub_address n
        .quad   stub_\n
        .endm
entry_stubs:
        .set    i, 0
        .rept   0x40
        stub_address %i
        .set    i, i + 1
        .endr

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

        .section .note.GNU-stack, "", @progbits
