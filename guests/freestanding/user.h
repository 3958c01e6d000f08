/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What code that is mapped for CPL 3 may use: nothing of the kernel but its calls. */
#ifndef GUEST_USER_H
#define GUEST_USER_H

#include "guest.h"

static inline uint64_t call(enum call which, uint64_t a, uint64_t b)
{
    uint64_t result = which;

    asm volatile("int %1" : "+a"(result) : "i"(VECTOR_CALL), "D"(a), "S"(b) : "memory");
    return result;
}

static inline void bad_content(uint64_t page, uint64_t word)
{
    call(CALL_CONTENT, REGION_GPA + page * PAGE_SIZE, word);
}

#endif
