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
#include <linux/uio.h>

static unsigned long start, size;	/* of the function's code; 0: not known */

/* No exported function tells the size by itself: "name+0x0/0x2c0" has it. */
void pv_ve_find_file_copy(void)
{
	char text[KSYM_SYMBOL_LEN];
	const char *slash;

	start = (unsigned long)copy_page_from_iter_atomic;
	sprint_symbol(text, start);
	slash = strrchr(text, '/');
	size = slash ? simple_strtoul(slash + 1, NULL, 0) : 0;
}

static bool is_inside(unsigned long ip)
{
	return ip - start < size;
}

/*
 * In that function, or in one that it has called and that has nothing on the stack: the
 * copies in assembly for processors without a fast REP MOVSB.
 */
bool pv_ve_in_file_copy(const struct pt_regs *regs)
{
	return is_inside(regs->ip) ||
	       is_inside(READ_ONCE_NOCHECK(*(const unsigned long *)regs->sp));
}
