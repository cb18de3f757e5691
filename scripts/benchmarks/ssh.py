"""Whole pushes over SSH against ``scp`` to the same sshd, in turns; also far away, and of many small blobs.

A push is hashed and durable when it returns. So is what the script brings: ``scp``, then ``sha256sum`` and ``sync``
over ``ssh``. Bare ``scp`` promises neither.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.bootstrap import agent_link
from lading.bundle import open_bundle, pack
from lading.client import Session
from lading.devices.address import Ssh, parse
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from lading.project.load import load_project
from scripts.benchmarks.timing import seconds
from tests.support.delaying_proxy import delayed
from tests.support.sshd import Sshd, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OCTETS = 200_000_000
MANY = 500
SMALL = 4_000
PIECE = 1 << 20
ROUNDS = 5
FAR_S = 0.020
SCHEMES = ("ssh", "ssh+openssh")
DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@dataclass(frozen=True)
class Board:
    """An sshd with a device that is set up behind it, and a way there."""

    server: Sshd
    port: int

    @property
    def place(self) -> str:
        """``user@host``."""
        return f"{self.server.user}@127.0.0.1"

    @contextlib.contextmanager
    def session(self, scheme: str) -> Iterator[Session]:
        """A session with the device's agent, over a connection of its own."""
        address = parse(f"{scheme}://{self.place}:{self.port}")
        assert isinstance(address, Ssh)
        options = Options(Places(self.server.client, self.server.config))
        with open_host(address, options=options) as host, Session(agent_link(host)) as opened:
            yield opened

    def push(self, scheme: str, bundle: Path) -> Callable[[], object]:
        """Connect, push, and hear that the release is current."""

        def run() -> None:
            with self.session(scheme) as agent, open_bundle(bundle) as cargo:
                assert not agent.push(cargo).already_current

        return run

    def scp(self, cargo: Path) -> Callable[[], object]:
        """Bare ``scp``."""
        options = [*self.server.ssh_options(), "-P", str(self.port)]
        return _command(["scp", *options, str(cargo), f"{self.place}:cargo"])

    def script(self, cargo: Path) -> Callable[[], object]:
        """What brings as much as a push does: the digest is compared, and the content is on the disk."""
        ssh = ["ssh", *self.server.ssh_options(), "-p", str(self.port), self.place]
        steps = (self.scp(cargo), _command([*ssh, "sha256sum cargo"]), _command([*ssh, "sync cargo"]))
        return lambda: [step() for step in steps]

    def clear(self) -> None:
        """Take away what the last turn brought, and let the disk come to rest."""
        (self.server.home / "cargo").unlink(missing_ok=True)
        with Board(self.server, self.server.port).session("ssh") as agent:
            for app in agent.status()["apps"]:
                agent.remove(app)
        os.sync()


def measure(octets: int = OCTETS, rounds: int = ROUNDS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "sshd") as server:
        place = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(place / "cache")
        cargo = place / "cargo"
        _random(cargo, octets)
        large = _bundle(place / "large", {"cargo": octets})
        near = _figures(Board(server, server.port), large, cargo, octets, rounds)
        small = _small(Board(server, server.port), place, rounds)
        with delayed(server.port, FAR_S) as port:
            server.known_hosts.write_text(server.known_hosts.read_text() + _line(server, port))
            far = _figures(Board(server, port), large, cargo, octets, rounds)
    return {"octets": octets, "near": near, "added_round_trip_20_ms": far, "small_blobs": small}


def _random(path: Path, octets: int) -> None:
    with path.open("wb") as file:
        while (left := octets - file.tell()) > 0:
            file.write(os.urandom(min(PIECE, left)))


def _bundle(project: Path, files: Mapping[str, int]) -> Path:
    """The digits example with files of random content."""
    shutil.copytree(DIGITS, project, ignore=shutil.ignore_patterns("dist", "*.c", "*.py"))
    with (project / "lading.toml").open("a") as toml:
        toml.write('\n[[dir]]\nhost = "freight"\nguest = "/freight"\n')
    (project / "freight").mkdir()
    for name, octets in files.items():
        _random(project / "freight" / name, octets)
    bundle = project.with_suffix(".lading")
    pack(load_project(project), bundle)
    return bundle


def _figures(board: Board, bundle: Path, cargo: Path, octets: int, rounds: int) -> dict[str, Any]:
    calls = {scheme: board.push(scheme, bundle) for scheme in SCHEMES}
    took = _in_turns(board, {**calls, "scp": board.scp(cargo), "script": board.script(cargo)}, rounds)
    found: dict[str, Any] = {
        name: {"s": round(took[name], 2), "mb_per_s": round(octets / took[name] / 1e6, 1)} for name in took
    }
    for scheme in SCHEMES:
        found[scheme]["of_scp"] = round(took["scp"] / took[scheme], 2)
        found[scheme]["of_script"] = round(took["script"] / took[scheme], 2)
    return found


def _small(board: Board, place: Path, rounds: int) -> dict[str, Any]:
    many = _bundle(place / "many", {f"{number:03}": SMALL for number in range(MANY)})
    one = _bundle(place / "one", {"whole": MANY * SMALL})
    took = _in_turns(board, {"many": board.push("ssh", many), "one": board.push("ssh", one)}, rounds)
    return {
        "blobs": MANY,
        "octets_each": SMALL,
        "many_s": round(took["many"], 3),
        "one_s": round(took["one"], 3),
        "ratio": round(took["many"] / took["one"], 2),
    }


def _in_turns(board: Board, calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of calls that take turns, each on a device that has nothing of it."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            board.clear()
            spent = seconds(call)
            if turn:  # the first is the warm-up
                took[name].append(spent)
    return {name: statistics.median(times) for name, times in took.items()}


def _line(server: Sshd, port: int) -> str:
    return server.known_hosts_line().replace(f":{server.port}", f":{port}")


def _command(words: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True)


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(measure(*map(int, sys.argv[1:])), indent=2) + "\n")
