"""A push over a paced 115200 baud line against ZMODEM (``sz``/``rz``) over the same line, in the same run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.console import ConsoleDevice

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BAUD = 115200
LINE_RATE = BAUD / 10
OCTETS = 300_000


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        home = place / "home"
        _bootstrap(home)
        random_app = _project(place / "random", ROOT / "examples" / "include", os.urandom(OCTETS))
        digits = ROOT / "examples" / "digits"
        parts = [digits / "digits.wasm", *sorted(digits.glob("**/*int8*.tflite"))[:1]]
        (place / "digits.bin").write_bytes(b"".join(part.read_bytes() for part in parts))
        (place / "random.bin").write_bytes((random_app / "data" / "random.bin").read_bytes())
        small = _project(place / "small", digits, None)
        return {
            "line_bytes_per_s": LINE_RATE,
            "incompressible": _both(home, random_app, place / "random.bin"),
            "model_and_module": _both(home, small, place / "digits.bin"),
        }


def _bootstrap(home: Path) -> None:
    with _device(home) as device:
        _lading("status", device.address)


def _project(place: Path, example: Path, data: bytes | None) -> Path:
    """An app that is little more than what is measured: digits' module, with its model or with random data."""
    del example
    digits = ROOT / "examples" / "digits"
    place.mkdir()
    shutil.copy(digits / "digits.wasm", place / "guest.wasm")
    text = 'schema = 1\n[app]\nname = "cargo"\nversion = "1.0.0"\nmodule = "guest.wasm"\n'
    if data is None:
        model = sorted(digits.glob("**/*int8*.tflite"))[0]
        shutil.copy(model, place / "model.tflite")
        text = text.replace("cargo", "digits")
        text += '[[model]]\nname = "digits"\nversion = "1.0.0"\npath = "model.tflite"\nencoding = "tensorflowlite"\n'
        text += 'int8 = "as-u8"\n'
    else:
        (place / "guest.wasm").write_bytes(b"\0asm\1\0\0\0")  # no module to speak of: the data counts
        (place / "data").mkdir()
        (place / "data" / "random.bin").write_bytes(data)
        text += '[[dir]]\nhost = "data"\nguest = "/data"\n'
    (place / "lading.toml").write_text(text)
    return place


@contextmanager
def _device(home: Path, *line: str) -> Iterator[ConsoleDevice]:
    device = ConsoleDevice(home, *line, PATH=os.pathsep.join([str(Path(sys.base_prefix) / "bin"), "/usr/bin", "/bin"]))
    try:
        yield device
    finally:
        device.close()


def _lading(*words: str) -> None:
    subprocess.run([str(Path(sys.executable).with_name("lading")), *words], check=True, stdout=subprocess.DEVNULL)


def _both(home: Path, project: Path, file: Path) -> dict[str, Any]:
    ours = _push(home, project)
    size = ours.pop("sent_bytes")
    zmodem = _zmodem(home, file)
    moved = file.stat().st_size
    return {
        "bytes": size,
        "push_s": ours["whole_s"],
        "transfer_s": ours["transfer_s"],
        "transfer_share_of_line": round(size / ours["transfer_s"] / LINE_RATE, 4),
        "push_share_of_line": round(size / ours["whole_s"] / LINE_RATE, 4),
        "zmodem_bytes": moved,
        "zmodem_s": zmodem,
        "zmodem_share_of_line": round(moved / zmodem / LINE_RATE, 4),
        "transfer_times_faster": round((size / ours["transfer_s"]) / (moved / zmodem), 3),
        "push_times_faster": round((size / ours["whole_s"]) / (moved / zmodem), 3),
    }


def _push(home: Path, project: Path) -> dict[str, Any]:
    from lading.bundle import open_bundle, pack
    from lading.client import connect
    from lading.devices import resolve
    from lading.project import load_project

    bundle = pack(load_project(project)).path
    with _device(home, "--baud", str(BAUD)) as device:
        begin = time.monotonic()
        with open_bundle(bundle) as opened, connect(resolve(device.address)) as session:
            result = session.push(opened)
            whole = time.monotonic() - begin
        closed = time.monotonic() - begin
    return {
        "sent_bytes": result.sent_bytes,
        "transfer_s": round(result.timings["transfer_ms"] / 1e3, 3),
        "whole_s": round(whole, 3),
        "with_console_given_back_s": round(closed, 3),
    }


def _zmodem(home: Path, file: Path) -> float:
    """``rz`` started in the shell at the other end, ``sz`` at ours; from its start to its end."""
    with _device(home, "--baud", str(BAUD)) as device:
        fd = os.open(device.line.computer, os.O_RDWR | os.O_NOCTTY)
        try:
            (home / file.name).unlink(missing_ok=True)
            os.write(fd, b"stty -echo; cd; rz -b -q -y\n")
            _until(fd, b"**\x18B0")
            begin = time.monotonic()
            subprocess.run(["sz", "-b", "-q", str(file)], stdin=fd, stdout=fd, check=True, stderr=subprocess.DEVNULL)
            return round(time.monotonic() - begin, 3)
        finally:
            os.close(fd)


def _until(fd: int, mark: bytes) -> None:
    heard = b""
    until = time.monotonic() + 20
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
    while mark not in heard:
        if time.monotonic() > until:
            raise TimeoutError(f"rz does not begin: {heard!r}")
        try:
            heard += os.read(fd, 4096)
        except BlockingIOError:
            time.sleep(0.01)
    fcntl.fcntl(fd, fcntl.F_SETFL, 0)
