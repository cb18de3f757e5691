"""Which variant a place gets, and what is said of those that it does not get."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading.bundle import open_bundle, pack
from lading.bundle.content import Bytes
from lading.check import Place, Verdict
from lading.check.verdict import At, Errno
from lading.errors import ModuleError, UsageError
from lading.project import load_project
from lading.variants import choose
from lading_agent.bill import App, Bill, Blob, Variant
from tests.support import wat_guests
from tests.support.apps import write_app
from tests.support.made_models import fully_connected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.bundle.cargo import Cargo

GUEST: dict[str, Any] = {"what": "guest", "part": "load", "change": "another number"}
MODEL: dict[str, Any] = {"what": "model", "model": "m", "changes": [{"after": "float32"}]}


def bill(**variants: tuple[dict[str, Any], ...]) -> Bill:
    made = [Variant("default", Blob("sha256:" + "0" * 64, 10))]
    made += [
        Variant(name, Blob("sha256:" + "1" * 64, 10), provides={"profiles": [f"for-{name}"]}, conversion=conversion)
        for name, conversion in variants.items()
    ]
    return Bill(App("a", "1.0.0"), tuple(made))


def verdicts(**words: str) -> Callable[[str], Verdict]:
    def judge(variant: str) -> Verdict:
        word = words.get(variant, "fails:1")
        if word == "ok":
            return Verdict("ok", "p", "measured")
        if word == "lossy":
            return Verdict("ok", "p", "measured", warnings=("input 0: this host takes the call and drops the data",))
        if word == "handled":
            return dataclasses.replace(verdicts()(variant), handled=True)
        if word == "unknown":
            return Verdict("unknown", "p", "declared", reason="nobody knows", remedy="probe it")
        step = int(word.partition(":")[2])
        at, errno = At(step, "set_input"), Errno("invalid_argument", 1)
        return Verdict("fails", "p", "measured", at, "errno", errno, "type", "send f32")

    return judge


def test_the_guest_as_it_is_comes_before_all_variants() -> None:
    found = choose.choose(bill(a=(GUEST,), b=(MODEL,)), verdicts(default="ok", a="ok", b="ok"))
    assert found.chosen is not None
    assert found.chosen.variant == "default"
    assert found.rejected == ()
    assert found.why() == ""


def test_less_conversion_comes_before_more() -> None:
    several = bill(both=(MODEL, GUEST), models=(MODEL,), guest=(GUEST,), more=(GUEST, GUEST))
    assert [v.id for v in choose.in_order(several)] == ["default", "guest", "more", "models", "both"]
    found = choose.choose(several, verdicts(models="ok", both="ok"))
    assert found.chosen is not None
    assert found.chosen.variant == "models"
    assert [j.variant for j in found.rejected] == ["default", "guest", "more"]
    assert "m as float32" in found.why()
    assert "without it: set_input (call 1): invalid_argument (1)" in found.why()


def test_what_was_made_for_a_firmware_is_looked_at_first() -> None:
    several = bill(a=(GUEST,), z=(MODEL, GUEST))
    assert [v.id for v in choose.in_order(several, "for-z")] == ["default", "z", "a"]


def test_lost_data_is_worse_than_a_conversion_and_better_than_nothing() -> None:
    several = bill(a=(GUEST, MODEL))
    found = choose.choose(several, verdicts(default="lossy", a="ok"))
    assert found.chosen is not None
    assert found.chosen.variant == "a"
    found = choose.choose(several, verdicts(default="lossy", a="fails:2"))
    assert found.chosen is not None
    assert found.chosen.variant == "default"


def test_a_guest_that_deals_with_a_refusal_needs_no_variant() -> None:
    found = choose.choose(bill(a=(GUEST,)), verdicts(default="handled", a="ok"))
    assert found.chosen is not None
    assert found.chosen.variant == "default"


def test_where_none_fits_the_one_that_comes_furthest_is_nearest() -> None:
    found = choose.choose(bill(a=(GUEST,), b=(MODEL,)), verdicts(default="fails:3", a="fails:7", b="fails:5"))
    assert found.chosen is None
    error = choose.refusal(found, "board")
    assert error.exit_status == 1
    assert error.code == "no-variant"
    assert "the nearest is a (guest rewritten)" in error.message
    assert error.remedy == "send f32"
    assert [v["variant"] for v in error.details["variants"]] == ["default", "a", "b"]


def test_what_nobody_knows_is_taken_only_when_it_may_be() -> None:
    found = choose.choose(bill(a=(GUEST,)), verdicts(default="unknown", a="unknown"))
    assert found.chosen is None
    allowed = found.with_unknown()
    assert allowed.chosen is not None
    assert allowed.chosen.variant == "default"
    assert choose.choose(bill(a=(GUEST,)), verdicts()).with_unknown().chosen is None


def test_a_forced_variant_is_taken_as_it_is() -> None:
    found = choose.forced(bill(a=(GUEST,)), "a", verdicts(a="fails:1"))
    assert found.nearest.variant == "a"
    assert "as it was asked for" in found.why()
    with pytest.raises(UsageError, match="no variant 'b'"):
        choose.forced(bill(a=(GUEST,)), "b", verdicts())


@pytest.mark.parametrize(
    "conversion",
    [
        ("text", 1, None, []),
        ({"what": "model"}, {"what": "guest"}),
        ({"what": "model", "model": {}, "changes": "x"}, {"what": "guest", "part": 7}),
        ({"what": "model", "model": "m" * 1000, "changes": [{"after": []}, 3]},),
    ],
)
def test_a_bill_from_anybody_is_told_without_trust(conversion: tuple[Any, ...]) -> None:
    found = choose.choose(bill(a=conversion), verdicts(a="ok"))
    assert found.chosen is not None
    assert len(found.why()) < 400
    odd = dataclasses.replace(bill(a=conversion).variants[1], provides={"profiles": [1, "x" * 500, {}]})
    assert choose.in_order(dataclasses.replace(bill(), variants=(*bill().variants, odd)), "x")


class DamagedVariant:
    """Packs a second variant that is no module."""

    def add(self, _project: object, bill: Bill, cargo: Cargo, _progress: object = None) -> Bill:
        junk = Bytes.of(b"\0asm\1\0\0\0" + b"\xff" * 50)
        cargo.keep(junk)
        odd = dataclasses.replace(bill.variants[0], id="odd", module=Blob(junk.digest, junk.size), conversion=(GUEST,))
        return dataclasses.replace(bill, variants=(*bill.variants, odd))


def test_a_variant_that_is_no_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    app = write_app(tmp_path / "app", wat_guests.infers("m", (1, 4)), models={"m": fully_connected(1, 4)})
    pack(load_project(app), tmp_path / "b.lading", variants=DamagedVariant())
    with open_bundle(tmp_path / "b.lading") as bundle:
        assert choose.for_place(bundle, Place(profiles.find("lading-litert"))).why() == ""
        with pytest.raises(ModuleError, match=r"b\.lading: variant 'odd': ") as caught:
            choose.for_place(bundle, Place(profiles.find("wamr-2.4")))
    assert caught.value.remedy
