/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compile jobs: each runs the compiler on one of many sources, and compares what it
 * makes with what it made of it before.
 *
 *   compile CLIENTS SOURCES FOLDER COMPILER LOG
 *
 * Every client has SOURCES sources of its own, in FOLDER. In the end each is compiled
 * once more, and `OPERATIONS operations, SOURCES sources are right` is printed. A
 * wrong result ends all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients.h"

#define NAME 200
#define OBJECT (64 * 1024)
#define FUNCTIONS 40

static const char *folder, *compiler;
static int sources;

struct object {
    size_t length;
    char *data;
};

static void name_file(const struct client *client, int source, const char *suffix,
                      char *name)
{
    snprintf(name, NAME, "%s/%d-%d.%s", folder, client->number, source, suffix);
}

static void write_source(const struct client *client, int source)
{
    uint64_t random = (uint64_t)client->number << 32 | source;
    char name[NAME];
    FILE *file;

    name_file(client, source, "c", name);
    file = fopen(name, "w");
    if (!file) {
        err(1, "%s", name);
    }
    for (int i = 0; i < FUNCTIONS; i++) {
        fprintf(file, "static int f%d(int *p, int n)\n{\n    int s = %u;\n"
                "    for (int i = 0; i < n; i++) {\n        s += p[i] * %u ^ s >> %u;\n"
                "        if (s %% %u == 0) {\n            p[i] = s;\n        }\n    }\n"
                "    return s;\n}\n", i, next(&random), next(&random) % 999,
                next(&random) % 31, next(&random) % 99 + 1);
    }
    fprintf(file, "int all(int *p, int n)\n{\n    return 0");
    for (int i = 0; i < FUNCTIONS; i++) {
        fprintf(file, " + f%d(p, n)", i);
    }
    fprintf(file, ";\n}\n");
    if (fclose(file)) {
        err(1, "%s", name);
    }
}

static struct object compile(const struct client *client, int source)
{
    char from[NAME], to[NAME];
    char *arguments[] = { (char *)compiler, "-c", "-o", to, from, NULL };
    struct object object = { .data = malloc(OBJECT) };
    int status;
    pid_t job;
    FILE *file;

    name_file(client, source, "c", from);
    name_file(client, source, "o", to);
    errno = posix_spawn(&job, compiler, NULL, NULL, arguments, environ);
    if (errno || waitpid(job, &status, 0) != job || status) {
        err(1, "%s of %s", compiler, from);
    }
    file = fopen(to, "r");
    if (!file) {
        err(1, "%s", to);
    }
    object.length = fread(object.data, 1, OBJECT, file);
    fclose(file);
    unlink(to);
    return object;
}

static void compile_again(const struct client *client, int source)
{
    const struct object *wanted = (struct object *)client->own + source;
    struct object made = compile(client, source);

    if (made.length != wanted->length || memcmp(made.data, wanted->data, made.length)) {
        errx(1, "client %d: source %d gave something else", client->number, source);
    }
    free(made.data);
}

static void prepare(struct client *client)
{
    struct object *objects = calloc(sources, sizeof(*objects));

    client->own = objects;
    for (int i = 0; i < sources; i++) {
        write_source(client, i);
        objects[i] = compile(client, i);
    }
}

static void operate(struct client *client)
{
    compile_again(client, next(&client->random) % sources);
}

static void verify(struct client *client)
{
    for (int i = 0; i < sources; i++) {
        compile_again(client, i);
    }
}

int main(int argc, char **argv)
{
    int clients;

    if (argc != 6) {
        errx(2, "usage: compile CLIENTS SOURCES FOLDER COMPILER LOG");
    }
    clients = atoi(argv[1]);
    sources = atoi(argv[2]);
    folder = argv[3];
    compiler = argv[4];
    log_name = argv[5];
    printf("%ld operations, ", run_clients(clients));
    printf("%d sources are right\n", clients * sources);
    return 0;
}
