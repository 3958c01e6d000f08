/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Report lines on COM1, polled. */

#include <stdarg.h>
#include "guest.h"

#define COM1            0x3f8
#define COM1_LCR        (COM1 + 3)
#define COM1_LSR        (COM1 + 5)
#define LCR_8N1         0x03
#define LCR_DLAB        0x80
#define LSR_RECEIVED    0x01
#define LSR_ROOM        0x20

static volatile uint32_t line_lock;

void serial_init(void)
{
    outb(COM1 + 1, 0);              /* no interrupts */
    outb(COM1_LCR, LCR_DLAB);
    outb(COM1, 1);                  /* 115200 */
    outb(COM1 + 1, 0);
    outb(COM1_LCR, LCR_8N1);
    outb(COM1 + 2, 0x07);           /* FIFOs on and empty */
    outb(COM1 + 4, 0x03);
}

/* The next character, or -1 */
int serial_poll(void)
{
    return inb(COM1_LSR) & LSR_RECEIVED ? inb(COM1) : -1;
}

static void put_char(char c)
{
    while (!(inb(COM1_LSR) & LSR_ROOM)) {
        relax();
    }
    outb(COM1, c);
}

static void put_string(const char *s)
{
    while (*s) {
        put_char(*s++);
    }
}

static void put_number(uint64_t n, unsigned base)
{
    char digits[21];
    int i = sizeof(digits) - 1;

    digits[i] = 0;
    do {
        digits[--i] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    put_string(digits + i);
}

static void put_format(const char *format, va_list args)
{
    for (; *format; format++) {
        if (*format != '%') {
            put_char(*format);
            continue;
        }
        format++;
        if (*format == 's') {
            put_string(va_arg(args, const char *));
        } else if (*format == 'c') {
            put_char(va_arg(args, int));
        } else if (*format == 'u') {
            put_number(va_arg(args, uint32_t), 10);
        } else {                    /* lu, lx */
            format++;
            put_number(va_arg(args, uint64_t), *format == 'x' ? 16 : 10);
        }
    }
}

/* One line; knows %s, %c, %u, %lu and %lx */
void say(const char *format, ...)
{
    va_list args;
    uint64_t flags = irqs_save();

    while (__atomic_exchange_n(&line_lock, 1, __ATOMIC_ACQUIRE)) {
        relax();
    }
    va_start(args, format);
    put_format(format, args);
    va_end(args);
    put_char('\n');
    __atomic_store_n(&line_lock, 0, __ATOMIC_RELEASE);
    irqs_restore(flags);
}

/* For a last word: whoever holds the line may never give it back. */
void say_force(void)
{
    line_lock = 0;
}
