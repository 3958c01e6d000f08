/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the PVH entry point (32-bit protected mode, no paging) to main(), and from
 * a start-up IPI (real mode) to main_other().
 */

#define CR0_PE_PG       0x80000001
#define CR4_PAE         0x20
#define MSR_EFER        0xc0000080
#define EFER_LME        0x100

        .macro  flat_segments
        movl    $0x10, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        .endm

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

        /* Copied to a page below 1 MiB; CS is that page, IP is 0. */
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
        .word   gdt_end - gdt - 1
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
        call    main_other
1:      hlt
        jmp     1b

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

        .balign 4
next_cpu:
        .long   1

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
