"""200 MB of random bytes over one channel of an SSH link against ``scp`` to the same sshd, in turns; also far away."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.devices.address import Ssh, parse
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from scripts.benchmarks.timing import paired
from tests.support.delaying_proxy import delayed
from tests.support.sshd import Sshd, serving

if TYPE_CHECKING:
    from collections.abc import Callable

OCTETS = 200_000_000
PIECE = 1 << 20
ROUNDS = 3
FAR_S = 0.020


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "sshd") as server:
        cargo = Path(folder) / "cargo"
        cargo.write_bytes(os.urandom(OCTETS))
        near = _against_scp(server, cargo, server.port)
        with delayed(server.port, FAR_S) as port:
            server.known_hosts.write_text(server.known_hosts.read_text() + _line(server, port))
            far = _against_scp(server, cargo, port)
    return {"octets": OCTETS, "near": near, "added_round_trip_20_ms": far}


def _line(server: Sshd, port: int) -> str:
    return server.known_hosts_line().replace(f":{server.port}", f":{port}")


def _against_scp(server: Sshd, cargo: Path, port: int) -> dict[str, Any]:
    place = f"{server.user}@127.0.0.1"
    scp = _run(["scp", *server.ssh_options(), "-P", str(port), str(cargo), f"{place}:cargo"])
    found = {}
    for scheme in ("ssh", "ssh+openssh"):
        address = parse(f"{scheme}://{place}:{port}")
        assert isinstance(address, Ssh)
        ours, theirs = paired(_stream(server, address, cargo), scp, ROUNDS)
        found[scheme] = {
            "mb_per_s": round(OCTETS / ours / 1e6, 1),
            "scp_mb_per_s": round(OCTETS / theirs / 1e6, 1),
            "of_scp": round(theirs / ours, 2),
        }
    return found


def _run(command: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def _stream(server: Sshd, address: Ssh, cargo: Path) -> Callable[[], object]:
    """Connect, send the whole file into one on the other side, and hear that it is there."""

    def stream() -> None:
        with (
            open_host(address, options=Options(Places(server.client, server.config))) as host,
            cargo.open("rb") as file,
        ):
            link = host.start("cat >cargo && echo there")
            while piece := file.read(PIECE):
                link.write(piece)
            link.end_input()
            assert link.read(100) == b"there\n"
            link.close()

    return stream


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
