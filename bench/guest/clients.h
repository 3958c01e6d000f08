/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What clients of the bench's guest have in common: a thread each, which prepares
 * what it needs before the guest is kept, and does one operation after the other from
 * SIGUSR1 until SIGALRM.  A log of its own gets a line for each: how many
 * microseconds it took, and when it ended (seconds, microseconds).
 */
#ifndef CLIENTS_H
#define CLIENTS_H

#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct client {
    pthread_t thread;
    int number;
    uint64_t random;
    long operations;
    void *own;
};

static const char *log_name;
static volatile sig_atomic_t over;
static pthread_barrier_t prepared, begun;

/* The program's part */
static void prepare(struct client *client);
static void operate(struct client *client);
static void verify(struct client *client);

static uint32_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int64_t microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

static void *run_client(void *opaque)
{
    struct client *client = opaque;
    char name[200];
    FILE *log;

    snprintf(name, sizeof(name), "%s.%d", log_name, client->number);
    log = fopen(name, "w");
    if (!log) {
        err(1, "%s", name);
    }
    prepare(client);
    pthread_barrier_wait(&prepared);
    pthread_barrier_wait(&begun);
    for (int64_t begin = microseconds(), end; !over; begin = end, client->operations++) {
        operate(client);
        end = microseconds();
        fprintf(log, "%d %lld %lld\n", (int)(end - begin), (long long)end / 1000000,
                (long long)end % 1000000);
    }
    if (fclose(log)) {
        err(1, "%s", name);
    }
    verify(client);
    return NULL;
}

static void on_alarm(int number)
{
    (void)number;
    over = 1;
}

/* How many operations they all did */
static long run_clients(int count)
{
    struct client *client = calloc(count, sizeof(*client));
    long operations = 0;
    sigset_t begin;
    int number;

    pthread_barrier_init(&prepared, NULL, count + 1);
    pthread_barrier_init(&begun, NULL, count + 1);
    sigemptyset(&begin);
    sigaddset(&begin, SIGUSR1);
    sigprocmask(SIG_BLOCK, &begin, NULL);
    sigaction(SIGALRM, &(struct sigaction) { .sa_handler = on_alarm,
                                             .sa_flags = SA_RESTART }, NULL);
    for (int i = 0; i < count; i++) {
        client[i].number = i;
        client[i].random = i + 1;
        pthread_create(&client[i].thread, NULL, run_client, &client[i]);
    }
    pthread_barrier_wait(&prepared);
    puts("clients are ready");
    fflush(stdout);
    sigwait(&begin, &number);
    pthread_barrier_wait(&begun);
    for (int i = 0; i < count; i++) {
        pthread_join(client[i].thread, NULL);
        operations += client[i].operations;
    }
    return operations;
}

#endif
