// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the kernel copies what is written to a file into the page cache.
 */
#include "driver.h"

#include <linux/compiler.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/ptrace.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

struct code {
	unsigned long start, size;	/* 0: not known */
};

static struct code file_copy, user_copy;

/* No exported function tells the size by itself: "name+0x0/0x2c0" has it. */
static struct code code_of(unsigned long function)
{
	char text[KSYM_SYMBOL_LEN];
	const char *slash;

	sprint_symbol(text, function);
	slash = strrchr(text, '/');
	return (struct code){ function, slash ? simple_strtoul(slash + 1, NULL, 0) : 0 };
}

void pv_ve_find_file_copy(void)
{
	file_copy = code_of((unsigned long)copy_page_from_iter_atomic);
	user_copy = code_of((unsigned long)rep_movs_alternative);
}

static bool is_inside(unsigned long ip, const struct code *code)
{
	return ip - code->start < code->size;
}

/*
 * In that function, or in what it calls on processors without a fast REP MOVSB, which has
 * nothing on the stack but where it returns to.
 */
bool pv_ve_in_file_copy(const struct pt_regs *regs)
{
	return is_inside(regs->ip, &file_copy) ||
	       (is_inside(regs->ip, &user_copy) &&
		is_inside(READ_ONCE_NOCHECK(*(const unsigned long *)regs->sp), &file_copy));
}
