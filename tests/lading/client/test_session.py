from __future__ import annotations

import io
import json
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lading.client import Event, Metric, Output, Session, Started, Tensor
from lading.errors import (
    BundleError,
    CheckRefused,
    DeviceError,
    GoldenMismatch,
    LinkLost,
    LockHeld,
    NoSpace,
    NoSuchApp,
    NoSuchFile,
    NoSuchRelease,
    SmokeFailed,
    TooLarge,
    UsageError,
    VersionMismatch,
)
from lading.links.emulated import open_emulated
from lading_agent.bill import Smoke
from lading_agent.store.layout import Layout
from lading_agent.store.steps import STEPS
from tests.support.bills import digest
from tests.support.cargo import Cargo, cargo
from tests.support.local_agent import PROFILE, TARGET, session
from tests.support.stores import assert_no_garbage, assert_whole

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_push_makes_the_release_current_and_says_what_it_did(home: Path) -> None:
    bundle = cargo()
    seen: list[tuple[int, int]] = []
    events: list[str] = []
    with session(home) as agent:
        result = agent.push(
            bundle,
            progress=lambda done, total: seen.append((done, total)),
            on_event=lambda name, _: events.append(name),
        )
    size = sum(bundle.bill.blobs().values())
    assert (result.app, result.release, result.previous) == ("echo", bundle.release, None)
    assert (result.sent_blobs, result.sent_bytes, result.present_blobs) == (len(bundle.contents), size, 0)
    assert [g["ok"] for g in result.golden] == [True]
    assert [s["args"] for s in result.smoke] == [["--self-test"]]
    assert events == ["golden", "smoke"]
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert_whole(home, "echo", {bundle.release})
    assert_no_garbage(home)


def test_a_second_push_of_the_same_sends_nothing_in_one_round_trip(home: Path) -> None:
    with session(home) as agent:
        agent.push(cargo())
    bundle = cargo()
    with session(home) as agent:
        result = agent.push(bundle)
        assert agent.round_trips == 1
    assert result.already_current
    assert (result.sent_blobs, result.sent_bytes) == (0, 0)
    assert bundle.opened == []


class Lying(io.BufferedReader):
    """Content that lies in a file as it is."""

    def where(self) -> tuple[int, int]:
        """The file, and where it begins there."""
        return self.fileno(), 0


class Filed(Cargo):
    """A bundle whose content lies in files."""

    def __init__(self, bundle: Cargo, folder: Path) -> None:
        super().__init__(bundle.bill, bundle.contents)
        self.folder = folder
        folder.mkdir()
        for name, data in bundle.contents.items():
            (folder / name).write_bytes(data)

    def open_blob(self, digest_: str) -> Any:
        self.opened.append(digest_)
        return Lying(io.FileIO(self.folder / digest_))


def piped(home: Path) -> Session:
    """A session with an agent in a process of its own, over pipes."""
    return Session(open_emulated(home, TARGET, PROFILE, "emulated://test-board"))


def test_large_files_arrive_whole_and_go_on_where_they_stopped(home: Path, tmp_path: Path) -> None:
    model = random.Random(1).randbytes(3_000_001)
    bundle = Filed(cargo(model=model, golden=False, smoke=()), tmp_path / "blobs")
    layout = Layout(home)
    with piped(home) as agent:
        agent.ping()
    part = layout.part(digest(model))
    part.write_bytes(model[:1_234_567])
    layout.intent("echo").write_text(json.dumps({"blobs": bundle.bill.blobs()}))
    with piped(home) as agent:
        result = agent.push(bundle)
    assert result.resumed_bytes == 1_234_567
    assert layout.blob(digest(model)).read_bytes() == model


def test_a_bundle_that_shrinks_while_it_is_sent_is_damaged(home: Path, tmp_path: Path) -> None:
    model = bytes(3_000_000)
    bundle = Filed(cargo(model=model, golden=False, smoke=()), tmp_path / "blobs")
    with (bundle.folder / digest(model)).open("r+b") as file:
        file.truncate(1_000_000)
    with piped(home) as agent:
        with pytest.raises(BundleError, match="ends inside of"):
            agent.push(bundle)
        with pytest.raises(LinkLost):
            agent.ping()
    with piped(home) as agent:
        assert agent.status()["apps"] == {}


def test_only_what_changed_is_sent_in_two_round_trips(home: Path) -> None:
    with session(home) as agent:
        old = agent.push(cargo("1.0.0", model=b"good one"))
        agent.push(cargo("1.0.1", model=b"good one"))
        before = agent.round_trips
        result = agent.push(cargo("1.0.1", model=b"good two"))
        assert agent.round_trips - before == 2
    assert (result.sent_blobs, result.sent_bytes) == (1, 8)
    assert result.previous != old.release


def test_a_dry_run_changes_nothing(home: Path) -> None:
    with session(home) as agent:
        result = agent.push(cargo(), dry_run=True)
        assert result.dry_run
        assert result.sent_blobs == len(cargo().contents)
        assert agent.status()["apps"] == {}


def test_a_golden_vector_that_fails_leaves_the_old_release_and_shows_the_mismatch(home: Path) -> None:
    with session(home) as agent:
        old = agent.push(cargo("1.0.0")).release
        with pytest.raises(GoldenMismatch, match=r"tensor y\[0, 1\] is 9, expected 3 with a tolerance of 1") as caught:
            agent.push(cargo("2.0.0", model=b"bad model"))
        assert caught.value.details["mismatch"]["got"] == 9
        assert caught.value.exit_status == 1
        assert assert_whole(home, "echo", {old}) == old
        assert agent.releases("echo")["releases"][0]["release"] == old
        with pytest.raises(NoSuchRelease):
            agent.rollback("echo")
        agent.push(cargo("2.0.1"))
    assert_no_garbage(home)


@pytest.mark.parametrize(
    ("module", "smoke", "words"),
    [
        ({"stdout": "hello\n", "status": 3}, Smoke(exit=0), "status 3, expected 0"),
        ({"stdout": "bye\n"}, Smoke(stdout="^hello$"), "does not match"),
        ({"do": "abort"}, Smoke(), "interpreter-crashed"),
    ],
)
def test_a_smoke_run_that_fails_leaves_the_old_release_and_shows_the_output(
    home: Path, module: dict[str, Any], smoke: Smoke, words: str
) -> None:
    with session(home) as agent:
        old = agent.push(cargo("1.0.0")).release
        with pytest.raises(SmokeFailed, match=words) as caught:
            agent.push(cargo("2.0.0", module=module, smoke=(smoke,)))
        assert caught.value.details["stdout"] == module.get("stdout", "")
    assert_whole(home, "echo", {old})


def test_a_smoke_run_never_touches_the_apps_state(home: Path) -> None:
    with session(home) as agent:
        agent.push(cargo(module={"do": "write-state"}, smoke=(Smoke(),)))
        with pytest.raises(NoSuchFile, match="has not written"):
            agent.fetch("echo", "/var/result.txt", lambda _: None)


def damaged(content: bytes) -> bytes:
    return content[::-1]


def truncated(content: bytes) -> bytes:
    return content[:3]


@pytest.mark.parametrize("spoil", [damaged, truncated])
def test_a_damaged_bundle_is_refused_as_such_and_installs_nothing(home: Path, spoil: Callable[[bytes], bytes]) -> None:
    with session(home) as agent:
        old = agent.push(cargo("1.0.0")).release
        bundle = cargo("2.0.0", model=b"another good one")
        model = bundle.bill.variants[0].models[0].digest
        bundle.contents[model] = spoil(bundle.contents[model])
        with pytest.raises(BundleError) as caught:
            agent.push(bundle)
        assert caught.value.exit_status == 2
        agent.ping()
    with session(home) as agent:
        assert_whole(home, "echo", {old})
        agent.push(cargo("2.0.0", model=b"another good one"))


def test_a_hostile_bill_is_refused(home: Path) -> None:
    bundle = cargo()
    bundle.bill_bytes = bundle.bill_bytes.replace(b'"echo"', b'"../x"')
    with session(home) as agent, pytest.raises(BundleError):
        agent.push(bundle)


def test_an_interrupted_blob_goes_on_where_it_was(home: Path) -> None:
    model = b"good" + bytes(3_000_000)
    bundle = cargo(model=model)
    digest = bundle.bill.variants[0].models[0].digest
    layout = Layout(home)
    layout.prepare()
    layout.part(digest).write_bytes(model[:2_000_000])
    layout.intent("echo").write_text(json.dumps({"blobs": {digest: len(model)}}))
    with session(home) as agent:
        result = agent.push(bundle)
    assert result.resumed_bytes == 2_000_000
    assert result.sent_bytes == sum(bundle.bill.blobs().values()) - 2_000_000
    assert_whole(home, "echo", {bundle.release})


def test_a_part_that_the_device_spoilt_is_asked_for_again_from_its_start(home: Path) -> None:
    model = b"good" + bytes(100_000)
    bundle = cargo(model=model)
    digest = bundle.bill.variants[0].models[0].digest
    for there in (b"x" * 50_000, b"x" * len(model)):
        layout = Layout(home)
        layout.prepare()
        layout.part(digest).write_bytes(there)
        layout.intent("echo").write_text(json.dumps({"blobs": {digest: len(model)}}))
        with session(home) as agent:
            assert agent.push(bundle).release == bundle.release
            assert_whole(home, "echo", {bundle.release})
            agent.remove("echo")


def test_force_repairs_content_that_was_damaged_on_the_device(home: Path) -> None:
    bundle = cargo()
    layout = Layout(home)
    with session(home) as agent:
        agent.push(bundle)
        for digest in bundle.contents:
            path = layout.blob(digest)
            path.chmod(0o644)
            with path.open("r+b") as file:
                file.write(b"\xff")
        result = agent.push(bundle, force=True)
    assert result.sent_blobs == len(bundle.contents)
    assert_whole(home, "echo", {bundle.release})
    assert_no_garbage(home)


def test_a_model_over_the_targets_memory_is_refused_before_it_is_sent(home: Path) -> None:
    bundle = cargo(model=b"good" + bytes(2_000_000))
    with session(home, target={"run_memory_bytes": 1_000_000}) as agent:
        with pytest.raises(TooLarge, match="model m has 2000004 bytes"):
            agent.push(bundle)
        agent.ping()
    assert bundle.opened == []


def test_storage_that_is_too_small_is_said_with_what_is_missing_before_it_is_sent(home: Path) -> None:
    bundle = cargo(model=b"good" + bytes(2_000_000))
    with session(home, target={"storage_bytes": 1_500_000}) as agent:
        with pytest.raises(NoSpace, match="are missing") as caught:
            agent.push(bundle)
        assert caught.value.details["missing_bytes"] > 500_000
    assert bundle.opened == []


def test_what_an_unfinished_push_of_another_app_left_makes_room(home: Path) -> None:
    with session(home, target={"storage_bytes": 4_000_000}) as agent:
        with pytest.raises(GoldenMismatch):
            agent.push(cargo(app="other", model=b"bad" + bytes(2_000_000)))
        agent.push(cargo(model=b"good" + bytes(2_000_000)))


def test_a_runtime_that_the_device_does_not_have_is_refused(home: Path) -> None:
    from dataclasses import replace

    bundle = cargo()
    other = Cargo(replace(bundle.bill, app=replace(bundle.bill.app, runtime="iwasm")).seal(), bundle.contents)
    with session(home) as agent, pytest.raises(CheckRefused, match="no runtime 'iwasm'"):
        agent.push(other)


def test_the_second_client_is_told_who_holds_the_lock_and_since_when(home: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def on_step(name: str) -> None:
        if name == "golden":
            inside.set()
            assert go_on.wait(20)

    failures: list[Exception] = []

    def first() -> None:
        try:
            with session(home, on_step) as agent:
                agent.push(cargo("1.0.0"))
        except Exception as error:  # noqa: BLE001  it is raised where the test sees it
            failures.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(20)
    with session(home) as agent:
        with pytest.raises(LockHeld, match=r"locked by .+@.+ \(process \d+\) since \d{4}-.* for push of echo 1.0.0"):
            agent.push(cargo("2.0.0"))
        assert agent.status()["lock"]["purpose"] == "push of echo 1.0.0"
        go_on.set()
        thread.join()
        assert not failures
        agent.push(cargo("2.0.0"))


def test_every_step_of_the_list_is_taken_in_order(home: Path) -> None:
    taken: list[str] = []
    with session(home, taken.append) as agent:
        agent.push(cargo())
    first = [name for at, name in enumerate(taken) if name not in taken[:at]]
    # Syncs of content run beside its arrival.
    assert sorted(first) == sorted(STEPS)
    assert [n for n in first if n != "blob-sync"] == [n for n in STEPS if n != "blob-sync"]


# -- releases ---------------------------------------------------------------------------------------------------------


def test_rolling_back_goes_back_and_rolling_back_again_goes_back_further(home: Path) -> None:
    with session(home) as agent:
        one, two, three = (agent.push(cargo(v)).release for v in ("1.0.0", "2.0.0", "3.0.0"))
        assert agent.rollback("echo") == {"app": "echo", "current": two, "previous": three}
        assert agent.rollback()["current"] == one
        with pytest.raises(NoSuchRelease, match="no earlier release"):
            agent.rollback("echo")
        assert agent.rollback("echo", to="3.0.0")["current"] == three
        assert agent.rollback("echo", to=two)["current"] == two
        with pytest.raises(NoSuchRelease, match=r"no release '9\.9\.9'"):
            agent.rollback("echo", to="9.9.9")
        actions = [(e["release"], e["action"]) for e in agent.releases("echo")["history"]]
        assert actions[:4] == [(one, "push"), (two, "push"), (three, "push"), (two, "rollback")]


def test_gc_keeps_the_newest_the_previous_the_pinned(home: Path) -> None:
    with session(home) as agent:
        ids = [agent.push(cargo(f"{n}.0.0", model=b"good %d" % n)).release for n in range(1, 6)]
        agent.pin("echo", ids[0])
        would = agent.gc(keep=1, dry_run=True)
        assert would["removed"] == [f"echo {ids[2]}", f"echo {ids[1]}"]
        assert len(agent.releases("echo")["releases"]) == 5
        done = agent.gc(keep=1)
        assert (done["removed"], done["freed_bytes"]) == (would["removed"], would["freed_bytes"])
        assert [r["release"] for r in agent.releases("echo")["releases"]] == [ids[4], ids[3], ids[0]]
        agent.pin("echo", ids[0], pinned=False)
        assert agent.gc(keep=2)["removed"] == [f"echo {ids[0]}"]
    assert_no_garbage(home)


def test_a_push_can_keep_a_number_of_releases(home: Path) -> None:
    with session(home) as agent:
        for n in range(1, 5):
            agent.push(cargo(f"{n}.0.0"), keep=2)
        assert len(agent.releases("echo")["releases"]) == 2
    assert_no_garbage(home)


def test_removing(home: Path) -> None:
    with session(home) as agent:
        one, two = (agent.push(cargo(v, model=b"good " + v.encode())).release for v in ("1.0.0", "2.0.0"))
        with pytest.raises(DeviceError, match="is the current release"):
            agent.remove("echo", two)
        assert agent.remove("echo", one, dry_run=True)["removed"] == [one]
        assert agent.remove("echo", one)["removed"] == [one]
        with pytest.raises(NoSuchRelease):
            agent.remove("echo", one)
        agent.remove("echo")
        assert agent.status()["apps"] == {}
        with pytest.raises(NoSuchApp):
            agent.remove("echo")
    assert_no_garbage(home)


def test_what_a_removal_would_free_is_what_it_frees_after_a_failed_push(home: Path) -> None:
    with session(home) as agent:
        agent.push(cargo("1.0.0"))
        with pytest.raises(GoldenMismatch):
            agent.push(cargo("2.0.0", model=b"bad"))
        would = agent.remove("echo", dry_run=True)
        assert would["freed_bytes"] > 0
        assert agent.remove("echo")["freed_bytes"] == would["freed_bytes"]


def test_a_running_release_is_not_removed(home: Path) -> None:
    with session(home) as agent:
        one = agent.push(cargo("1.0.0", module={"do": "spin"}, smoke=())).release
        agent.push(cargo("2.0.0", smoke=()))
        started = threading.Event()

        def run() -> None:
            with session(home) as other:
                running.append(other)
                with pytest.raises(LinkLost):
                    other.run("echo", release=one, on_event=lambda _: started.set())

        running: list[Any] = []
        thread = threading.Thread(target=run)
        thread.start()
        assert started.wait(20)
        with pytest.raises(DeviceError, match="is running"):
            agent.remove("echo", one)
        with pytest.raises(DeviceError, match="is running"):
            agent.remove("echo")
        running[0].close()
        thread.join()
        agent.remove("echo", one)


@pytest.mark.parametrize("app", ["..", "../echo", "", "A", "a" * 64, "a/b", ".hidden"])
def test_hostile_app_names_are_refused(home: Path, app: str) -> None:
    with session(home) as agent:
        agent.push(cargo())
        for ask in (agent.remove, agent.releases, agent.rollback, agent.status, agent.run):
            with pytest.raises(NoSuchApp):
                ask(app)
        with pytest.raises(UsageError):
            agent.run("a\0b")
        for release in ("..", "../../x", "1.0.0-0000000000000000/..", "x" * 500):
            with pytest.raises(NoSuchRelease):
                agent.rollback("echo", to=release)


def test_several_apps_each_have_their_own_current(home: Path) -> None:
    with session(home) as agent:
        a, b = agent.push(cargo(app="a")).release, agent.push(cargo("7.0.0", app="b")).release
        apps = agent.status()["apps"]
        assert (apps["a"]["current"], apps["b"]["current"]) == (a, b)
        with pytest.raises(UsageError, match="several apps: a, b"):
            agent.run()


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_streams_what_the_guest_says_and_passes_its_status_on(home: Path) -> None:
    metric = {"event": "metric", "median_ms": 1.0}
    events: list[Event] = []
    with session(home) as agent:
        release = agent.push(
            cargo(module={"stdout": "out", "stderr": "err", "status": 5, "report": [metric]}, smoke=())
        ).release
        result = agent.run("echo", on_event=events.append)
    assert (result.status, result.kind, result.app, result.release) == (5, "exit", "echo", release)
    assert Started("echo", release) in events
    assert Output(1, b"out") in events
    assert Output(2, b"err") in events
    assert Metric({"median_ms": 1.0}) in events
    assert result.metrics == {"median_ms": 1.0}


def test_tensors_come_as_bytes_step_by_step(home: Path) -> None:
    events: list[Event] = []
    with session(home) as agent:
        agent.push(cargo(module={"do": "tensor"}, smoke=()))
        agent.run("echo", on_event=events.append)
    tensors = [event for event in events if isinstance(event, Tensor)]
    assert [(t.step, t.data == bytes([t.step] * 300_000), t.shape) for t in tensors] == [
        (step, True, (300_000,)) for step in range(3)
    ]


@pytest.mark.parametrize("kind", ["bytes", "file", "memory"])
def test_standard_input_goes_to_the_guest_whole(home: Path, tmp_path: Path, kind: str) -> None:
    data = bytes(range(256)) * 4000
    path = tmp_path / "in"
    path.write_bytes(data)
    got: list[bytes] = []

    def take(event: Event) -> None:
        if isinstance(event, Output):
            got.append(event.data)

    with session(home) as agent, path.open("rb") as file:
        agent.push(cargo(module={"do": "echo"}, smoke=()))
        sources = {"bytes": data, "file": file.fileno(), "memory": io.BytesIO(data)}
        agent.run("echo", stdin=sources[kind], on_event=take)  # type: ignore[arg-type]
    assert b"".join(got) == data


def test_a_guest_that_does_not_read_its_input_does_not_stop_the_connection(home: Path) -> None:
    with session(home) as agent:
        agent.push(cargo(module={"do": "spin"}, smoke=()))
        started, ended = threading.Event(), []
        thread = threading.Thread(
            target=lambda: ended.append(
                agent.run("echo", stdin=bytes(5_000_000), timeout_s=1, on_event=lambda _: started.set())
            )
        )
        thread.start()
        assert started.wait(20)
        agent.ping()
        assert "echo" in agent.status()["apps"]
        thread.join()
        assert ended[0].kind == "time-limit"


def test_the_spec_of_a_run_is_what_bill_target_and_request_say(home: Path) -> None:
    def spec_of(**request: Any) -> dict[str, Any]:
        got: list[bytes] = []
        agent.run("echo", on_event=lambda e: got.append(e.data) if isinstance(e, Output) else None, **request)
        spec: dict[str, Any] = json.loads(b"".join(got))
        return spec

    with session(home) as agent:
        bundle = cargo(module={"do": "show-spec"}, smoke=(), memory_bytes=10_000_000, timeout_s=7)
        agent.push(bundle)
        spec = spec_of()
        assert spec["args"] == ["image"]
        assert (spec["limits"]["memory_bytes"], spec["limits"]["time_s"]) == (10_000_000, 7)
        assert {d["guest"]: d["writable"] for d in spec["dirs"]} == {"/data": False, "/var": True}
        assert (Path(spec["dirs"][0]["host"]) / "a/one.bin").read_bytes() == b"one"
        assert Path(spec["models"][0]["path"]).read_bytes() == b"good model"
        more = spec_of(args=["x"], env={"K": "v"}, timeout_s=3, memory_bytes=2**40, threads=2)
        assert (more["args"], more["env"]["K"], more["threads"]) == (["x"], "v", 2)
        assert (more["limits"]["memory_bytes"], more["limits"]["time_s"]) == (64 * 1024 * 1024, 3)


@pytest.mark.parametrize("deed", ["abort", "segv", "silent-exit", "flood", "out-of-memory"])
def test_whatever_a_run_does_the_same_agent_answers_the_next_request(home: Path, deed: str) -> None:
    with session(home) as agent:
        agent.push(cargo(module={"do": deed}, smoke=()))
        result = agent.run("echo", timeout_s=20)
        assert result.status == 125
        agent.ping()
        assert assert_whole(home, "echo", {result.release})


def test_closing_the_session_stops_the_run_and_frees_the_device(home: Path) -> None:
    with session(home) as agent:
        agent.push(cargo(module={"do": "spin"}, smoke=()))

    def close(_: Event) -> None:
        threading.Thread(target=agent.close).start()

    with session(home) as agent, pytest.raises(LinkLost):
        agent.run("echo", on_event=close)
    assert_whole(home, "echo", {cargo(module={"do": "spin"}, smoke=()).release})


def test_ctrl_c_stops_the_guest_and_the_agent_goes_on(home: Path) -> None:
    def interrupt(_: Event) -> None:
        raise KeyboardInterrupt

    with session(home) as agent:
        agent.push(cargo(module={"do": "spin"}, smoke=()))
        with pytest.raises(KeyboardInterrupt):
            agent.run("echo", on_event=interrupt)
        agent.ping()


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_that_the_guest_wrote_is_fetched_and_outlives_releases(home: Path) -> None:
    module = {"do": "write-state"}
    with session(home) as agent:
        agent.push(cargo("1.0.0", module=module, smoke=()))
        agent.run("echo")
        agent.push(cargo("2.0.0", module=module, smoke=()))
        got: list[bytes] = []
        assert agent.fetch("echo", "/var/result.txt", got.append) == 3
        assert agent.fetch(None, "result.txt", got.append) == 3
        assert got == [b"42\n", b"42\n"]
        big = bytes(range(256)) * 8000
        (Layout(home).state("echo", "/var") / "big").write_bytes(big)
        got.clear()
        seen: list[tuple[int, int]] = []
        agent.fetch("echo", "/var/big", got.append, progress=lambda *p: seen.append(p))
        assert b"".join(got) == big
        assert seen[-1] == (len(big), len(big))


def test_nothing_outside_of_the_state_directories_is_fetched(home: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with session(home) as agent:
        agent.push(cargo(module={"do": "write-state"}, smoke=()))
        agent.run("echo")
        state = Layout(home).state("echo", "/var")
        (state / "sub").mkdir()
        (state / "away").symlink_to(tmp_path / "secret")
        (state / "up").symlink_to("../../../../secret")
        (state / "sub" / "loop").symlink_to("loop")
        (state / "sub" / "fine").symlink_to("../result.txt")
        (state / "rel").symlink_to("sub/fine")
        for path in (
            "/var/../../../../secret",
            "/etc/passwd",
            "../secret",
            "/var/away",
            "/var/up",
            "/var/sub/loop",
            "/var/nothing",
            "/var",
            "/var/sub",
            "/variant",
            "x" * 5000,
            "",
        ):
            with pytest.raises((NoSuchFile, UsageError)):
                agent.fetch("echo", path, lambda _: None)
        got: list[bytes] = []
        agent.fetch("echo", "/var/rel", got.append)
        agent.fetch("echo", "/var/./sub/../result.txt", got.append)
        assert got == [b"42\n", b"42\n"]
        with pytest.raises(NoSuchFile) as caught:
            agent.fetch("echo", "/var", got.append)
        assert "result.txt" in caught.value.details["entries"]


# -- versions ---------------------------------------------------------------------------------------------------------


def test_a_request_that_an_older_agent_does_not_know_says_so(home: Path) -> None:
    with session(home) as agent:
        with pytest.raises(VersionMismatch, match="does not know the request 'levitate'") as caught:
            agent._connection.ask("levitate")
        assert "update the agent" in caught.value.remedy
        agent._connection.ask("ping", wish="unknown members are left alone")


def two_variants(model: bytes) -> Cargo:
    """A bundle with a second variant whose model is another one."""
    from dataclasses import replace

    from lading_agent.bill import Variant, VariantModel
    from tests.support.bills import digest

    bundle = cargo()
    first = bundle.bill.variants[0]
    second = Variant("other", first.module, (VariantModel("m", "1.0.0", digest(model), len(model)),))
    bill = replace(bundle.bill, variants=(first, second)).seal()
    return Cargo(bill, {**bundle.contents, digest(model): model})


def test_a_device_gets_one_variant_and_changes_to_another_only_when_it_is_right(home: Path) -> None:
    with session(home) as agent:
        bad = two_variants(b"bad other")
        agent.push(bad)
        with pytest.raises(GoldenMismatch):
            agent.push(bad, variant="other")
        assert agent.releases()["releases"][0]["variant"] == "default"
        assert_whole(home, "echo", {bad.release})
        good = two_variants(b"good other")
        agent.push(good)
        result = agent.push(good, variant="other")
        assert (result.sent_blobs, result.variant) == (1, "other")
        assert agent.releases()["releases"][0]["variant"] == "other"
        assert agent.push(good, variant="other").already_current
        agent.gc(keep=1)
    assert_whole(home, "echo", {good.release})
