"""A store that somebody or something has tampered with: said, worked around or put in order, never a dead device."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from lading.errors import LadingError, NoSuchRelease, NoSuchRun
from lading_agent.store.layout import Layout
from lading_agent.store.releases import Releases
from tests.support.cargo import cargo
from tests.support.local_agent import session
from tests.support.stores import assert_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OTHER = "1.0.0-" + "0" * 16


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with session(tmp_path / "home") as agent:
        agent.push(cargo())
    return tmp_path / "home"


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    def damage(app: Path) -> None:
        (app / name).unlink(missing_ok=True)
        (app / name).write_bytes(data)

    return damage


def _folder(name: str) -> Callable[[Path], None]:
    def damage(app: Path) -> None:
        (app / name).unlink(missing_ok=True)
        (app / name).mkdir()
        (app / name / "x").write_bytes(b"x")

    return damage


def _current(target: str) -> Callable[[Path], None]:
    def damage(app: Path) -> None:
        (app / "current").unlink()
        (app / "current").symlink_to(target)

    return damage


def _release(**members: Any) -> Callable[[Path], None]:
    def damage(app: Path) -> None:
        (file,) = app.glob("releases/*/release.json")
        file.write_text(json.dumps({**json.loads(file.read_bytes()), **members}))

    return damage


DAMAGES = {
    "history-names-paths": _write("history", b'{"release":"../../x","action":"push"}\n{"release":5}\n\xff\n[[[\n'),
    "history-is-deep": _write("history", b"[" * 200_000),
    "history-is-a-folder": _folder("history"),
    "pins-name-paths": _write("pins", b'["../../x", 5]'),
    "pins-are-deep": _write("pins", b"[" * 200_000),
    "pins-are-a-folder": _folder("pins"),
    "current-dangles": _current(f"releases/{OTHER}"),
    "current-leads-out": _current("/etc"),
    "current-is-a-folder": _folder("current"),
    "release-is-deep": lambda app: next(app.glob("releases/*/release.json")).write_bytes(b"[" * 200_000),
    "release-names-paths": _release(blobs={"../../x": 1}),
    "release-counts-oddly": _release(blobs={"sha256:" + "0" * 64: "many"}),
    "release-has-no-blobs": _release(blobs=None),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_the_device_answers_and_the_next_push_puts_it_in_order(home: Path, damage: Callable[[Path], None]) -> None:
    damage(Layout(home).app("echo"))
    with session(home) as agent:
        agent.status()
        agent.gc(dry_run=True)
        agent.gc()
        agent.push(cargo())
        assert agent.run("echo").status == 0
        agent.releases("echo")
        agent.pin("echo", cargo().release, True)
        assert agent.status()["apps"]["echo"]["current"] == cargo().release
    assert_whole(home, "echo", {cargo().release})


def test_a_current_release_that_is_gone_is_not_an_app_that_is_gone(home: Path) -> None:
    _current(f"releases/{OTHER}")(Layout(home).app("echo"))
    with session(home) as agent:
        with pytest.raises(NoSuchRelease, match="gone or damaged") as refused:
            agent.run("echo")
        assert cargo().release in refused.value.remedy
        agent.rollback("echo")
        assert agent.run("echo").status == 0


@pytest.mark.parametrize("make", ["folder", "link", "half"])
def test_blobs_that_are_something_else_are_sent_again(home: Path, make: str) -> None:
    layout = Layout(home)
    for digest in cargo().bill.blobs():
        blob = layout.blob(digest)
        half = blob.read_bytes()[: blob.stat().st_size // 2]
        blob.unlink()
        if make == "folder":
            blob.mkdir()
        elif make == "link":
            blob.symlink_to("/etc/passwd")
        else:
            blob.write_bytes(half)
    with session(home) as agent:
        assert agent.push(cargo()).sent_blobs == len(cargo().bill.blobs())
        assert agent.run("echo").status == 0


def test_a_damaged_bill_is_no_release_that_is_current_already(home: Path) -> None:
    (bill,) = Layout(home).app("echo").glob("releases/*/bill.json")
    bill.chmod(0o644)
    bill.write_bytes(b"{")
    with session(home) as agent:
        assert not agent.push(cargo()).already_current
        assert agent.run("echo").status == 0


@pytest.mark.parametrize("which", ["intent", "part"])
def test_folders_in_place_of_what_a_push_writes(home: Path, which: str) -> None:
    layout = Layout(home)
    bundle = cargo("2.0.0")
    for digest in bundle.bill.blobs() if which == "part" else ():
        layout.part(digest).mkdir(exist_ok=True)
    if which == "intent":
        layout.intent("echo").mkdir()
    with session(home) as agent:
        try:
            agent.push(bundle)
        except LadingError:
            agent.gc()
            agent.push(bundle)
        assert agent.run("echo").status == 0


def test_a_run_that_goes_wrong_names_the_content_that_lost_a_bit(tmp_path: Path) -> None:
    from lading.client import Log

    home = tmp_path / "home"
    bundle = cargo(module={"status": 3}, smoke=())
    (digest,) = (model.digest for variant in bundle.bill.variants for model in variant.models)
    said: list[str] = []
    with session(home) as agent:
        agent.push(bundle)
        blob = Layout(home).blob(digest)
        blob.chmod(0o644)
        blob.write_bytes(bytes(byte ^ 1 for byte in blob.read_bytes()))
        agent.run("echo", on_event=lambda e: said.append(e.text) if isinstance(e, Log) else None)
        assert any(digest in text and "damaged" in text for text in said)
        assert agent.push(bundle, force=True).sent_blobs == 1
        said.clear()
        agent.run("echo", on_event=lambda e: said.append(e.text) if isinstance(e, Log) else None)
        assert said == []


WILD: list[Any] = [None, [], {}, -1, "../../x", float("inf"), 10**40]
KEPT: dict[str, dict[str, Any]] = {
    "pending.json": {
        "release": OTHER,
        "previous": OTHER,
        "within_s": 600.0,
        "used_s": 0.0,
        "boot_id": "x",
        "at_s": 0.0,
        "boots": 0,
        "state": "waiting",
        "why": "",
        "since": "",
        "by": "",
        "replaced": None,
    },
    "service/enabled.json": {"how": "agent", "since": "", "linger_is_ours": False, "stopped_boot": ""},
    "service/status.json": {
        "state": "running",
        "process": None,
        "release": OTHER,
        "since": "",
        "since_s": 0.0,
        "restarts": 0,
        "failures": 0,
        "trial": None,
        "stood": None,
        "wait_s": 0.0,
        "last_exit": None,
    },
    "runs/3/status.json": {
        "id": "3",
        "app": "echo",
        "release": OTHER,
        "state": "ended",
        "since": "",
        "args": [],
        "process": None,
        "ended": "",
        "outcome": "exit",
        "status": 0,
        "kind": "exit",
        "message": "",
        "remedy": "",
        "metrics": {},
    },
}


@pytest.mark.parametrize(("file", "member"), [(file, member) for file, doc in KEPT.items() for member in doc])
def test_what_is_kept_of_runs_services_and_probation_is_not_believed(
    home: Path, file: str, member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lading_agent.keep.watcher.ensure", lambda _: None)
    monkeypatch.setattr("lading_agent.keep.service.start", lambda *_: None)
    app = Layout(home).app("echo")
    (app / file).parent.mkdir(parents=True, exist_ok=True)
    current = Releases(Layout(home), "echo").current()
    for wild in WILD:
        doc = {"schema": 1, **KEPT[file], member: wild}
        if file == "pending.json" and member != "release":
            doc["release"] = current
        (app / file).write_text(json.dumps(doc))
        with session(home) as agent:
            agent.status()
            agent.releases("echo")
            agent.service("status", "echo")
            agent.stop("echo")
            with contextlib.suppress(NoSuchRun):
                agent.logs("echo", on_event=lambda _: None)
    doc = {"schema": 1, **KEPT[file]}
    del doc[member]
    (app / file).write_text(json.dumps(doc))
    with session(home) as agent:
        agent.status()
        assert agent.run("echo").status == 0
