/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries into the kernel, and the way out. */

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

        .section .note.GNU-stack, "", @progbits
