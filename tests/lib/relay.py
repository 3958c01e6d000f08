# SPDX-License-Identifier: GPL-2.0-or-later
"""
A network link between two unix sockets: limited bandwidth and a round-trip time.

Every connection that is accepted on one socket is passed on to the other one.  All
connections share one link, which carries both directions independently (full duplex).

As a program it is ruled by lines on its standard input, each answered by one line:

    limit BYTES_PER_SECOND   0: no limit
    rtt SECONDS
    cut                      close all connections and accept no more (network loss)
    resume                   accept connections again
    hold                     carry nothing, connections stay open (a silent network)
    carry                    go on after hold
    stat                     bytes there, bytes back, connections accepted

It ends when its standard input does.  Relay is the same for a program that wants one as
a child: a process of its own, so that the two never wait for each other.
"""

import argparse
import collections
import os
import select
import socket
import subprocess
import sys
import time

CHUNK = 256 * 1024          # most that is read at once
QUANTUM = 0.001             # seconds of a limited link that one read may take
BURST = 0.002               # late wake-ups are made up for, up to this many seconds
BACKLOG = 1024 * 1024       # unsent bytes at which a pipe is no longer read
MIN_READ = 4096


class Link:
    """One direction of the link: when do bytes that enter it now come out?"""

    def __init__(self):
        self.bandwidth = 0
        self.delay = 0.0
        self.free_at = 0.0
        self.carried = 0

    def quantum(self):
        if not self.bandwidth:
            return CHUNK
        return max(MIN_READ, min(CHUNK, int(self.bandwidth * QUANTUM)))

    def is_free(self, now):
        return not self.bandwidth or self.free_at <= now

    def enter(self, size, now):
        self.carried += size
        if not self.bandwidth:
            return now + self.delay
        self.free_at = max(self.free_at, now - BURST) + size / self.bandwidth
        return max(self.free_at, now) + self.delay


class Pipe:
    """One direction of one connection."""

    def __init__(self, link, source, sink):
        self.link = link
        self.source = source
        self.sink = sink
        self.queue = collections.deque()    # (when due, bytes), oldest first
        self.queued = 0
        self.eof = False
        self.shut = False
        self.blocked = False
        self.turn = 0           # number of its last read

    def wants_read(self):
        limit = BACKLOG
        if self.link.delay:
            limit += 64 * BACKLOG
        return not self.eof and self.queued < limit

    def read(self, now):
        """Returns False if the connection broke."""
        try:
            data = self.source.recv(self.link.quantum())
        except BlockingIOError:
            return True
        except OSError:
            return False
        if data:
            self.queue.append((self.link.enter(len(data), now), memoryview(data)))
            self.queued += len(data)
        else:
            self.eof = True
        return True

    def write(self, now):
        """Sends all that is due.  Returns False if the connection broke."""
        self.blocked = False
        while self.queue and self.queue[0][0] <= now:
            due, data = self.queue[0]
            try:
                sent = self.sink.send(data)
            except BlockingIOError:
                self.blocked = True
                return True
            except OSError:
                return False
            self.queued -= sent
            if sent < len(data):
                self.queue[0] = (due, data[sent:])
            else:
                self.queue.popleft()
        return self.finish()

    def finish(self):
        if self.eof and not self.queue and not self.shut:
            self.shut = True
            try:
                self.sink.shutdown(socket.SHUT_WR)
            except OSError:
                return False
        return True

    def next_due(self):
        if self.queue and not self.blocked:
            return self.queue[0][0]
        return None


class Server:
    def __init__(self, listen, connect):
        self.listen_path = listen
        self.connect_path = connect
        self.there = Link()
        self.back = Link()
        self.pipes = []             # two neighbours are the two ways of a connection
        self.listener = None
        self.accepted = 0
        self.held = False
        self.commands = b""
        self.ended = False
        self.turn = 0
        self.start_listening()

    def start_listening(self):
        if self.listener:
            return
        if os.path.exists(self.listen_path):
            os.unlink(self.listen_path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.listen_path)
        self.listener.listen(16)

    def stop_listening(self):
        if self.listener:
            self.listener.close()
            self.listener = None
            os.unlink(self.listen_path)

    def accept(self):
        near, _ = self.listener.accept()
        far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            far.connect(self.connect_path)
        except OSError:
            near.close()
            far.close()
            return
        self.accepted += 1
        for sock in (near, far):
            sock.setblocking(False)
        self.pipes.append(Pipe(self.there, near, far))
        self.pipes.append(Pipe(self.back, far, near))

    def drop(self, pipe):
        index = self.pipes.index(pipe) & ~1
        for sock in (pipe.source, pipe.sink):
            sock.close()
        del self.pipes[index:index + 2]

    def cut(self):
        self.stop_listening()
        while self.pipes:
            self.drop(self.pipes[0])

    def command(self, line):
        words = line.split()
        answer = "ok"
        match words:
            case ["limit", rate]:
                for link in (self.there, self.back):
                    link.bandwidth = int(rate)
                    link.free_at = 0.0
            case ["rtt", seconds]:
                for link in (self.there, self.back):
                    link.delay = float(seconds) / 2
            case ["cut"]:
                self.cut()
            case ["resume"]:
                self.start_listening()
            case ["hold"]:
                self.held = True
            case ["carry"]:
                self.held = False
            case ["stat"]:
                answer = f"{self.there.carried} {self.back.carried} {self.accepted}"
            case _:
                answer = f"error: {line!r} is no command"
        print(answer, flush=True)

    def read_commands(self):
        data = os.read(0, 4096)
        if not data:
            self.ended = True
            return
        *lines, self.commands = (self.commands + data).split(b"\n")
        for line in lines:
            self.command(line.decode())

    def timeout(self, now):
        """Seconds until something is due or a link with waiting readers is free."""
        times = [due for pipe in self.pipes if (due := pipe.next_due()) is not None]
        times += [pipe.link.free_at for pipe in self.pipes
                  if pipe.wants_read() and not pipe.link.is_free(now)]
        if self.held or not times:
            return None
        return max(0.0, min(times) - now)

    def step(self):
        now = time.monotonic()
        readers = [0]
        writers = {}
        if self.listener:
            readers.append(self.listener)
        sources = {}
        if not self.held:
            sources = {pipe.source: pipe for pipe in self.pipes
                       if pipe.wants_read() and pipe.link.is_free(now)}
            writers = {pipe.sink: pipe for pipe in self.pipes if pipe.blocked}
        readable, writable, _ = select.select([*readers, *sources], [*writers], [],
                                              self.timeout(now))
        if 0 in readable:
            self.read_commands()
        if self.listener in readable:
            self.accept()
        if not self.held:
            self.carry({sources[s] for s in readable if s in sources},
                       {writers[s] for s in writable})

    def carry(self, readable, writable):
        now = time.monotonic()
        # Who was read last is the last one, so that none of them gets all of the link.
        for pipe in sorted(self.pipes, key=lambda pipe: pipe.turn):
            if pipe not in self.pipes:
                continue                # went with its other direction
            alive = True
            if pipe in readable and pipe.link.is_free(now):
                self.turn += 1
                pipe.turn = self.turn
                alive = pipe.read(now)
            due = pipe.next_due()
            if alive and (pipe in writable or pipe.eof or
                          (due is not None and due <= now)):
                alive = pipe.write(now)
            if not alive:
                self.drop(pipe)
        for pipe in self.pipes[::2]:
            if pipe in self.pipes and pipe.shut and self.other_way(pipe).shut:
                self.drop(pipe)

    def other_way(self, pipe):
        return self.pipes[self.pipes.index(pipe) ^ 1]

    def run(self):
        while not self.ended:
            self.step()
        self.cut()


class Relay:
    """The relay as a child process."""

    def __init__(self, listen, connect, bandwidth=0, rtt=0.0):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--listen", listen, "--connect", connect,
             "--bandwidth", str(bandwidth), "--rtt", str(rtt)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline().strip()
        if not line or line.startswith("error"):
            raise RuntimeError("relay: " + (line or "ended"))
        return line

    def tell(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return self.answer()

    def limit(self, bandwidth):
        self.tell("limit", int(bandwidth))

    def rtt(self, seconds):
        self.tell("rtt", seconds)

    def cut(self):
        self.tell("cut")

    def resume(self):
        self.tell("resume")

    def hold(self):
        self.tell("hold")

    def carry(self):
        self.tell("carry")

    def stat(self):
        return tuple(int(n) for n in self.tell("stat").split())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def main():
    parser = argparse.ArgumentParser(description="a slow link between two unix sockets")
    parser.add_argument("--listen", required=True, metavar="SOCKET")
    parser.add_argument("--connect", required=True, metavar="SOCKET")
    parser.add_argument("--bandwidth", type=int, default=0, metavar="BYTES/S")
    parser.add_argument("--rtt", type=float, default=0.0, metavar="SECONDS")
    args = parser.parse_args()
    server = Server(args.listen, args.connect)
    for link in (server.there, server.back):
        link.bandwidth = args.bandwidth
        link.delay = args.rtt / 2
    print("ready", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        server.cut()


if __name__ == "__main__":
    main()
