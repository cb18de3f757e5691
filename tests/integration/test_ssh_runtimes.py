"""Over a real SSH server: an app goes to a runtime that the board has of its own, with the whole check before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.probe.models import model
from tests.support import runtime_stand_in
from tests.support.apps import write_app
from tests.support.command import Lading
from tests.support.sshd import Sshd, serving
from tests.support.wat_guests import infers, says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def lading(server: Sshd, tmp_path: Path) -> Lading:
    folder = tmp_path / "here"
    folder.mkdir()
    return Lading(server.client, folder, {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"})


def test_an_app_is_checked_pushed_and_run_on_the_boards_own_wasmedge(
    lading: Lading, server: Sshd, tmp_path: Path
) -> None:
    programs = server.home / ".wasmedge" / "bin"
    runtime_stand_in.install(programs, "wasmedge", "0.17.1", "wasmedge-0.17")
    good = infers("echo", (1, 4), content=bytes(16))
    app = write_app(tmp_path / "app", good, models={"echo": model("echo_f32")}, app='runtime = "wasmedge"')
    done = lading.json("deploy", app, server.address)["devices"][0]
    assert (done["check"]["verdict"], done["check"]["profile"]) == ("ok", "wasmedge-0.17")
    assert done["push"]["runtime"] == "wasmedge"
    assert done["run"]["status"] == 0
    assert done["run"]["metrics"]["runtime"].startswith("wasmedge 0.17.1")
    again = lading.json("deploy", app, server.address)["devices"][0]
    assert again["push"]["already_current"] is True
    assert again["round_trips"] <= 3
    bad = write_app(tmp_path / "bad", infers("echo", (1, 4), content=bytes(4)), models={"echo": model("echo_f32")})
    refused = lading("deploy", bad, server.address, "--runtime", "wasmedge", expect=1)
    assert "fails on wasmedge-0.17: set_input" in refused.err
    assert lading("run", server.address, "app", "--runtime", "wasmedge").out == ""


def test_a_release_of_a_runtime_that_nobody_knows_needs_to_be_allowed(
    lading: Lading, server: Sshd, tmp_path: Path
) -> None:
    runtime_stand_in.install(server.home / ".wasmedge" / "bin", "wasmedge", "0.19.0", "wasmedge-0.17")
    app = write_app(tmp_path / "app", says("hello\n"), app='runtime = "wasmedge"')
    assert "no firmware profile stands for wasmedge 0.19.0" in lading("push", app, server.address, expect=1).err
    assert lading("deploy", app, server.address, "--allow-unknown").out == "hello\n"
    assert lading("run", server.address).out == "hello\n", "what was allowed stays allowed"
