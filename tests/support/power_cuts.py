"""True power cuts in the middle of a push to a real board: its machine is killed, and boots from the same disk again.

A board stands on an old release. A new one is pushed, and the power goes at one of the push's steps, or at some moment.
Then the disk's file system has to be sound once its journal is replayed, the board has to come up on the old release or
on the new one, whole, and the next push has to go on from there. The new release is the old one of the next case.
"""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lading.boards.state import started_at
from lading.bootstrap.link import agent_link
from lading.bundle import open_bundle, pack
from lading.client import Session
from lading.errors import LadingError
from lading.project.load import load_project
from lading_agent.store.steps import STEPS
from tests.support.apps import write_app
from tests.support.examples import EXAMPLES, ROOT
from tests.support.programs import need
from tests.support.qemu_boards import QemuBoard, raised
from tests.support.wat_guests import infers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lading.links.host import CommandLink

APP: Final = "app"
HOME: Final = "/home/user/.local/share/lading"
AT_STEP: Final = b"AT-STEP"
NOT_REACHED: Final = ("pending", "pending-boot", "pending-watch")
"""Steps of pushes that wait to be confirmed."""
PLAIN: Final = tuple(step for step in STEPS if step not in NOT_REACHED)
SEED: Final = 7
_POLL_S: Final = 0.01

_PAUSING: Final = f"""\
import os, sys, time
from pathlib import Path
home, step, device = sys.argv[1:4]
sys.path.insert(0, os.path.realpath(os.path.join(home, "agent", "current")))
from lading_agent.serve.stdio import serve_stdio
def on_step(name):
    if name == step:
        os.write(2, b"{AT_STEP.decode()}\\n")
        time.sleep(3600)
sys.exit(serve_stdio(Path(home), Path(device), on_step=on_step))
"""

_JUDGING: Final = """\
import os, sys
from pathlib import Path
home, app = sys.argv[1:3]
sys.path.insert(0, os.path.realpath(os.path.join(home, "agent", "current")))
{stores}
print(assert_whole(Path(home), app, set(sys.argv[3:])))
"""


@dataclass(frozen=True)
class Cut:
    """When the power goes."""

    step: str | None = None
    """As this step is about to be taken; None: at a moment."""
    share: float = 0.0
    """The moment, as a share of what a whole push takes."""

    def __str__(self) -> str:
        return self.step or f"after {self.share:.0%} of a push"


@dataclass
class Outcome:
    """How a cut ended."""

    cut: Cut
    on: str = ""
    """``old``, ``new`` or ``between``."""
    fsck: str = ""
    """What the file system check says that is not as it should be."""
    resumed: int = 0
    """Octets that the next push found there and did not send again."""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Yard:
    """A board, and the releases that it gets one after the other."""

    board: QemuBoard
    folder: Path
    number: int = 1
    release: str = ""
    """What it stands on."""
    whole_s: float = 0.0
    """What a whole push takes."""

    def bundle(self, number: int) -> Path:
        """The app in a version of its own; most of its bytes are those of no other version."""
        source = random.Random(SEED + number)
        model = (EXAMPLES / "digits" / "models" / "digits_int8.tflite").read_bytes()
        project = write_app(
            self.folder / "project",
            infers("m"),
            name=APP,
            version=f"{number}.0.0",
            models={"m": model},
            more='[[dir]]\nhost = "cargo"\nguest = "/cargo"\n',
        )
        (project / "cargo").mkdir(exist_ok=True)
        (project / "cargo" / "same.bin").write_bytes(random.Random(SEED).randbytes(200_000))
        for name, size in (("large.bin", 3_000_000), ("small.bin", 3_000)):
            (project / "cargo" / name).write_bytes(source.randbytes(size))
        return pack(load_project(project), self.folder / f"{number}.lading").path

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """A session with the board's own agent."""
        with self.board.host() as host, Session(agent_link(host)) as agent:
            yield agent

    def push(self, bundle: Path) -> Any:
        """A push that nothing happens to."""
        with self.session() as agent, open_bundle(bundle) as cargo:
            return agent.push(cargo)

    def kill(self) -> None:
        """The power goes; nothing of the machine is there any more."""
        pid = self.board.said["pid"]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        while started_at(pid) is not None:
            time.sleep(_POLL_S)


@contextlib.contextmanager
def yard(folder: Path) -> Iterator[Yard]:
    """A board on its first release, and how long a push takes there."""
    with raised("debian-arm64", folder) as board:
        ready = Yard(board, folder)
        ready.release = ready.push(ready.bundle(1)).release
        began = time.monotonic()
        ready.number = 2
        ready.release = ready.push(ready.bundle(2)).release
        ready.whole_s = time.monotonic() - began
        with board.host() as host:
            for name, text in (("pausing.py", _PAUSING), ("judging.py", _judging())):
                assert host.run(f"cat >{name} && sync", text.encode()).status == 0
        yield ready


def _judging() -> str:
    """A program for the board that looks at its store as the tests of this machine do."""
    head, _, tail = _JUDGING.partition("{stores}")
    body = (ROOT / "tests" / "support" / "stores.py").read_text().partition("from __future__ import annotations\n")[2]
    return "from __future__ import annotations\n" + head + body + tail


def cuts(moments: int, steps: Sequence[str] = PLAIN) -> list[Cut]:
    """A cut at each of the steps, and at so many moments of a push, its end included."""
    source = random.Random(SEED)
    return [*(Cut(step) for step in steps), *(Cut(share=source.random() * 1.05) for _ in range(moments))]


def try_cut(ground: Yard, cut: Cut) -> Outcome:
    """Cut the power during a push, and see how the board stands and goes on."""
    outcome = Outcome(cut)
    old, number = ground.release, ground.number + 1
    bundle = ground.bundle(number)
    with open_bundle(bundle) as cargo:
        new = cargo.bill.release
    try:
        _push_and_cut(ground, cut, bundle)
        outcome.fsck = _check_disk(ground)
        if outcome.fsck:
            outcome.wrong.append(outcome.fsck)
        ground.board.up()
        judged = ground.board.run(f"python3 judging.py {HOME} {APP} {old} {new}").strip()
        outcome.on = {old: "old", new: "new"}.get(judged, "between")
        done = ground.push(bundle)
        outcome.resumed = done.skipped_bytes
        after = ground.board.run(f"python3 judging.py {HOME} {APP} {new}").strip()
        if after != new:
            outcome.wrong.append(f"the next push left {after}")
    except (AssertionError, LadingError, OSError, subprocess.SubprocessError) as error:
        outcome.on = outcome.on or "between"
        outcome.wrong.append(f"{type(error).__name__}: {error}"[:1000])
        ground.kill()
        ground.board.up()
    ground.number, ground.release = number, new
    bundle.unlink()
    return outcome


def _push_and_cut(ground: Yard, cut: Cut, bundle: Path) -> None:
    ended = threading.Event()
    with ground.board.host() as host:
        if cut.step is None:
            link: CommandLink = agent_link(host)  # type: ignore[assignment]  # a link that started a command
            meeting = threading.Thread(target=_after, args=(ground, cut.share * ground.whole_s, ended))
        else:
            device = ground.board.run(f"ls -t {HOME}/agent/*.json | head -1").strip()
            words = ["python3", "pausing.py", HOME, cut.step, device]
            link = host.start(" ".join(map(shlex.quote, words)))
            meeting = threading.Thread(target=_at_step, args=(ground, link, ended))
        meeting.start()
        with contextlib.suppress(LadingError, EOFError, OSError):
            try:
                with Session(link) as agent, open_bundle(bundle) as cargo:
                    agent.push(cargo)
            finally:
                ended.set()
        meeting.join()
    ground.kill()


def _after(ground: Yard, seconds: float, ended: threading.Event) -> None:
    ended.wait(seconds)
    ground.kill()


def _at_step(ground: Yard, link: CommandLink, ended: threading.Event) -> None:
    while AT_STEP not in link.errors() and not ended.is_set():
        time.sleep(_POLL_S)
    ground.kill()


def _check_disk(ground: Yard) -> str:
    """What a file system check says of the disk once its journal is replayed; empty when it is sound."""
    raw = ground.folder / "disk.raw"
    disk = ground.board.folder / "disk.qcow2"
    words = [need("qemu-img"), "convert", "-O", "raw", str(disk), str(raw)]
    try:
        subprocess.run(words, check=True, capture_output=True)
        fsck = need("e2fsck")
        replayed = subprocess.run([fsck, "-p", str(raw)], capture_output=True, text=True, check=False)
        if replayed.returncode not in (0, 1):
            return f"e2fsck -p: {replayed.returncode}: {replayed.stdout[-500:]}{replayed.stderr[-500:]}"
        checked = subprocess.run([fsck, "-f", "-n", str(raw)], capture_output=True, text=True, check=False)
        return "" if checked.returncode == 0 else f"e2fsck -fn: {checked.returncode}: {checked.stdout[-1000:]}"
    finally:
        raw.unlink(missing_ok=True)


def tally(outcomes: list[Outcome]) -> dict[str, int]:
    """The figures of a matrix."""
    return {
        "cuts": len(outcomes),
        **{on: sum(outcome.on == on for outcome in outcomes) for on in ("old", "new", "between")},
        "fsck_failures": sum(bool(outcome.fsck) for outcome in outcomes),
        "resumed_bytes": sum(outcome.resumed for outcome in outcomes),
    }
