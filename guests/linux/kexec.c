/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Goes on with another kernel; with -p, when this one crashes.
 *
 *   kexec [-p] KERNEL INITRD ARGUMENTS
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kexec.h>
#include <linux/reboot.h>

int main(int argc, char **argv)
{
    int on_crash = argc > 1 && !strcmp(argv[1], "-p");
    int kernel, initrd;

    argc -= on_crash;
    argv += on_crash;
    if (argc != 4) {
        fprintf(stderr, "usage: kexec [-p] KERNEL INITRD ARGUMENTS\n");
        return 2;
    }
    kernel = open(argv[1], O_RDONLY);
    initrd = open(argv[2], O_RDONLY);
    if (kernel < 0 || initrd < 0 ||
        syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3],
                on_crash ? KEXEC_FILE_ON_CRASH : 0)) {
        perror("kexec: load");
        return 1;
    }
    if (on_crash) {
        return 0;
    }
    sync();
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
            LINUX_REBOOT_CMD_KEXEC, NULL);
    perror("kexec: reboot");
    return 1;
}
