"""Variants that are compiled ahead: made beside the portable ones, and at home on one runtime of one board only.

Neither ``wamrc`` nor ``iwasm`` can be had here. A program stands in for the compiler that takes its words, says its
version as it does, and makes what begins as its code does; ``tests/support/runtime_stand_in.py`` runs that.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading.bootstrap.cargo import known_runtimes
from lading.bundle import open_bundle, pack
from lading.check import Place
from lading.client import Session
from lading.deploy import Deployed, DeployOptions, Watcher, deploy_one
from lading.devices import resolve
from lading.errors import BundleError, CheckRefused, LadingError
from lading.project import load_project
from lading.variants import choose
from lading.variants.packing import Packer, Report, Wanted
from lading_agent.bill import Bill, BillError, Blob, Variant
from lading_agent.runs.choose import Chooser
from tests.support import runtime_stand_in, wat_guests
from tests.support.apps import write_app
from tests.support.local_agent import LocalLink, served
from tests.support.made_models import fully_connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MACHINE = os.uname().machine
WAMRC = """#!/bin/sh
[ "$1" = --version ] && { echo "wamrc VERSION"; exit; }
echo "$*" >> "$0.words"
while [ "$1" != -o ]; do shift; done
printf '\\0aot' > "$2"; cat "$3" >> "$2"
"""


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs besides the system's; caches of one's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def install_wamrc(folder: Path, version: str = "2.4.5", text: str = WAMRC) -> Path:
    program = folder / "wamrc"
    program.write_text(text.replace("VERSION", version))
    program.chmod(0o755)
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An f32 model that is loaded by name, and a board of this machine's architecture with WAMR."""
    folder = write_app(
        tmp_path / "app",
        wat_guests.infers("m", (1, 4)),
        models={"m": fully_connected(1, 4)},
        app='runtime = "iwasm"',
    )
    (folder / "targets").mkdir()
    (folder / "targets" / "own-board.toml").write_text(
        'schema = 1\ntitle = "A board"\nsummary = "One for a test."\nkind = "linux"\nprofiles = ["wamr-2.4"]\n'
        f'[cpu]\narchitecture = "{MACHINE}"\n[memory]\nram = "4GiB"\n[storage]\nkind = "disk"\n'
        '[provenance]\nknown-by = "declared"\nsources = ["https://example.org"]\n'
    )
    return folder


def packed(project: Path, *names: str, ahead: bool = True) -> tuple[Bill, Report]:
    packer = Packer(Wanted(names or ("own-board",), ahead_of_time=ahead))
    result = pack(load_project(project), project.parent / "out.lading", variants=packer)
    with open_bundle(result.path) as bundle:
        bundle.verify()
    return result.bill, packer.report


def compiled(bill: Bill) -> Variant:
    return next(v for v in bill.variants if "ahead" in v.needs)


def test_the_portable_variant_has_a_compiled_one_beside_it(project: Path, bin_: Path) -> None:
    program = install_wamrc(bin_)
    bill, report = packed(project)
    assert report.ahead == ()
    portable, made = bill.variants[1:]
    assert (portable.id, portable.provides) == ("wamr-2.4", {"profiles": ["wamr-2.4"]})
    assert made.needs == {
        **portable.needs,
        "ahead": {"architecture": MACHINE, "runtime": "iwasm", "version": "2.4.5", "portable": "wamr-2.4"},
    }
    assert (made.models, made.provides) == (portable.models, portable.provides)
    assert made.conversion[:-1] == portable.conversion
    assert made.conversion[-1]["compiler"] == "wamrc 2.4.5"
    assert made.module.size == portable.module.size + 4
    assert f"--target={MACHINE}" in (bin_ / f"{program.name}.words").read_text()


def test_the_same_is_made_from_the_cache_of_variants(project: Path, bin_: Path) -> None:
    install_wamrc(bin_)
    assert packed(project)[0] == packed(project)[0]


def test_a_project_says_that_it_wants_compiled_variants(project: Path, bin_: Path) -> None:
    install_wamrc(bin_)
    assert len(packed(project, ahead=False)[0].variants) == 2
    with (project / "lading.toml").open("a") as file:
        file.write("[pack]\nahead-of-time = true\n")
    assert len(packed(project, ahead=False)[0].variants) == 3


def test_without_a_compiler_the_bundle_is_what_it_was_and_it_is_said(project: Path, bin_: Path) -> None:
    assert bin_
    bill, report = packed(project)
    assert bill == packed(project, ahead=False)[0]
    assert report.ahead == ("nothing is compiled ahead by wamrc: there is no wamrc on this machine",)
    assert packed(project, "raspberry-pi-4b")[1].ahead == report.ahead, "once, for however many firmwares"


@pytest.mark.parametrize("version", ["2.3.1", "2.5.0", "of somebody"])
def test_a_compiler_of_another_release_compiles_nothing(project: Path, bin_: Path, version: str) -> None:
    install_wamrc(bin_, version)
    bill, report = packed(project)
    assert len(bill.variants) == 2
    assert "of the board's own release" in report.ahead[0]


def test_a_compiler_that_fails_leaves_the_portable_variant(project: Path, bin_: Path) -> None:
    install_wamrc(bin_, text='#!/bin/sh\n[ "$1" = --version ] && echo wamrc 2.4.5 && exit\necho no LLVM >&2; exit 3\n')
    bill, report = packed(project)
    assert len(bill.variants) == 2
    assert "no LLVM" in report.ahead[0]


def test_a_profile_alone_has_no_architecture(project: Path, bin_: Path) -> None:
    install_wamrc(bin_)
    bill, report = packed(project, "wamr-2.4")
    assert len(bill.variants) == 2
    assert "no target" in report.ahead[0]


@pytest.mark.parametrize("profile", ["lading-litert", "wamr-2.4"])
def test_lading_s_own_hosts_and_emulated_boards_get_the_portable_one(project: Path, bin_: Path, profile: str) -> None:
    install_wamrc(bin_)
    packed(project)
    with open_bundle(project.parent / "out.lading") as bundle:
        found = choose.for_place(bundle, Place(profiles.find(f"profile:{profile}")), everything=True)
    assert found.chosen is not None
    assert "ahead" not in bundle.bill.variant(found.chosen.variant).needs
    [refused] = [j for j in found.rejected if j.variant == compiled(bundle.bill).id]
    assert f"compiled ahead for iwasm 2.4.5 on {MACHINE}" in refused.verdict.reason


@pytest.fixture
def session(tmp_path: Path, bin_: Path) -> Iterator[Callable[[], Session]]:
    """Opens sessions with a board that has an ``iwasm`` of one's own."""
    assert bin_.is_dir()
    opened: list[Session] = []
    plain = served(tmp_path / "home", target={"run_memory_bytes": 4 * 1024**3})
    profile = profiles.find("profile:lading-litert").resolved()
    device = replace(plain, profile=profile, runner=Chooser(), runtimes=known_runtimes())

    def open_() -> Session:
        opened.append(Session(LocalLink(device)))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def deployed(project: Path, found: Session, **options: Any) -> Deployed:
    wanted = DeployOptions(**{"check": True, "native": True, **options})
    return deploy_one(project.parent / "out.lading", resolve("ssh://board"), wanted, Watcher(), found)


def with_iwasm(bin_: Path, session: Callable[[], Session], version: str = "2.4.5") -> Session:
    runtime_stand_in.install(bin_, "iwasm", version, "wamr-2.4")
    found = session()
    found.keep_measured("iwasm", "wamr-2.4")
    return found


def test_the_runtime_that_it_was_made_for_gets_and_runs_it(
    project: Path, bin_: Path, session: Callable[[], Session]
) -> None:
    install_wamrc(bin_)
    bill, _ = packed(project)
    done = deployed(project, with_iwasm(bin_, session))
    assert done.error is None
    assert done.push is not None
    assert done.push.variant == compiled(bill).id
    assert done.run is not None
    assert done.run.status == 0
    assert done.run.metrics["runtime"].startswith("iwasm 2.4.5")


def test_another_release_of_the_runtime_gets_the_portable_one(
    project: Path, bin_: Path, session: Callable[[], Session]
) -> None:
    install_wamrc(bin_)
    bill, _ = packed(project)
    found = with_iwasm(bin_, session, "2.4.4")
    done = deployed(project, found)
    assert done.error is None
    assert done.push is not None
    assert done.push.variant == "wamr-2.4"
    refused = deployed(project, found, variant=compiled(bill).id).error
    assert isinstance(refused, CheckRefused)
    assert "compiled ahead for iwasm 2.4.5" in refused.message


def test_machine_code_of_somebody_else_is_sent_only_when_it_is_asked_for(
    project: Path, bin_: Path, session: Callable[[], Session]
) -> None:
    install_wamrc(bin_)
    bill, _ = packed(project)
    found = with_iwasm(bin_, session)
    plain, asked = deployed(project, found, native=False), deployed(project, found, variant=compiled(bill).id)
    assert plain.push is not None
    assert plain.push.variant == "wamr-2.4"
    assert asked.push is not None
    assert asked.push.variant == compiled(bill).id


def test_the_device_itself_runs_it_on_nothing_else(project: Path, bin_: Path, session: Callable[[], Session]) -> None:
    install_wamrc(bin_)
    bill, _ = packed(project)
    found = with_iwasm(bin_, session)
    judged = [{"runtime": "iwasm", "version": "2.4.5", "passes": True, "unknown": False, "said": "", "remedy": ""}]
    with open_bundle(project.parent / "out.lading") as bundle:
        with pytest.raises(CheckRefused, match="compiled ahead"):
            found.push(bundle, variant=compiled(bill).id, runtime="lading")
        found.push(bundle, variant=compiled(bill).id, judged=judged)
    with pytest.raises(CheckRefused, match="compiled ahead"):
        found.run("app", runtime="lading")
    runtime_stand_in.install(bin_, "iwasm", "2.4.4", "wamr-2.4")
    with pytest.raises(CheckRefused, match="compiled ahead"):
        found.run("app", allow_unknown=True)


def repacked(project: Path, change: Callable[[Bill], Bill]) -> Path:
    """A bundle of a stranger: another bill over the same contents."""

    class Stranger(Packer):
        def add(self, *what: Any, **more: Any) -> Bill:
            return change(super().add(*what, **more))

    packer = Stranger(Wanted(("own-board",), ahead_of_time=True))
    return pack(load_project(project), project.parent / "stranger.lading", variants=packer).path


def test_machine_code_that_is_not_said_to_be_some_is_taken_by_nobody(
    project: Path, bin_: Path, session: Callable[[], Session]
) -> None:
    install_wamrc(bin_)

    def hide(bill: Bill) -> Bill:
        *others, made = bill.variants
        needs = {key: value for key, value in made.needs.items() if key != "ahead"}
        return replace(bill, variants=(*others, replace(made, needs=needs)))

    judged = [{"runtime": "iwasm", "version": "2.4.5", "passes": True, "unknown": False, "said": "", "remedy": ""}]
    with open_bundle(repacked(project, hide)) as bundle:
        with pytest.raises(BundleError, match="machine code, and does not say so"):
            bundle.verify()
        found = with_iwasm(bin_, session)
        with pytest.raises(LadingError, match="machine code that it does not speak of"):
            found.push(bundle, variant=bundle.bill.variants[-1].id, judged=judged)
        assert found.status()["apps"] == {}


def test_a_module_that_is_said_to_be_machine_code_is_refused(project: Path, bin_: Path) -> None:
    install_wamrc(bin_, text=WAMRC)

    def pretend(bill: Bill) -> Bill:
        default, portable, made = bill.variants
        made = replace(made, module=default.module)
        return replace(bill, variants=(default, portable, made))

    with (
        open_bundle(repacked(project, pretend)) as bundle,
        pytest.raises(BundleError, match="none of the machine code"),
    ):
        bundle.verify()


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        ({"portable": "nobody"}, "made of no module that is there"),
        ({"portable": "SELF"}, "made of no module that is there"),
        ({"architecture": 7}, "not text"),
        ({"runtime": "../iwasm"}, "needs.ahead.runtime"),
        ({"more": "x"}, "more"),
    ],
)
def test_a_bill_that_lies_about_machine_code_is_refused(
    project: Path, bin_: Path, ahead: dict[str, Any], said: str
) -> None:
    install_wamrc(bin_)
    bill, _ = packed(project)
    made = compiled(bill)
    changed = {**made.needs["ahead"], **{k: made.id if v == "SELF" else v for k, v in ahead.items()}}
    lying = replace(made, needs={**made.needs, "ahead": changed})
    with pytest.raises(BillError, match=said):
        replace(bill, variants=(*bill.variants[:-1], lying)).seal()
    module = Blob(**asdict(bill.variant("wamr-2.4").module))
    lying = replace(made, module=module)
    with pytest.raises(BillError, match=r"is not 'wamr-2\.4' compiled"):
        replace(bill, variants=(*bill.variants[:-1], lying)).seal()
