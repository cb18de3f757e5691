"""Compiled code that the native runner keeps: loaded when it is what was written, and never otherwise."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading_agent.runs.native import NativeRunner
from lading_agent.runs.spec import Limits, ModelSpec, RunSpec
from tests.support import wat_guests
from tests.support.hosts import native
from tests.support.script_guest import MODELS, Outcome, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = 128
ANEW = "the module is compiled anew"


@dataclass(frozen=True)
class Keeper:
    """The native runner with a folder for compiled code."""

    runner: NativeRunner
    folder: Path
    digest: str
    version: str

    def __call__(self, spec: RunSpec) -> list[str]:
        """The command of a run."""
        engines = replace(self.runner.engines, wasmtime=replace(self.runner.engines.wasmtime, version=self.version))
        return [
            *NativeRunner(engines)(spec),
            *("--code", str(self.folder), "--wasmtime-digest", self.digest),
        ]

    def compile(self, module: Path, *more: str, expect: int = 0) -> tuple[dict[str, Any], str]:
        """``lading-runner compile``: its document and what it said."""
        engines = self.runner.engines
        argv = [str(engines.runner.path), "compile", "--wasmtime", str(engines.wasmtime.path)]
        argv += ["--wasmtime-version", self.version, "--wasmtime-digest", self.digest]
        argv += ["--code", str(self.folder), "--module", str(module), *more]
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60)
        assert done.returncode == expect, done
        return (json.loads(done.stdout) if done.stdout else {}), done.stderr

    @property
    def entries(self) -> list[Path]:
        """The files of the folder."""
        return sorted(self.folder.iterdir())


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    runner = native()
    return Keeper(runner, tmp_path / "code", "sha256:" + "5a" * 32, runner.engines.wasmtime.version)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "guest.wasm"
    path.write_bytes(wat_guests.exits(7))
    return path


@pytest.fixture
def spec(module: Path) -> RunSpec:
    return RunSpec(str(module), profiles.find("lading-litert").resolved())


@pytest.fixture
def entry(keeper: Keeper, module: Path) -> Path:
    """A module's code, compiled and kept."""
    document, said = keeper.compile(module)
    assert (document["state"], said) == ("compiled", "")
    (path,) = keeper.entries
    return path


def state(ran: Outcome, status: int = 7) -> str:
    assert ran.result.status == status, ran.result
    return str(ran.result.metrics["code"])


def warnings(ran: Outcome) -> str:
    return "\n".join(e["text"] for e in ran.events if e["event"] == "log" and e["level"] == "warning")


def test_code_is_compiled_once_and_loaded_from_then_on(keeper: Keeper, spec: RunSpec) -> None:
    states = [state(run(spec, command=keeper)) for _ in range(3)]
    assert states == ["compiled", "loaded", "loaded"]
    (entry,) = keeper.entries
    assert entry.stat().st_mode & 0o777 == 0o600
    assert keeper.folder.stat().st_mode & 0o777 == 0o700


def test_without_a_folder_nothing_is_kept(spec: RunSpec) -> None:
    assert state(run(spec, command=native())) == "off"


def test_what_compile_made_a_run_finds(keeper: Keeper, module: Path, spec: RunSpec) -> None:
    digest = "sha256:" + hashlib.sha256(module.read_bytes()).hexdigest()
    first, _ = keeper.compile(module)
    again, _ = keeper.compile(module, "--module-digest", digest)
    assert (first["state"], again["state"]) == ("compiled", "present")
    assert {k: again[k] for k in ("key", "bytes")} == {k: first[k] for k in ("key", "bytes")}
    assert [p.name for p in keeper.entries] == [f"{first['key']}.cwasm"]
    assert keeper.entries[0].stat().st_size == first["bytes"] + HEADER
    assert state(run(spec, command=keeper)) == "loaded"


def test_an_entry_tells_its_key_and_digest(entry: Path) -> None:
    data = entry.read_bytes()
    magic, number, unused, size, key, digest = struct.unpack_from("<8sIIQ32s32s", data)
    assert (magic, number, unused, size) == (b"LADCODE\0", 1, 0, len(data) - HEADER)
    assert key.hex() == entry.stem
    assert digest == hashlib.sha256(data[HEADER:]).digest()
    assert not any(data[88:HEADER])


CHANGES: dict[str, Callable[[Keeper, RunSpec], tuple[Keeper, RunSpec]]] = {
    "library": lambda k, s: (replace(k, digest="sha256:" + "5b" * 32), s),
    "version": lambda k, s: (replace(k, version=k.version + ".1"), s),
    "settings": lambda k, s: (
        k,
        replace(s, personality={**s.personality, "wasm": {"features": {"relaxed-simd": False}}}),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_code_depends_on_has_it_compiled_again(keeper: Keeper, spec: RunSpec, change: str) -> None:
    assert state(run(spec, command=keeper)) == "compiled"
    other, changed = CHANGES[change](keeper, spec)
    assert [state(run(changed, command=other)) for _ in range(2)] == ["compiled", "loaded"]
    assert state(run(spec, command=keeper)) == "loaded"
    assert len(keeper.entries) == 2


def test_another_module_has_other_code(keeper: Keeper, module: Path, spec: RunSpec) -> None:
    assert state(run(spec, command=keeper)) == "compiled"
    module.write_bytes(wat_guests.exits(8))
    assert state(run(spec, command=keeper), 8) == "compiled"
    assert len(keeper.entries) == 2


def test_a_module_that_is_not_what_its_digest_names_is_refused(keeper: Keeper, module: Path) -> None:
    _, said = keeper.compile(module, "--module-digest", "sha256:" + "00" * 32, expect=1)
    assert "is not the one that its digest names" in said
    assert keeper.entries == []


def test_an_invalid_module_leaves_no_code(keeper: Keeper, module: Path, spec: RunSpec) -> None:
    module.write_bytes(b"\0asm\x01\0\0\0\xff\xff")
    result = run(spec, command=keeper).result
    assert (result.kind, result.status, result.metrics["code"]) == ("invalid-module", 126, "off")
    assert keeper.entries == []


def test_no_flipped_byte_is_loaded(keeper: Keeper, module: Path, entry: Path) -> None:
    good = entry.read_bytes()
    code = range(HEADER, len(good), max(1, (len(good) - HEADER) // 100))
    for at in (*range(HEADER), *code, len(good) - 1):
        entry.write_bytes(good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :])
        document, said = keeper.compile(module)
        assert document["state"] == "compiled", at
        assert ANEW in said, at
        assert entry.name in said
        assert entry.read_bytes() == good
    assert keeper.compile(module) == ({**document, "state": "present", "ms": pytest.approx(0, abs=1e9)}, "")


def test_a_run_with_a_flipped_byte_says_so_and_goes_on(keeper: Keeper, spec: RunSpec, entry: Path) -> None:
    good = entry.read_bytes()
    for at in (40, HEADER + 1000):
        entry.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        ran = run(spec, command=keeper)
        assert state(ran) == "compiled"
        (line,) = [e for e in ran.events if e["event"] == "log"]
        assert line["level"] == "warning"
        assert entry.name in line["text"]
        assert ANEW in line["text"]
    assert state(run(spec, command=keeper)) == "loaded"


def sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


def of_a_size(path: Path) -> None:
    """A header that promises half a gigabyte, and a file that has it."""
    data = bytearray(path.read_bytes()[:HEADER])
    data[16:24] = struct.pack("<Q", (1 << 29) - HEADER)
    path.write_bytes(data)
    os.truncate(path, 1 << 29)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def moved(path: Path) -> None:
    """Another module's code under this one's name."""
    data = bytearray(path.read_bytes())
    data[24:56] = hashlib.sha256(b"another").digest()
    path.write_bytes(data)


def made_of(kind: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.unlink()
        kind(path)

    return make


ATTACKS: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "without its end": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "with more at its end": lambda p: p.write_bytes(p.read_bytes() + b"\0"),
    "a header alone": lambda p: p.write_bytes(p.read_bytes()[:HEADER]),
    "half a header": lambda p: p.write_bytes(p.read_bytes()[: HEADER // 2]),
    "huge": sparse,
    "large, as it says": of_a_size,
    "another module's": moved,
    "code alone": lambda p: p.write_bytes(p.read_bytes()[HEADER:]),
    "a symbolic link": link,
    "a directory": made_of(lambda p: p.mkdir()),
    "a pipe": made_of(os.mkfifo),
    "writable for others": lambda p: p.chmod(0o602),
    "writable for a group": lambda p: p.chmod(0o620),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_entry_that_is_not_ours_is_replaced(keeper: Keeper, spec: RunSpec, entry: Path, attack: str) -> None:
    good = entry.read_bytes()
    ATTACKS[attack](entry)
    ran = run(spec, command=keeper)
    assert state(ran) == "compiled"
    assert f"{entry.name} is not loaded, {ANEW}" in warnings(ran)
    assert not entry.is_symlink()
    assert entry.read_bytes() == good
    assert entry.stat().st_mode & 0o777 == 0o600
    assert state(run(spec, command=keeper)) == "loaded"


def test_code_that_the_engine_itself_refuses_is_compiled_anew(keeper: Keeper, spec: RunSpec, entry: Path) -> None:
    """As after a change that no key tells: header and digest are right, the engine says no."""
    good = entry.read_bytes()
    code = bytes(1000)
    header = good[:16] + struct.pack("<Q", len(code)) + good[24:56] + hashlib.sha256(code).digest() + bytes(40)
    entry.write_bytes(header + code)
    ran = run(spec, command=keeper)
    assert state(ran) == "compiled"
    assert ANEW in warnings(ran)
    assert entry.read_bytes() == good


def test_what_cannot_be_replaced_is_said_and_the_run_goes_on(keeper: Keeper, spec: RunSpec, entry: Path) -> None:
    entry.unlink()
    (entry / "something").mkdir(parents=True)
    ran = run(spec, command=keeper)
    assert state(ran) == "off"
    assert "cannot be kept" in warnings(ran)


@pytest.mark.parametrize("folder", ["below a file", "open to others", "nowhere"])
def test_a_folder_that_cannot_be_used_is_no_error(tmp_path: Path, keeper: Keeper, spec: RunSpec, folder: str) -> None:
    path = tmp_path / "folder"
    if folder == "below a file":
        path.write_bytes(b"")
        path = path / "code"
    elif folder == "open to others":
        path.mkdir()
        path.chmod(0o777)
    else:
        path = path / "and" / "deeper"
    ran = run(spec, command=replace(keeper, folder=path))
    assert state(ran) == "off"
    assert str(path) in warnings(ran)
    assert not path.is_dir() or not list(path.iterdir())


def test_runners_at_the_same_time_do_not_disturb_each_other(keeper: Keeper, spec: RunSpec) -> None:
    with ThreadPoolExecutor(8) as pool:
        states = {state(ran) for ran in pool.map(lambda _: run(spec, command=keeper), range(16))}
    assert states <= {"compiled", "loaded"}
    assert state(run(spec, command=keeper)) == "loaded"
    assert len(keeper.entries) == 1


def test_what_a_killed_runner_left_is_taken_away(keeper: Keeper, spec: RunSpec, entry: Path) -> None:
    left = entry.with_name(f".{entry.name}")
    entry.rename(left)
    os.utime(left, (1, 1))
    assert state(run(spec, command=keeper)) == "compiled"
    assert keeper.entries == [entry]


def test_loaded_code_is_interrupted_when_its_time_is_over(keeper: Keeper, module: Path, spec: RunSpec) -> None:
    """By the runner itself: nobody watches it here."""
    module.write_bytes(wat_guests.spins())
    keeper.compile(module)
    limited = replace(spec, limits=Limits(time_s=0.2))
    told = module.with_name("report")
    with told.open("wb") as report, tempfile.TemporaryFile() as document:
        document.write(limited.encode())
        document.seek(0)
        fds = (document.fileno(), report.fileno())
        argv = [*keeper(limited), "--spec", str(fds[0]), "--report", str(fds[1])]
        subprocess.run(argv, pass_fds=fds, stdin=subprocess.DEVNULL, check=False, timeout=60)
    metric, end = map(json.loads, told.read_bytes().splitlines())
    assert (metric["code"], end["kind"], end["status"]) == ("loaded", "time-limit", 125)


def test_a_stuck_interpreter_is_ended_with_loaded_code_too(keeper: Keeper, module: Path, spec: RunSpec) -> None:
    from tests.support.killer_models import endless_loop

    module.write_bytes(wat_guests.infers("m", (1,), content=b"\0\0\x80\x3f"))
    path = module.with_name("m.tflite")
    path.write_bytes(endless_loop())
    stuck = replace(spec, models=(ModelSpec("m", str(path)),), limits=Limits(time_s=0.5))
    keeper.compile(module)
    result = run(stuck, command=keeper).result
    assert (result.kind, result.status) == ("interpreter-stuck", 125)


def test_a_guest_with_a_model_does_the_same_with_loaded_code(keeper: Keeper, module: Path, spec: RunSpec) -> None:
    module.write_bytes(wat_guests.infers("m", (1, 4), content=struct.pack("<4f", 1, 2, 3, 4)))
    named = replace(spec, models=(ModelSpec("m", str(MODELS / "x_f32.tflite")),))
    states = [state(run(named, command=keeper), 0) for _ in range(2)]
    assert states == ["compiled", "loaded"]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--code", "/nowhere"), "--wasmtime-digest is missing"),
        (("--wasmtime-digest", "sha256:12"), "64 digits"),
        (("--wasmtime-digest", "5a" * 32), "64 digits"),
    ],
)
def test_wrong_use_is_named(spec: RunSpec, flags: tuple[str, ...], word: str) -> None:
    argv = [*native()(spec), "--spec", "0", "--report", "1", *flags]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 2
    assert word in done.stderr
