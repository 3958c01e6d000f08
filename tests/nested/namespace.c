/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namespace LAST COMMAND...: runs it as the first process of a pid namespace of its own,
 * whose next thread gets the id after LAST.  Ends with it, and it with us.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int set_last(const char *last)
{
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);

    return fd >= 0 && write(fd, last, strlen(last)) > 0 && close(fd) == 0;
}

int main(int argc, char **argv)
{
    int status;
    pid_t pid;

    if (argc < 3 || unshare(CLONE_NEWPID) < 0 || (pid = fork()) < 0) {
        perror("namespace");
        return 1;
    }
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && set_last(argv[1])) {
            execvp(argv[2], &argv[2]);
        }
        perror(argv[2]);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) < 0) {
        perror("waitpid");
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
