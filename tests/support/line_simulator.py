"""A serial line between two pseudo terminals, as a program: paced both ways, with whatever goes wrong on real ones.

    python -m tests.support.line_simulator [--baud N] [--bit-errors P] [--lost P] [--repeated P] [--bursts P]
        [--fifo N --stall-every S --stall-for S] [--latency S] [--kernel-messages S] [--follow-speed] [--fastest N]
        [--seed N]

It prints one JSON line with the two terminals, ``computer`` and ``device``, and works until its input ends. On its
input it takes commands, a line each: ``cut`` (nothing passes any more), ``cut-after N`` (octets towards the device,
then nothing passes any more), ``cut-back-after N`` (octets from the device), ``mend``. The same seed and the same bytes
give the same faults.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import select
import sys
import termios
import time
import tty
from collections import deque

SPEEDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}
KERNEL = b"\r\n[ %5d.%06d] brcmfmac: brcmf_cfg80211_set_power_mgmt: power save enabled\r\n"


class Direction:
    """From one master to the other."""

    def __init__(self, source: int, sink: int, options: argparse.Namespace, seed: int) -> None:
        self.source = source
        self.sink = sink
        self.options = options
        self.random = random.Random(seed)
        self.budget = 0.0
        self.wire: deque[tuple[float, bytes]] = deque()
        self.fifo = bytearray()
        self.stalled_until = 0.0
        self.next_stall = self._stall_in(0.0)
        self.left: int | None = None
        self.carried = 0
        self.overrun = 0

    def _stall_in(self, now: float) -> float:
        every = self.options.stall_every
        return now + self.random.expovariate(1 / every) if every else float("inf")

    def take(self, rate: float, passed: float, now: float, *, garbled: bool) -> None:
        """What the sender wrote goes onto the wire, no faster than the line is."""
        if rate:
            self.budget = min(self.budget + rate * passed, max(64.0, rate * 0.25))
            most = int(self.budget)
        else:
            most = 4096
        if most < 1 or sum(len(data) for _, data in self.wire) > 65536:
            return
        try:
            data = os.read(self.source, most)
        except OSError:
            self.budget = 0.0  # an idle line saves nothing up
            return
        if rate:
            self.budget -= len(data)
        self.wire.append((now + self.options.latency, self.spoil(data, garbled)))

    def spoil(self, data: bytes, garbled: bool) -> bytes:
        options, chance = self.options, self.random
        if garbled:
            return bytes(chance.randrange(128, 256) for _ in data)
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        self.carried += len(data)
        if not (options.bit_errors or options.lost or options.repeated or options.bursts):
            return data
        out = bytearray()
        burst = 0
        for byte in data:
            if options.bursts and chance.random() < options.bursts:
                burst = chance.randrange(2, 40)
            if burst:
                burst -= 1
                byte = chance.randrange(256)
            if options.lost and chance.random() < options.lost:
                continue
            if options.bit_errors and chance.random() < options.bit_errors * 8:
                byte ^= 1 << chance.randrange(8)
            out.append(byte)
            if options.repeated and chance.random() < options.repeated:
                out.append(byte)
        return bytes(out)

    def give(self, now: float) -> None:
        """What the wire brought goes into the receiver's FIFO, and from there to its terminal when that is served."""
        while self.wire and self.wire[0][0] <= now:
            data = self.wire.popleft()[1]
            size = self.options.fifo
            room = len(data) if not size else max(0, size - len(self.fifo))
            self.overrun += len(data) - min(room, len(data))
            self.fifo += data[:room]
        if now >= self.next_stall:
            self.stalled_until = now + self.options.stall_for
            self.next_stall = self._stall_in(self.stalled_until)
        if self.fifo and now >= self.stalled_until:
            try:
                del self.fifo[: os.write(self.sink, bytes(self.fifo[:4096]))]
            except BlockingIOError:
                pass
            except OSError:
                self.fifo.clear()

    def inject(self, data: bytes) -> None:
        """Something else that writes to the same receiver."""
        self.wire.append((0.0, data))


def open_pair() -> tuple[int, int, str]:
    """A pseudo terminal: its master, its slave (kept open so that it lives on between users), its name."""
    master, slave = os.openpty()
    tty.setraw(slave)
    fcntl.fcntl(master, fcntl.F_SETFL, os.O_NONBLOCK)
    return master, slave, os.ttyname(slave)


def speed(slave: int) -> int:
    """The baud rate that a terminal is set to."""
    return SPEEDS.get(termios.tcgetattr(slave)[5], 0)


def main() -> int:
    """Run the line until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baud", type=int, default=0, help="0: as fast as it goes")
    parser.add_argument("--follow-speed", action="store_true", help="the terminals' own speeds count; two: garbage")
    for name in ("bit-errors", "lost", "repeated", "bursts", "stall-every", "stall-for", "latency", "kernel-messages"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--fastest", type=int, default=0, help="above this speed all is garbage")
    parser.add_argument("--fifo", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    computer, computer_slave, computer_name = open_pair()
    device, device_slave, device_name = open_pair()
    there = Direction(computer, device, options, options.seed)
    back = Direction(device, computer, options, options.seed + 1)
    sys.stdout.write(json.dumps({"computer": computer_name, "device": device_name}) + "\n")
    sys.stdout.flush()
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK)
    begin = before = time.monotonic()
    said = begin
    while True:
        paced = bool(options.baud or options.follow_speed)
        waiting = bool(there.wire or back.wire or there.fifo or back.fifo)
        if paced:
            ready = select.select([0], [], [], 0.002)[0]
        else:
            ready = select.select([0, computer, device], [], [], 0.001 if waiting else 0.05)[0]
        now = time.monotonic()
        if 0 in ready:
            words = os.read(0, 4096).decode().split()
            if not words:
                break
            command(words, there, back)
        rate, garbled = float(options.baud) / 10, False
        if options.follow_speed:
            mine, other = speed(computer_slave), speed(device_slave)
            rate, garbled = min(mine, other) / 10, mine != other or 0 < options.fastest < max(mine, other)
        if 0 in (there.left, back.left):
            there.left = back.left = 0
        for direction in (there, back):
            direction.take(rate, now - before, now, garbled=garbled)
            direction.give(now)
        if options.kernel_messages and now - said >= options.kernel_messages:
            said = now
            back.inject(KERNEL % (int(now - begin), int(now * 1e6) % 10**6))
        before = now
    over = there.overrun + back.overrun
    sys.stdout.write(json.dumps({"there": there.carried, "back": back.carried, "overrun": over}) + "\n")
    return 0


def command(words: list[str], there: Direction, back: Direction) -> None:
    """Obey what came on standard input."""
    while words:
        word = words.pop(0)
        if word == "cut":
            there.left = back.left = 0
        elif word == "cut-after":
            there.left = int(words.pop(0))
        elif word == "cut-back-after":
            back.left = int(words.pop(0))
        elif word == "mend":
            there.left = back.left = None
        else:
            sys.exit(f"no such command: {word}")


if __name__ == "__main__":
    sys.exit(main())
