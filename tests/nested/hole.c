/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hole FILE OFFSET SIZE: gives pages of memory back to the host, as a balloon does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int fd = argc == 4 ? open(argv[1], O_RDWR) : -1;

    if (fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0)) < 0) {
        perror("hole");
        return 1;
    }
    return 0;
}
