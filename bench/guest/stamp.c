/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells the guest's clock, `stamp NANOSECONDS`, many times: whoever reads the serial port
 * compares with its own, and keeps what came fastest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const struct timespec between = { .tv_nsec = 5 * 1000 * 1000 };

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 50;

    while (count-- > 0) {
        struct timespec now;
        char line[40];
        int length;

        nanosleep(&between, NULL);
        clock_gettime(CLOCK_REALTIME, &now);
        length = snprintf(line, sizeof(line), "stamp %lld%09ld\n", (long long)now.tv_sec,
                          now.tv_nsec);
        if (write(1, line, length) != length) {
            return 1;
        }
        tcdrain(1);
    }
    return 0;
}
