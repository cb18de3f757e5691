"""What guests print is read whatever stands around it, and a guest that ends is followed by one that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from lading import profiles
from lading.probe import suite
from lading.probe.cases import WITX
from lading.probe.measure import measure, modules
from lading.probe.observed import NORMAL, End, GuestResult, explore, read_output
from lading.probe.predict import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.probe.script import Program

CASE = next(c for c in suite.cases(WITX) if c.id == "output")
PROGRAM = CASE.program(CASE.items)


def line(number: int, errno: int, watch: Sequence[tuple[int, int]]) -> bytes:
    return b"@lading call %08x %08x%s\n" % (number, errno, b"".join(b" " + b"ab" * n for _, n in watch))


def test_lines_are_found_among_the_runtimes_own() -> None:
    noise = b"[wasi_nn.c:99 WARNING] loaded\n"
    said = b"\n@lading begin\n" + noise
    for number, call in enumerate(PROGRAM.calls[:3]):
        said += noise + b"no newline at its end" + line(number, 0, call.watch) + noise
    found = read_output(PROGRAM, said, NORMAL)
    assert found.began
    assert not found.finished
    assert sorted(found.calls) == [0, 1, 2]


def test_lines_of_another_shape_do_not_count() -> None:
    wrong = [b"@lading call 00000000", line(9999, 0, ()), line(0, 0, [(0, 3)]), b"@lading call 0 0\n"]
    assert read_output(PROGRAM, b"\n".join(wrong), NORMAL).calls == {}


@given(st.binary(max_size=400), st.lists(st.sampled_from([b"@lading call ", b"@lading end", b" 00000000", b"\n"])))
def test_no_output_makes_reading_fail(noise: bytes, words: list[bytes]) -> None:
    read_output(PROGRAM, noise + b"".join(words) + noise, NORMAL)


def test_a_crash_is_that_items_and_the_next_ones_get_a_fresh_guest() -> None:
    predictor = Predictor(profiles.find("lading-litert").resolved())
    seen: list[int] = []

    def run(programs: Sequence[Program]) -> list[GuestResult]:
        results = []
        for program in programs:
            result = predictor.one(program)
            number = next((n for n, c in enumerate(program.calls) if c.note == "get_output(index 0, size 8)"), None)
            seen.append(len(program.calls))
            if number is not None:
                kept = {n: c for n, c in result.calls.items() if n < number}
                result = GuestResult(kept, End("segv", 139, "boom"), began=True)
            results.append(result)
        return results

    found = explore([CASE], run, unsafe=True)
    assert len(seen) == 2
    crashed = found["output/small"]
    assert crashed.end == End("segv", 139, "boom", "get_output(index 0, size 8)")
    assert crashed.errno is None
    assert found["output/larger"].errno == 0
    assert found["output/none"].errno == 7
    assert all(r.prepared for r in found.values())


def test_a_guest_that_does_not_start_answers_for_all_its_items_at_once() -> None:
    runs: list[int] = []

    def run(programs: Sequence[Program]) -> list[GuestResult]:
        runs.append(len(programs))
        return [GuestResult({}, End("link-error", 126)) for _ in programs]

    found = explore([CASE], run, unsafe=False)
    assert runs == [1]
    assert {(r.reached, r.end.outcome if r.end else "") for r in found.values()} == {(False, "link-error")}


def test_nothing_is_measured_of_a_host_that_answers_nothing() -> None:
    def run(programs: Sequence[Program]) -> list[GuestResult]:
        return [GuestResult({}, End("died", 1)) for _ in programs]

    results = explore([*suite.presence(), *suite.environment(), *suite.cases(WITX)], run, unsafe=True)
    assert modules(results) == []
    measured = measure(results, WITX)
    assert measured["functions"] == []
    assert measured["tensor_types"] == {}
