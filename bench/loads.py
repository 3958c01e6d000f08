# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bench's guest does: a server of Debian's, and its clients in the same guest."""

import base64
import gzip
import re

MICROSECONDS = 1_000_000


class Failed(Exception):
    """Data is lost or changed, or a program or the kernel complained."""


class Load:
    """
    `server` is the name of the script that makes it, `package` has it, `programs` are those of
    our own that its clients need; `memory` is the guest's, in MiB.
    """

    server = package = ""
    programs = ()
    memory = 1024

    def make(self, linux, args):
        """The server as all runs begin with it"""
        linux.run(f". /bench/{self.server}; make_server {args.clients} {self.size(args)}")

    def size(self, args):
        """Of its data"""
        raise NotImplementedError

    def begin(self, linux, args):
        linux.run(f"begin_clients {args.clients}")

    def end(self, linux):
        """
        (what the clients say in the end, all operations as pairs (begin, end) of seconds of
        the guest's clock)
        """
        status, said = linux.ask("end_clients")
        if status:
            raise Failed(f"clients: status {status}: {said}")
        text = gzip.decompress(base64.b64decode("".join(linux.run("send_log"))))
        found = []
        for line in text.splitlines():
            took, seconds, micro = map(int, line.split())
            end = seconds * MICROSECONDS + micro
            found.append(((end - took) / MICROSECONDS, end / MICROSECONDS))
        return said, found

    def check(self, linux, args, said, count):
        """All data, after `count` operations; raises Failed"""
        raise NotImplementedError


def number(pattern, lines):
    """In the first line that fits"""
    for line in lines:
        if match := re.search(pattern, line):
            return int(match[1])
    raise Failed(f"no {pattern!r} in {lines}")


class Postgres(Load):
    """PostgreSQL, and its pgbench with one of its scripts"""

    server = "postgres"
    package = "postgresql"

    def __init__(self, name, script, title):
        self.name = name
        self.script = script
        self.title = title

    def size(self, args):
        return args.scale

    def begin(self, linux, args):
        linux.run(f"begin_clients {args.clients} {self.script}")

    def check(self, linux, args, said, count):
        """That these transactions, and nothing else, are in the tables"""
        if number(r"failed transactions: (\d+)", said):
            raise Failed(f"pgbench: {said}")
        found = {"accounts": [], "sums": [], "history": []}
        for line in linux.run("check_tables"):
            name, *numbers = line.split()
            if name not in found:
                raise Failed(f"PostgreSQL: {line}")
            found[name] = [int(text or 0) for text in numbers]
        accounts = args.scale * 100_000
        if found["accounts"] != [accounts, accounts * (accounts + 1) // 2]:
            raise Failed(f"not {accounts} accounts, each once: {found['accounts']}")
        if len(found["sums"]) != 4 or len(set(found["sums"])) != 1:
            raise Failed(f"the sums of balances differ: {found['sums']}")
        wanted = count if self.script == "tpcb-like" else 0
        if found["history"] != [wanted]:
            raise Failed(f"{found['history']} entries for {wanted} transactions")


class Checking(Load):
    """Clients of our own that verify all that they read, and all there is in the end"""

    def __init__(self, name, server, package, program, unit, title):
        self.name = name
        self.server = server
        self.package = package
        self.programs = (program,)
        self.unit = unit                # of its data
        self.title = title

    def size(self, args):
        return getattr(args, self.unit)

    def check(self, linux, args, said, count):
        units = self.size(args) // args.clients * args.clients
        if number(rf"(\d+) {self.unit} are right", said) != units:
            raise Failed(f"not {units} {self.unit}: {said}")
        if number(r"(\d+) operations", said) != count:
            raise Failed(f"not {count} operations: {said}")
        if complaints := linux.run("check_server"):
            raise Failed(f"{self.title}: {complaints}")


LOADS = {load.name: load for load in (
    Postgres("select", "select-only", "PostgreSQL, pgbench select-only"),
    Postgres("tpcb", "tpcb-like", "PostgreSQL, pgbench TPC-B"),
    Checking("memcached", "memcached", "memcached", "kv", "keys",
             "memcached, nine reads to a write"),
    Checking("redis", "redis", "redis-server", "kv", "keys", "Redis, nine reads to a write"),
    Checking("compile", "tcc", "tcc", "compile", "sources", "compile jobs"),
    Checking("mixed", "mixed", "", "requests", "pages",
             "requests that compute, use memory, files and pipes"),
    Checking("copies", "copies", "", "requests", "pages",
             "requests that read, write and send files"))}
