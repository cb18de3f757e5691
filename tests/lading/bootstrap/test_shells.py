"""The login shell is whatever the user likes; greetings of any kind are read over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.bootstrap import purge
from lading.bootstrap.bring import install_line
from lading.bootstrap.cargo import Cargo
from lading.bootstrap.purge import purge_line
from lading.bootstrap.shell import home_text
from lading.bootstrap.start import start_line
from tests.support.boards import HOME, session
from tests.support.local_host import LocalHost
from tests.support.programs import need

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = {
    "dash": ("dash",),
    "bash": ("bash",),
    "bash-login": ("bash", "-l"),
    "busybox": ("busybox", "sh"),
    "zsh": ("zsh",),
    "fish": ("fish",),
    "csh": ("csh",),
}


@pytest.mark.parametrize("name", SHELLS)
def test_any_login_shell_will_do(tmp_path: Path, name: str) -> None:
    program, *words = SHELLS[name]
    host = LocalHost(tmp_path / "board", shell=[need(program), *words])
    for _ in range(2):
        with session(host) as opened:
            opened.ping()
    assert (host.home / HOME / "device.json").is_file()
    assert purge(host).removed
    assert not (host.home / HOME).exists()


def test_what_a_shell_prints_first_is_read_over(tmp_path: Path) -> None:
    greeting = tmp_path / "greeting-shell"
    greeting.write_text(
        "#!/bin/sh\n"
        "echo 'Welcome! @lading-bootstrap missing @lading-look home /nowhere'; printf 'no line end \\377\\033[1m'\n"
        'exec /bin/sh "$@"\n'
    )
    greeting.chmod(0o755)
    host = LocalHost(tmp_path / "board", shell=[str(greeting)])
    for _ in range(2):
        with session(host) as opened:
            opened.ping()
    assert purge(host).removed


def test_no_command_has_what_a_shell_would_touch() -> None:
    cargo = Cargo(b"agent", {}, {})
    for line in (
        start_line(home_text("/opt/my lading"), cargo.file_name, cargo.ready),
        install_line(home_text(None), "/usr/bin/python3", cargo, 10_000),
        purge_line(home_text("~/x")),
    ):
        assert line.startswith("sh -c '")
        assert line.endswith("'")
        assert not set(line[len("sh -c '") : -1]) & set("'!\\\n\r")
        assert len(line) < 1024, "csh of old takes no longer words"
