"""A device that lets one in and then says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.bootstrap.start import listen
from lading.errors import TimedOut
from tests.support.local_host import LocalHost

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("first", ["", "echo Welcome; "])
def test_a_login_shell_that_waits_for_something_is_given_up(tmp_path: Path, first: str) -> None:
    shell = tmp_path / "waiting-shell"
    shell.write_text(f"#!/bin/sh\n{first}exec sleep 600\n")
    shell.chmod(0o755)
    link = LocalHost(tmp_path / "board", shell=[str(shell)]).start("true")
    with pytest.raises(TimedOut, match="said nothing for") as caught:
        listen(link, 0.5)
    assert caught.value.code == "timed-out"
    assert link.exit_status(30) is not None, "what was started is gone"
