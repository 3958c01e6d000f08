# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bench's guest does: a server of Debian's, and its clients in the same guest."""

import base64
import gzip

MICROSECONDS = 1_000_000


class Failed(Exception):
    """Data is lost or changed, or a program or the kernel complained."""


class Postgres:
    """PostgreSQL, and its pgbench with one of its scripts"""

    server = "postgres"
    package = "postgresql"
    memory = 1024               # MiB of the guest

    def __init__(self, name, script, title):
        self.name = name
        self.script = script
        self.title = title

    @staticmethod
    def make(linux, args):
        """The server as all runs begin with it"""
        linux.run(f". /bench/postgres; make_server {args.scale}")

    def begin(self, linux, args):
        linux.run(f"begin_clients {args.clients} {self.script}")

    def end(self, linux):
        """All transactions, as pairs (begin, end) of seconds of the guest's clock"""
        status, said = linux.ask("end_clients")
        if status or not any("failed transactions: 0 " in line for line in said):
            raise Failed(f"pgbench: status {status}: {said}")
        text = gzip.decompress(base64.b64decode("".join(linux.run("send_log"))))
        found = []
        for line in text.splitlines():
            took, seconds, micro = map(int, line.split())
            end = seconds * MICROSECONDS + micro
            found.append(((end - took) / MICROSECONDS, end / MICROSECONDS))
        return found

    def check(self, linux, args, count):
        """That `count` transactions, and nothing else, are in the tables"""
        found = {}
        for line in linux.run("check_tables"):
            name, *numbers = line.split()
            if name not in ("accounts", "sums", "history"):
                raise Failed(f"PostgreSQL: {line}")
            found[name] = [int(number or 0) for number in numbers]
        accounts = args.scale * 100_000
        if found["accounts"] != [accounts, accounts * (accounts + 1) // 2]:
            raise Failed(f"not {accounts} accounts, each once: {found['accounts']}")
        if len(set(found["sums"])) != 1:
            raise Failed(f"the sums of balances differ: {found['sums']}")
        wanted = count if self.script == "tpcb-like" else 0
        if found["history"] != [wanted]:
            raise Failed(f"{found['history'][0]} entries for {wanted} transactions")


LOADS = {load.name: load for load in (
    Postgres("select", "select-only", "PostgreSQL, pgbench select-only"),
    Postgres("tpcb", "tpcb-like", "PostgreSQL, pgbench TPC-B"))}
