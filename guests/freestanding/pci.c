/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device's MSI-X table, programmed through configuration space. */

#include "guest.h"

#define CONFIG_ADDRESS      0xcf8
#define CONFIG_DATA         0xcfc
#define CONFIG_ENABLE       (1u << 31)

#define REG_ID              0x00
#define REG_COMMAND         0x04
#define REG_BAR0            0x10
#define REG_CAPABILITIES    0x34
#define COMMAND_MEMORY      (1u << 1)
#define COMMAND_MASTER      (1u << 2)
#define CAP_MSIX            0x11
#define MSIX_ENABLE         (1u << 31)      /* in the capability's first word */
#define MSIX_ALL_MASKED     (1u << 30)
#define MSI_ADDRESS         0xfee00000u

#define PV_VE_ID            ((uint32_t)PV_VE_PCI_DEVICE_ID << 16 | PV_VE_PCI_VENDOR_ID)

static volatile uint32_t *msix_table;

static uint32_t config_read(uint32_t function, uint32_t reg)
{
    outl(CONFIG_ADDRESS, CONFIG_ENABLE | function << 8 | reg);
    return inl(CONFIG_DATA);
}

static void config_write(uint32_t function, uint32_t reg, uint32_t value)
{
    outl(CONFIG_ADDRESS, CONFIG_ENABLE | function << 8 | reg);
    outl(CONFIG_DATA, value);
}

/* Bus, slot and function in 16 bits; the whole bus range if there is none. */
static uint32_t find_function(void)
{
    uint32_t function = 0;

    while (function < 1 << 16 && config_read(function, REG_ID) != PV_VE_ID) {
        function++;
    }
    return function;
}

static uint32_t find_capability(uint32_t function, uint8_t id)
{
    uint32_t reg = config_read(function, REG_CAPABILITIES) & 0xfc;
    uint32_t word;

    while (reg) {
        word = config_read(function, reg);
        if ((word & 0xff) == id) {
            break;
        }
        reg = word >> 8 & 0xfc;
    }
    return reg;
}

bool msix_find(void)
{
    uint32_t function = find_function();
    uint32_t cap, bar, where;

    if (function >> 16) {
        return false;
    }
    cap = find_capability(function, CAP_MSIX);
    if (!cap) {
        return false;
    }
    where = config_read(function, cap + 4);
    bar = config_read(function, REG_BAR0 + 4 * (where & 7)) & ~0xfu;
    if (bar < 3u << 30) {
        return false;
    }
    msix_table = (volatile uint32_t *)((uint64_t)bar + (where & ~7u));
    config_write(function, REG_COMMAND, (config_read(function, REG_COMMAND) & 0xffff) |
                 COMMAND_MEMORY | COMMAND_MASTER);
    config_write(function, cap, (config_read(function, cap) & ~MSIX_ALL_MASKED) |
                 MSIX_ENABLE);
    return true;
}

void msix_program(uint32_t entry, uint32_t apic, uint8_t vector)
{
    volatile uint32_t *e = msix_table + 4 * entry;

    e[0] = MSI_ADDRESS | apic << 12;
    e[1] = 0;
    e[2] = vector;
    e[3] = 0;                       /* not masked */
}
