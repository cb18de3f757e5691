"""What can go wrong with a push over SSH, case by case, against a real ``sshd``: for samples and for the whole matrix.

A board is set up once, with an old release; each case gets a copy of it. The connection of a push is cut at an octet,
or something happens at one of its steps: agent, session or client are killed, the link is cut, the storage is full.
Then the board has to be on the old release or on the new one, and the next push has to go on from there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.bootstrap.cargo import load_cargo
from lading.bootstrap.link import agent_link
from lading.bootstrap.shell import home_text
from lading.bootstrap.start import start, start_line
from lading.bundle import open_bundle, pack
from lading.client import Session
from lading.devices.address import Ssh, parse
from lading.errors import LadingError, LinkLost, NoSpace
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from lading.project.load import load_project
from lading_agent.store.layout import Layout
from lading_agent.store.steps import STEPS
from tests.support.boards import tmpfs
from tests.support.cutting_proxy import cutting
from tests.support.sshd import serving
from tests.support.stores import assert_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lading_agent.bill import Bill
    from tests.support.cutting_proxy import CuttingProxy
    from tests.support.sshd import Sshd

ROOT: Final = Path(__file__).parents[2]
APP: Final = "digits"
FAULTS: Final = ("kill-agent", "kill-session", "kill-client", "cut", "full")
"""What can happen at a step."""
AGAIN: Final = 1 << 20
"""How many octets of what had arrived may be sent once more."""
SWITCHED: Final = STEPS.index("switch-rename")
PATIENCE_S: Final = 60.0
SEED: Final = 5

CLIENT: Final = """
import sys
from pathlib import Path
from lading.bundle import open_bundle
from lading.client import Session
from lading.devices.address import parse
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
address, client, bundle, command = sys.argv[1:]
places = Places(Path(client), Path(client) / ".ssh" / "config")
with open_host(parse(address), options=Options(places)) as host, open_bundle(bundle) as cargo:
    with Session(host.start(command)) as agent:
        agent.push(cargo)
"""


@dataclass(frozen=True)
class Case:
    """Something that goes wrong, and where."""

    fault: str
    """``cut-at`` or one of :data:`FAULTS`."""
    at: int | str
    """An octet of the connection, or a step."""
    reset: bool = False
    """Whether a cut is a reset."""

    def __str__(self) -> str:
        return f"{self.fault} {self.at}{' (reset)' if self.reset else ''}"


@dataclass
class Outcome:
    """How a case ended."""

    case: Case
    on: str = ""
    """``old``, ``new`` or ``between``: on which release the board was after the fault."""
    arrived: int = 0
    """Octets of the connection that had arrived at the board's server."""
    kept: int = 0
    """Octets of the new release that the board still had."""
    resumed: int = 0
    """Octets of blobs that had begun, which the next push did not send again."""
    again: int = 0
    """Octets that had arrived and were sent once more, at most."""
    wrong: list[str] = field(default_factory=list)
    """What is not as it should be."""


@dataclass(frozen=True)
class Yard:
    """A server, a relay in front of it, and a board's home to copy."""

    server: Sshd
    proxy: CuttingProxy
    prepared: Path
    """The agent's home on a board that has been set up, and is on the old release."""
    old: Bill
    new: Path
    """The bundle that is pushed."""
    bill: Bill
    """… and its bill."""
    agent: str
    ready: str
    octets: int = 0
    """What a push takes on the connection when nothing goes wrong, both ways together."""

    def copy(self, name: str) -> Path:
        """A fresh home like the prepared one."""
        home = self.server.home / name
        shutil.copytree(self.prepared, home, symlinks=True, copy_function=_link_blob)
        return home

    @contextlib.contextmanager
    def session(self, home: str, *, far: bool = False, command: str | None = None) -> Iterator[Session]:
        """A session with the agent of a home below the board's; ``far``: over the relay."""
        with open_host(self.address(far=far), host_key=self.server.fingerprint(), options=self.options) as host:
            if command is not None:
                opened = Session(host.start(command))
            else:
                began = start(host, start_line(home_text(home), self.agent, self.ready))
                if began.link is None:
                    raise LinkLost(f"no agent: {began.said[-500:]}", remedy="look at the board")
                opened = Session(began.link)
            with opened:
                yield opened

    def address(self, *, far: bool = False) -> Ssh:
        """The board's address."""
        address = parse(f"ssh://{self.server.user}@127.0.0.1:{self.proxy.port if far else self.server.port}")
        assert isinstance(address, Ssh)
        return address

    @property
    def options(self) -> Options:
        """How connections are made."""
        return Options(Places(self.server.client, self.server.config))

    def faulty(self, home: Path, step: str, fault: str, folder: Path) -> str:
        """The command that starts an agent which meets a fault."""
        words = [sys.executable, ROOT / "tests" / "support" / "faulty_agent.py", step, fault, folder]
        words += ["serve", "--home", home, "--device", home / "agent" / f"{self.ready}.json"]
        path = os.pathsep.join(entry for entry in sys.path if entry)
        return f"env PYTHONPATH={shlex.quote(path)} " + " ".join(shlex.quote(str(word)) for word in words)

    def missing(self) -> dict[str, int]:
        """What the old release does not have of the new one."""
        there = self.old.blobs()
        return {digest: size for digest, size in self.bill.blobs().items() if digest not in there}


def _link_blob(source: str, target: str) -> None:
    if "/blobs/sha256/" in source:  # they never change where they are
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@contextlib.contextmanager
def yard(folder: Path) -> Iterator[Yard]:
    """Set a board up."""
    old, new = _bundles(folder)
    with serving(folder / "sshd") as server, cutting(server.port) as proxy, open_bundle(old) as before:
        cargo = load_cargo()
        ready = Yard(
            server, proxy, server.home / "prepared", before.bill, new, _bill(new), cargo.file_name, cargo.ready
        )
        with (
            open_host(ready.address(), options=ready.options) as host,
            Session(agent_link(host, "prepared")) as agent,
        ):
            agent.push(before)
        ready.copy("measured")
        proxy.arm(None)
        with open_bundle(new) as bundle, ready.session("measured", far=True) as agent:
            agent.push(bundle)
        octets = proxy.up + proxy.down
        shutil.rmtree(server.home / "measured")
        yield Yard(**{**vars(ready), "octets": octets})


def _bill(path: Path) -> Bill:
    with open_bundle(path) as bundle:
        return bundle.bill


def _bundles(folder: Path) -> tuple[Path, Path]:
    """The digits example with blobs of several MiB, in an old and a new version that share some of them."""
    project = folder / "project"
    shutil.copytree(ROOT / "examples" / APP, project, ignore=shutil.ignore_patterns("dist", "*.c", "*.py"))
    source = random.Random(SEED)
    toml = (project / "lading.toml").read_text()
    (project / "lading.toml").write_text(toml + '\n[[dir]]\nhost = "cargo"\nguest = "/cargo"\n')
    (project / "cargo").mkdir()
    (project / "cargo" / "same.bin").write_bytes(source.randbytes(300_000))
    made: list[Path] = []
    for version in ("1.0.0", "2.0.0"):
        text = (project / "lading.toml").read_text()
        (project / "lading.toml").write_text(text.replace('version = "1.0.0"', f'version = "{version}"', 1))
        for name, size in (("large.bin", 5_000_000), ("middle.bin", 1_500_000), ("small.bin", 3_000)):
            (project / "cargo" / name).write_bytes(source.randbytes(size if version == "2.0.0" else 1000))
        made.append(folder / f"{version}.lading")
        pack(load_project(project), made[-1])
    return made[0], made[1]


def cuts(octets: int, count: int) -> list[Case]:
    """Places to cut a connection of so many octets at: everywhere, and more at both ends, where more than data goes."""
    source = random.Random(SEED)
    cases = []
    for number in range(count):
        low, high = ((0, octets), (0, octets), (0, octets), (0, 12_000), (octets - 6_000, octets))[number % 5]
        cases.append(Case("cut-at", source.randrange(low, high), reset=source.random() < 0.5))
    return cases


def steps() -> list[Case]:
    """Everything that can happen at each step."""
    return [Case(fault, step) for step in STEPS for fault in FAULTS]


def try_case(ground: Yard, case: Case) -> Outcome:
    """Have it go wrong on a fresh copy of the board, and see how the board stands and goes on."""
    outcome = Outcome(case)
    name = f"{case.fault}-{case.at}"
    place: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if case.fault == "full":
        place = tmpfs(ground.server.home / name, f"size={_size(ground.prepared) + (24 << 20)}")
        name += "/home"
    folder = ground.server.folder / "fault"
    folder.mkdir()
    with place:
        home = ground.server.home / name
        if case.fault == "full":
            shutil.copytree(ground.prepared, home, symlinks=True)
        else:
            ground.copy(name)
        try:
            _meet(ground, case, name, home, folder, outcome)
            _wait_for_the_end(home)
            _judge(ground, case, name, home, outcome)
        except (AssertionError, LadingError, OSError) as error:
            outcome.wrong.append(f"{type(error).__name__}: {error}"[:1000])
        finally:
            ground.proxy.arm(None)
            _wait_for_the_end(home)
            shutil.rmtree(home)
            shutil.rmtree(folder)
    return outcome


def _size(home: Path) -> int:
    return sum(max(path.lstat().st_size, 4096) for path in home.rglob("*"))


def _meet(ground: Yard, case: Case, name: str, home: Path, folder: Path, outcome: Outcome) -> None:
    """Push, and have the fault."""
    if case.fault == "cut-at":
        assert isinstance(case.at, int)
        ground.proxy.arm(case.at, reset=case.reset)
        with contextlib.suppress(LadingError), ground.session(name, far=True) as agent:
            _push(ground, agent)
        outcome.arrived = ground.proxy.up if ground.proxy.was_cut else 0
        return
    assert isinstance(case.at, str)
    ground.proxy.arm(None)
    action = {"kill-client": None, "cut": ground.proxy.cut, "full": lambda: _fill(home.parent / "ballast")}
    fault = "cut" if case.fault in action else case.fault
    command = ground.faulty(home, case.at, fault, folder)
    if case.fault == "kill-client":
        _kill_client(ground, command, folder)
        return
    meeting = threading.Thread(target=_at_step, args=(folder, action[case.fault])) if case.fault in action else None
    if meeting is not None:
        for fifo in ("at-step", "go-on"):
            os.mkfifo(folder / fifo)
        meeting.start()
    failure: LadingError | None = None
    try:
        with ground.session(name, far=True, command=command) as agent:
            _push(ground, agent)
    except LadingError as error:
        failure = error
    if meeting is not None:
        meeting.join(PATIENCE_S)
        assert not meeting.is_alive(), "the step was never reached"
    if case.fault == "full":
        assert failure is None or (isinstance(failure, NoSpace) and failure.remedy), f"a full device: {failure!r}"
        (home.parent / "ballast").unlink()
    elif case.fault != "cut":
        assert isinstance(failure, LinkLost), f"a lost link: {failure!r}"


def _push(ground: Yard, agent: Session) -> None:
    with open_bundle(ground.new) as bundle:
        agent.push(bundle)


def _at_step(folder: Path, action: Callable[[], None]) -> None:
    (folder / "at-step").read_bytes()
    action()
    (folder / "go-on").write_bytes(b"x")


def _kill_client(ground: Yard, command: str, folder: Path) -> None:
    for fifo in ("at-step", "go-on"):
        os.mkfifo(folder / fifo)
    words = [str(ground.address()), str(ground.server.client), str(ground.new), command]
    client = subprocess.Popen([sys.executable, "-c", CLIENT, *words], stdin=subprocess.DEVNULL, cwd=ROOT)
    _at_step(folder, client.kill)
    assert client.wait(PATIENCE_S) == -signal.SIGKILL


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _wait_for_the_end(home: Path) -> None:
    """Wait until no process works for a home any more."""
    wanted = [str(home).encode(), f"$HOME/{home.name}".encode()]
    deadline = time.monotonic() + PATIENCE_S
    while True:
        busy = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes()
                    if any(word in words for word in wanted):
                        busy.append(words.replace(b"\0", b" ").decode("utf-8", "replace"))
        if not busy:
            return
        assert time.monotonic() < deadline, f"still at work: {busy}"
        time.sleep(0.01)


def _judge(ground: Yard, case: Case, name: str, home: Path, outcome: Outcome) -> None:
    """Old or new, and not between; then the next push."""
    expected = {ground.old.release: "old", ground.bill.release: "new"}
    try:
        outcome.on = expected[str(assert_whole(home, APP, set(expected)))]
    except AssertionError:
        outcome.on = "between"
        raise
    if case.fault == "kill-agent" or (case.fault == "full" and STEPS.index(str(case.at)) > SWITCHED):
        assert outcome.on == ("old" if STEPS.index(str(case.at)) <= SWITCHED else "new"), "on the other release"
    layout = Layout(home)
    missing = ground.missing()
    for digest, size in missing.items():
        with contextlib.suppress(FileNotFoundError):
            outcome.kept += min(
                size, (layout.part(digest) if not layout.blob(digest).exists() else layout.blob(digest)).stat().st_size
            )
    outcome.again = max(0, min(outcome.arrived, sum(missing.values())) - outcome.kept)
    with open_bundle(ground.new) as bundle, ground.session(name) as agent:
        assert_whole(home, APP, set(expected))
        result = agent.push(bundle)
        outcome.resumed = result.resumed_bytes
        assert result.release == ground.bill.release
        assert result.sent_bytes == sum(missing.values()) - outcome.kept, "what the board has is sent once more"
        assert outcome.again <= AGAIN, f"{outcome.again} octets that had arrived are sent once more"
        assert_whole(home, APP, {ground.bill.release})
        assert agent.run(APP, args=["--self-test"]).status == 0
        assert agent.rollback(APP)["current"] == ground.old.release
    assert_whole(home, APP, {ground.old.release})
    assert not list(layout.staging.iterdir())
    names = {path.name for path in layout.blobs.iterdir()}
    prepared = {path.name for path in Layout(ground.prepared).blobs.iterdir()}
    assert names == prepared | {digest.partition(":")[2] for digest in missing}, "something is left over"


def tally(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The figures of many cases."""
    return {
        "cases": len(outcomes),
        **{on: sum(outcome.on == on for outcome in outcomes) for on in ("old", "new", "between")},
        "most_sent_again": max((outcome.again for outcome in outcomes), default=0),
        "resumed": sum(outcome.resumed > 0 for outcome in outcomes),
        "wrong": [f"{outcome.case}: {text}" for outcome in outcomes for text in outcome.wrong],
    }
