"""What cannot take the agent is told so in one sentence, with a remedy, before anything is sent to it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from lading.bootstrap import agent_link
from lading.errors import EngineUnfit, HomeUnusable, LadingError, NoCommands, NoPython, NoSpace
from lading.links.host import Finished
from tests.support.boards import path_with, session, tmpfs
from tests.support.local_host import LocalCommand, LocalHost

if TYPE_CHECKING:
    from pathlib import Path

BOARD = {
    "uname": "Linux 6.1.21-v8+ aarch64",
    "bits": "64",
    "libc": "glibc 2.36",
    "libstdcxx": "file /usr/lib/aarch64-linux-gnu/libstdc++.so.6\nGLIBCXX_3.4.30",
    "python": "/usr/bin/python3 Python 3.11.2",
    "runtimes": "",
    "df": "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/root 15000000 1 14000000 1% /",
    "write": "ok",
    "exec": "ok",
}


class ToldHost(LocalHost):
    """A device of which only the answer to the look is known; whatever else is started says nothing."""

    said: dict[str, str]

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Finished:
        """Answer the look."""
        assert command == "sh -s"
        self.commands.append(command)
        lines = ["welcome!", f"@lading-look home {self.home}/.local/share/lading", f"@lading-look below {self.home}"]
        lines += [f"@lading-look {key} {self.said[key]}" for key in ("bits", "write", "exec")]
        for key in ("uname", "df", "libc", "libstdcxx", "python", "runtimes", "end"):
            lines += [f"@lading-facts {key}", self.said.get(key, "")]
        return Finished(0, "\n".join(lines).encode(), b"")

    def start(self, command: str) -> LocalCommand:
        """Start nothing."""
        assert len(self.commands) == 0, "something is sent to a device that cannot take it"
        self.commands.append(command)
        return LocalCommand(["true"], self.description)


@pytest.mark.parametrize(
    ("change", "error", "says", "remedy"),
    [
        ({"python": ""}, NoPython, "no Python", "apt install python3"),
        ({"python": "/usr/bin/python3 Python 3.8.10"}, NoPython, "only Python 3.8.10", "apt install python3"),
        ({"uname": "Linux 6.1 armv7l", "bits": "32"}, EngineUnfit, "armv7l", "runtime"),
        ({"uname": "Linux 6.1 aarch64", "bits": "32"}, EngineUnfit, "armv7l", "runtime"),
        ({"uname": "Linux 6.1 riscv64"}, EngineUnfit, "riscv64", "runtime"),
        ({"libc": "musl libc (aarch64)\nVersion 1.2.4"}, EngineUnfit, "musl", "glibc"),
        ({"libc": "glibc 2.31"}, EngineUnfit, "glibc 2.31", "Debian 12"),
        ({"uname": "Linux 6.1 x86_64", "libc": "glibc 2.26"}, EngineUnfit, "glibc 2.26", "update"),
        ({"libstdcxx": ""}, EngineUnfit, "libstdc++", "libstdc++6"),
        ({"libstdcxx": "file /usr/lib/libstdc++.so.6\nGLIBCXX_3.4.25"}, EngineUnfit, "GLIBCXX_3.4.25", "update"),
        (
            {"write": "no mkdir: cannot create directory ‘/h/.x’: Read-only file system"},
            HomeUnusable,
            "Read-only",
            "?home",
        ),
        ({"write": "no sh: 1: cannot create /h/.x: Permission denied"}, HomeUnusable, "Permission denied", "?home"),
        ({"write": "no mkdir: can't create directory: No space left on device"}, NoSpace, "No space left", "remove"),
        ({"exec": "no sh: 1: /h/.x: Permission denied"}, HomeUnusable, "noexec", "mounted with exec"),
    ],
)
def test_a_device_that_cannot_take_it_is_refused_before_anything_is_sent(
    tmp_path: Path, change: dict[str, str], error: type[LadingError], says: str, remedy: str
) -> None:
    host = ToldHost(tmp_path / "board")
    host.said = {**BOARD, **change}
    with pytest.raises(error) as caught:
        agent_link(host)
    assert type(caught.value) is error
    assert says in caught.value.message
    assert remedy in caught.value.remedy
    assert caught.value.message.startswith("ssh://board")
    assert "\n" not in caught.value.message
    assert caught.value.exit_status == 1
    assert len(host.commands) == 2


def test_an_installed_runtime_is_named_as_a_way_out(tmp_path: Path) -> None:
    host = ToldHost(tmp_path / "board")
    host.said = {**BOARD, "python": "", "runtimes": "iwasm /usr/bin/iwasm iwasm 2.4.1"}
    with pytest.raises(NoPython) as caught:
        agent_link(host)
    assert "WAMR 2.4.1" in caught.value.remedy
    assert "/usr/bin/iwasm" in caught.value.remedy


def test_too_little_space_is_counted_before_anything_is_sent(tmp_path: Path) -> None:
    host = ToldHost(tmp_path / "board")
    host.said = {
        **BOARD,
        "uname": "Linux 6.1 x86_64",
        "df": "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/root 15000 1 9000 1% /",
    }
    with pytest.raises(NoSpace, match="bytes are missing") as caught:
        agent_link(host)
    assert caught.value.details["free_bytes"] == 9000 * 1024


def test_a_device_without_python_says_so(tmp_path: Path) -> None:
    host = LocalHost(tmp_path / "board", path=path_with(tmp_path / "bin"))
    with pytest.raises(NoPython, match="no Python"):
        agent_link(host)
    assert list(host.home.iterdir()) == []


def test_a_noexec_home_says_so_and_nothing_stays_there(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "board", "size=64m,noexec") as home:
        with pytest.raises(HomeUnusable, match="noexec"):
            agent_link(LocalHost(home))
        assert list(home.iterdir()) == []


def test_a_read_only_home_says_so(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "board", "size=64m,ro") as home, pytest.raises(HomeUnusable, match="Read-only file system"):
        agent_link(LocalHost(home))


def test_a_small_storage_says_how_much_is_missing(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "board", "size=16m") as home:
        with pytest.raises(NoSpace, match="bytes are missing"):
            agent_link(LocalHost(home))
        assert list(home.iterdir()) == []


def test_a_storage_without_any_space_says_so(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "board", "size=64m") as home:
        with (home / "filler").open("wb", 0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 65536):
                pass
        with pytest.raises(NoSpace):
            agent_link(LocalHost(home))
        assert [p.name for p in home.iterdir()] == ["filler"]


def test_a_cut_down_python_is_named(tmp_path: Path) -> None:
    fake = tmp_path / "python3"
    fake.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo Python 3.11.2; exit 0; fi\n'
        "echo \"ModuleNotFoundError: No module named 'hashlib'\" >&2; exit 1\n"
    )
    fake.chmod(0o755)
    host = LocalHost(tmp_path / "board", path=path_with(tmp_path / "bin", python3=fake))
    with pytest.raises(NoPython, match="hashlib"):
        agent_link(host)


def test_a_login_that_starts_no_commands_says_so(tmp_path: Path) -> None:
    nologin = tmp_path / "nologin"
    nologin.write_text("#!/bin/sh\necho This account is currently not available.\nexit 1\n")
    nologin.chmod(0o755)
    with pytest.raises(NoCommands, match="not available"):
        agent_link(LocalHost(tmp_path / "board", shell=[str(nologin)]))


@pytest.mark.parametrize(
    "theirs",
    ["apps/shop/index.html", "blobs/sha256/" + "a" * 64, "cache/x", "staging/tmp-1-1", "runs/1", "device.json", "lock"],
)
def test_a_folder_with_somebody_elses_files_is_no_home(tmp_path: Path, theirs: str) -> None:
    host = LocalHost(tmp_path / "board")
    path = host.home / "srv" / theirs
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    (host.home / "srv" / "agent").mkdir()
    before = sorted(host.home.rglob("*"))
    with pytest.raises(HomeUnusable, match="holds other files") as caught, session(host, home="srv"):
        pass
    assert caught.value.exit_status == 1
    assert "?home=" in caught.value.remedy
    assert path.read_text() == "theirs"
    assert sorted(host.home.rglob("*")) == before


def test_other_files_beside_those_of_an_agent_do_no_harm(tmp_path: Path) -> None:
    host = LocalHost(tmp_path / "board")
    for folder in ("agent", "apps", "blobs/sha256", "staging", "photos"):  # what a bootstrap leaves that was refused
        (host.home / "srv" / folder).mkdir(parents=True)
    (host.home / "srv" / "photos" / "cat.jpg").write_text("mine")
    with session(host, home="srv") as opened:
        opened.ping()
    assert (host.home / "srv" / "photos" / "cat.jpg").read_text() == "mine"
