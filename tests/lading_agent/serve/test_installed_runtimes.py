"""Runtimes of the device's own: found, judged, run on, and refused where the check does not pass an app.

No ``wasmedge`` and no ``iwasm`` can be had here: a stand-in takes their command lines (see
``tests/support/runtime_stand_in.py``) and behaves as their firmware profiles say. ``wasmtime`` is the real one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.bootstrap.cargo import known_runtimes
from lading.bundle import open_bundle, pack
from lading.check import installed
from lading.client import Session
from lading.client.events import Output
from lading.devices import resolve
from lading.errors import CheckRefused
from lading.probe.models import model
from lading.project import load_project
from lading_agent.runs.choose import Chooser
from tests.support import runtime_stand_in
from tests.support.apps import write_app
from tests.support.local_agent import LocalLink, served
from tests.support.programs import wasmtime_program
from tests.support.wat_guests import (
    allocates,
    exits,
    infers,
    says,
    says_and_spins,
    tells_its_arguments,
    traps,
    writes_a_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.client import RunResult
    from lading_agent.serve.device import Served

MEMORY = 4 * 1024 * 1024 * 1024


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs besides the system's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return folder


@pytest.fixture
def device(tmp_path: Path) -> Served:
    """A device that may have runtimes, with lading's own hosts."""
    plain = served(tmp_path / "home", target={"run_memory_bytes": MEMORY})
    profile = profiles.find("profile:lading-litert").resolved()
    return replace(plain, profile=profile, runner=Chooser(), runtimes=known_runtimes())


@pytest.fixture
def session(device: Served, bin_: Path) -> Iterator[Callable[[], Session]]:
    """Opens sessions with it, after programs have been put there."""
    assert bin_.is_dir()
    opened: list[Session] = []

    def open_() -> Session:
        opened.append(Session(LocalLink(device)))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def verdict(runtime: str, version: str, *, passes: bool = True, unknown: bool = False) -> dict[str, object]:
    """What a client says of an app on a runtime."""
    said = f"{'ok' if passes else 'fails'} on {runtime}"
    return {
        "runtime": runtime,
        "version": version,
        "passes": passes,
        "unknown": unknown,
        "said": said,
        "remedy": "change it",
    }


def push(
    session: Session, tmp_path: Path, module: bytes, judged: list[dict[str, object]], app: str = "", more: str = ""
) -> None:
    project = write_app(tmp_path / "app", module, app=app or 'runtime = "wasmedge"', more=more)
    with open_bundle(pack(load_project(project), tmp_path / "app.lading").path) as bundle:
        session.push(bundle, judged=judged)


def run(session: Session, **more: object) -> tuple[RunResult, bytes]:
    out = bytearray()

    def take(event: object) -> None:
        if isinstance(event, Output) and event.stream == 1:
            out.extend(event.data)

    result = session.run("app", on_event=take, **more)  # type: ignore[arg-type]
    return result, bytes(out)


def test_a_runtime_is_a_feature_only_where_its_program_is(session: Callable[[], Session], bin_: Path) -> None:
    assert not [f for f in session().hello.features if f.startswith("runtime-") and f != "runtime-lading"]
    runtime_stand_in.install(bin_, "wasmedge", "0.14.1", "wasmedge-0.14")
    found = session()
    assert "runtime-wasmedge" in found.hello.features
    assert "runtime-iwasm" not in found.hello.features
    [told] = found.runtimes()
    assert (told["name"], told["version"], told["profiles"]) == ("wasmedge", "0.14.1", ["wasmedge-0.14"])
    assert told["path"] == str(bin_ / "wasmedge")


def test_a_program_where_its_installer_puts_it_is_found(
    session: Callable[[], Session], bin_: Path, tmp_path: Path
) -> None:
    assert bin_
    runtime_stand_in.install(tmp_path / "user" / ".wasmedge" / "bin", "wasmedge", "0.17.1", "wasmedge-0.17")
    assert session().runtimes()[0]["profiles"] == ["wasmedge-0.17"]


def test_another_version_of_the_program_is_noticed(session: Callable[[], Session], bin_: Path) -> None:
    runtime_stand_in.install(bin_, "wasmedge", "0.14.1", "wasmedge-0.14")
    found = session()
    assert found.runtimes()[0]["version"] == "0.14.1"
    runtime_stand_in.install(bin_, "wasmedge", "0.17.1", "wasmedge-0.17")
    assert found.runtimes()[0]["version"] == "0.17.1"


def test_an_app_runs_on_the_devices_own_runtime_with_its_output_and_status(
    session: Callable[[], Session], bin_: Path, tmp_path: Path
) -> None:
    runtime_stand_in.install(bin_, "wasmedge", "0.14.1", "wasmedge-0.14")
    found = session()
    push(found, tmp_path, says("from wasmedge\n", 7), [verdict("wasmedge", "0.14.1")])
    result, out = run(found)
    assert (result.outcome, result.status, out) == ("exit", 7, b"from wasmedge\n")
    assert str(result.metrics["runtime"]).startswith("wasmedge 0.14.1")
    assert result.metrics["peak_memory_bytes"] > 0


@pytest.mark.parametrize(
    ("kind", "version", "profile", "status"),
    [
        ("wasmedge", "0.17.1", "wasmedge-0.17", 134),
        ("iwasm", "2.4.5", "wamr-2.4", 1),
    ],
)
def test_a_trap_ends_with_the_status_of_that_runtime(
    session: Callable[[], Session], bin_: Path, tmp_path: Path, kind: str, version: str, profile: str, status: int
) -> None:
    runtime_stand_in.install(bin_, kind, version, profile)
    found = session()
    push(found, tmp_path, traps(), [verdict(kind, version)], app=f'runtime = "{kind}"')
    result, out = run(found)
    assert result.status == status
    assert b"[host] trap" in out, "its log passes through, on standard output as the real one's"
    assert "trap" in result.message


def test_an_app_for_a_runtime_that_is_not_there_is_refused_before_anything_is_sent(
    session: Callable[[], Session], bin_: Path, tmp_path: Path
) -> None:
    assert bin_
    found = session()
    with pytest.raises(CheckRefused, match="no runtime 'wasmedge'"):
        push(found, tmp_path, exits(0), [verdict("wasmedge", "0.14.1")])
    assert found.status()["apps"] == {}


@pytest.mark.parametrize(
    "judged",
    [
        [],
        [verdict("iwasm", "2.4.5")],
        [verdict("wasmedge", "0.13.0")],
        [verdict("wasmedge", "0.14.1", passes=False)],
        [verdict("wasmedge", "0.14.1", passes=False, unknown=True)],
    ],
)
def test_what_the_check_does_not_pass_on_this_very_version_is_not_taken(
    session: Callable[[], Session], bin_: Path, tmp_path: Path, judged: list[dict[str, object]]
) -> None:
    runtime_stand_in.install(bin_, "wasmedge", "0.14.1", "wasmedge-0.14")
    found = session()
    with pytest.raises(CheckRefused):
        push(found, tmp_path, exits(0), judged)
    assert found.status()["apps"] == {}


def test_a_run_on_another_runtime_goes_by_the_verdict_that_came_with_the_release(
    session: Callable[[], Session], bin_: Path, tmp_path: Path
) -> None:
    runtime_stand_in.install(bin_, "wasmedge", "0.14.1", "wasmedge-0.14")
    runtime_stand_in.install(bin_, "iwasm", "2.4.5", "wamr-2.4")
    found = session()
    judged = [verdict("wasmedge", "0.14.1"), verdict("iwasm", "2.4.5", passes=False)]
    push(found, tmp_path, says("hello\n"), judged, app='runtime = "lading"')
    assert run(found)[1] == b"hello\n"
    result, out = run(found, runtime="wasmedge")
    assert (result.status, out) == (0, b"hello\n")
    assert str(result.metrics["runtime"]).startswith("wasmedge")
    with pytest.raises(CheckRefused, match="fails on iwasm"):
        run(found, runtime="iwasm", allow_unknown=True)
    runtime_stand_in.install(bin_, "wasmedge", "0.18.0", "wasmedge-0.17")
    with pytest.raises(CheckRefused, match=r"the device now has 0\.18\.0"):
        run(found, runtime="wasmedge")
    assert run(found, runtime="wasmedge", allow_unknown=True)[1] == b"hello\n"


def test_smoke_runs_go_through_that_runtime_and_golden_vectors_do_not(
    session: Callable[[], Session], bin_: Path, tmp_path: Path
) -> None:
    from lading.errors import SmokeFailed

    runtime_stand_in.install(bin_, "wasmedge", "0.17.1", "wasmedge-0.17")
    found = session()
    smoke = '[[smoke]]\nargs = ["x"]\nexit = {}\nstdout = "hello"'
    push(found, tmp_path, says("hello\n"), [verdict("wasmedge", "0.17.1")], more=smoke.format(0))
    with pytest.raises(SmokeFailed):
        push(found, tmp_path / "next", traps(), [verdict("wasmedge", "0.17.1")], more=smoke.format(0))
    assert run(found)[1] == b"hello\n", "the old release stays"


def test_a_run_ends_at_its_time_limit_with_all_its_processes(
    session: Callable[[], Session], bin_: Path, tmp_path: Path
) -> None:
    runtime_stand_in.install(bin_, "wasmedge", "0.17.1", "wasmedge-0.17")
    found = session()
    push(found, tmp_path, says_and_spins("on it\n"), [verdict("wasmedge", "0.17.1")])
    result, out = run(found, timeout_s=6.0)
    assert (result.kind, result.status, out) == ("time-limit", 125, b"on it\n")


def test_a_program_that_dies_is_told_by_its_signal(session: Callable[[], Session], bin_: Path, tmp_path: Path) -> None:
    program = bin_ / "wasmedge"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo wasmedge version 0.17.1 && exit\nkill -SEGV $$\n')
    program.chmod(0o755)
    found = session()
    push(found, tmp_path, exits(0), [verdict("wasmedge", "0.17.1")])
    result, _ = run(found)
    assert (result.outcome, result.kind, result.status) == ("host-crash", "host-segv", 139)
    assert "SIGSEGV" in result.message


def test_what_was_measured_decides_between_the_builds_of_a_release(session: Callable[[], Session], bin_: Path) -> None:
    runtime_stand_in.install(bin_, "iwasm", "2.4.3", "wamr-2.4")
    found = session()
    [told] = found.runtimes()
    assert sorted(told["profiles"]) == ["wamr-2.4", "wamr-2.4-legacy", "wamr-main", "wamr-main-legacy"]
    found.keep_measured("iwasm", "wamr-2.4")
    [told] = found.runtimes()
    assert (told["profiles"], told["measured"]) == (["wamr-2.4"], True)
    runtime_stand_in.install(bin_, "iwasm", "2.4.4", "wamr-2.4")
    [told] = found.runtimes()
    assert told["measured"] is False, "another version is another runtime"


@pytest.mark.parametrize(
    ("kind", "version", "stands_in", "word", "says_"),
    [
        ("wasmedge", "0.17.1", "wasmedge-0.17", "ok", "ok on wasmedge-0.17"),
        ("wasmedge", "0.13.5", "wasmedge-0.14", "unknown", "no firmware profile stands for wasmedge 0.13.5"),
        ("iwasm", "2.4.5", "wamr-2.4", "unknown", "may be either of them"),
    ],
)
def test_the_runtimes_version_says_which_profile_judges(
    session: Callable[[], Session],
    bin_: Path,
    tmp_path: Path,
    kind: str,
    version: str,
    stands_in: str,
    word: str,
    says_: str,
) -> None:
    runtime_stand_in.install(bin_, kind, version, stands_in)
    found = session()
    project = write_app(tmp_path / "app", infers("echo", (1, 4), content=bytes(16)), models={"echo": model("echo_f32")})
    with open_bundle(pack(load_project(project), tmp_path / "app.lading").path) as bundle:
        [told] = found.runtimes()
        said = installed.runtime_verdict(bundle, found, resolve("ssh://board"), told)
        assert said.verdict == word
        assert says_ in said.sentence()
        assert word == "ok" or "lading probe ssh://board" in said.remedy
        if kind == "iwasm":
            found.keep_measured(kind, "wamr-2.4")
            [told] = found.runtimes()
            said = installed.runtime_verdict(bundle, found, resolve("ssh://board"), told)
            assert "takes names for paths" in said.reason
        found.push(bundle, runtime=kind, judged=[installed.judged(told, said, allow_unknown=True)], force=True)
    assert run(found)[0].status == 0, "the model has its name there"


def test_a_verdict_is_kept_as_the_client_makes_it() -> None:
    from lading.check.verdict import Verdict

    said = installed.judged(
        {"name": "wasmedge", "version": "0.9"}, Verdict("unknown", "?", "declared", reason="r"), allow_unknown=True
    )
    assert (said["passes"], said["unknown"]) == (True, True)


@pytest.fixture
def wasmtime(bin_: Path) -> str:
    """The real program, on the search path; its version."""
    (bin_ / "wasmtime").symlink_to(wasmtime_program())
    return "49.0.3"


def test_the_real_wasmtime_runs_an_app(
    session: Callable[[], Session], wasmtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "from the device")
    found = session()
    [told] = found.runtimes()
    assert (told["version"], told["profiles"]) == (wasmtime, ["wasmtime-witx"])
    app = 'runtime = "wasmtime"\nargs = ["a b", "--dir", "/"]\nenv = { from-device-env = ["TOKEN"] }'
    push(found, tmp_path, tells_its_arguments(), [verdict("wasmtime", wasmtime)], app=app)
    result, out = run(found)
    assert (result.outcome, result.status) == ("exit", 0), result.message
    assert out.endswith(b"a b\0--dir\0/\0")
    assert str(result.metrics["runtime"]).startswith("wasmtime 49")


def test_the_real_wasmtime_writes_to_a_state_directory_that_stays(
    session: Callable[[], Session], wasmtime: str, tmp_path: Path
) -> None:
    found = session()
    more = '[[state]]\nguest = "/var"'
    judged = [verdict("wasmtime", wasmtime)]
    push(found, tmp_path, writes_a_file("note", "kept"), judged, app='runtime = "wasmtime"', more=more)
    assert run(found)[0].status == 0
    kept = bytearray()
    found.fetch("app", "/var/note", kept.extend)
    assert kept == b"kept"


def test_the_real_wasmtime_traps_with_its_own_status(
    session: Callable[[], Session], wasmtime: str, tmp_path: Path
) -> None:
    found = session()
    push(found, tmp_path, traps(), [verdict("wasmtime", wasmtime)], app='runtime = "wasmtime"')
    result, _ = run(found)
    assert (result.status, "trap" in result.message) == (134, True)


def test_the_real_wasmtime_is_ended_at_the_time_limit(
    session: Callable[[], Session], wasmtime: str, tmp_path: Path
) -> None:
    found = session()
    push(found, tmp_path, says_and_spins("on it\n"), [verdict("wasmtime", wasmtime)], app='runtime = "wasmtime"')
    result, out = run(found, timeout_s=2.0)
    assert (result.kind, result.status, out) == ("time-limit", 125, b"on it\n")


def test_the_real_wasmtime_bears_the_memory_limit(
    session: Callable[[], Session], wasmtime: str, tmp_path: Path
) -> None:
    found = session()
    push(found, tmp_path, says("small\n"), [verdict("wasmtime", wasmtime)], app='runtime = "wasmtime"')
    assert run(found, memory_bytes=16 * 1024 * 1024)[1] == b"small\n"
    push(found, tmp_path, allocates(), [verdict("wasmtime", wasmtime)], app='runtime = "wasmtime"')
    result, _ = run(found, memory_bytes=16 * 1024 * 1024)
    assert result.status == 134, "it is told that there is no more"
    assert result.metrics["peak_memory_bytes"] < 1024 * 1024 * 1024


def test_the_probe_guests_measure_the_real_wasmtime(session: Callable[[], Session], wasmtime: str) -> None:
    from lading.probe.prober import probe

    assert wasmtime
    found = session()
    probed = probe(found, "ssh://board", installed="wasmtime")
    assert probed.runtime.startswith("wasmtime 49")
    assert probed.modules == ("wasi_ephemeral_nn",)
    assert probed.fits[0].profile == "wasmtime-witx"
    assert probed.measured["wasm"]["simd"] is True
