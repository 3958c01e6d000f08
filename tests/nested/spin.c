/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps a core of the nested bed busy.  TCG makes no code of a NOP, but the bed's clock
 * counts it: so a core that spins goes through its turns in hardly any time of the host.
 */
int main(void)
{
    for (;;) {
        __asm__ volatile(".rept 400\n\tnop\n\t.endr");
    }
}
