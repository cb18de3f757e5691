"""Reading modules: against what an engine says of them, and against damage."""

from __future__ import annotations

import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import ModuleError
from lading.wasm import read_module
from lading.wasm.module import FuncType, Limits, Producer, TargetFeature
from tests.support import wasm_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits" / "digits.wasm"


def leb(number: int) -> bytes:
    """An unsigned number as the format writes it."""
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def section(number: int, body: bytes) -> bytes:
    return bytes([number]) + leb(len(body)) + body


def named(name: str, body: bytes) -> bytes:
    return section(0, leb(len(name)) + name.encode() + body)


def module(*sections: bytes) -> bytes:
    return b"\0asm\1\0\0\0" + b"".join(sections)


def function(code: bytes) -> bytes:
    """A module with a function of this code, and one of everything that code can refer to."""
    body = b"\0" + code + b"\x0b"
    return module(
        section(1, b"\1\x60\0\0"),
        section(3, b"\1\0"),
        section(4, b"\1\x70\0\1"),
        section(5, b"\1\0\1"),
        section(6, b"\1\x7f\1\x41\0\x0b"),
        section(10, b"\1" + leb(len(body)) + body),
    )


@cache
def corpus() -> list[bytes]:
    """Real and small modules."""
    guests = [DIGITS, *sorted((ROOT / "tests" / "guests").glob("*.wasm"))]
    return [*map(wasm_texts.assembled, wasm_texts.all_texts()), *(path.read_bytes() for path in guests)]


def accepted(data: bytes, without: tuple[str, ...] = ()) -> bool:
    """Whether an engine with all features, or all but some, takes the module."""
    try:
        wasmtime.Module.validate(_engine(without), data)
    except wasmtime.WasmtimeError:
        return False
    return True


_engine = cache(wasm_texts.engine)


@pytest.fixture(scope="module", autouse=True)
def _engines_end_before_the_interpreter() -> Iterator[None]:
    yield
    _engine.cache_clear()


def test_a_guest_shows_what_it_imports_exports_and_needs() -> None:
    found = read_module(DIGITS)
    assert found.kind == "core"
    assert found.wasi == "preview1"
    assert "fd_write" in found.wasi_functions
    assert found.has_entry
    assert found.nn_modules == ["wasi_ephemeral_nn"]
    signatures = {i.name: i.type for i in found.nn_imports}
    assert signatures["get_output"] == FuncType(("i32",) * 5, ("i32",))
    assert str(signatures["compute"]) == "(i32) -> (i32)"
    assert found.memory is not None
    assert found.memory_bytes == found.memory.minimum * 65536
    assert 0 < found.code_bytes < found.size_bytes
    assert 0 < found.data_bytes < found.size_bytes
    assert found.features == {}


@pytest.mark.parametrize("text", wasm_texts.FIRST_VERSION)
def test_the_first_version_of_webassembly_needs_no_feature(text: str) -> None:
    assert read_module(wasm_texts.assembled(text)).features == {}


@pytest.mark.parametrize(("feature", "text"), [(f, t) for f in wasm_texts.SWITCHED for t in wasm_texts.FEATURES[f]])
def test_an_engine_without_a_feature_refuses_the_modules_that_use_it(feature: str, text: str) -> None:
    data = wasm_texts.assembled(text)
    assert feature in read_module(data).features
    assert accepted(data)
    assert not accepted(data, (feature,))


@pytest.mark.parametrize(("feature", "text"), [(f, t) for f in wasm_texts.ALWAYS_ON for t in wasm_texts.FEATURES[f]])
def test_features_that_every_engine_has_are_seen_as_well(feature: str, text: str) -> None:
    assert set(read_module(wasm_texts.assembled(text)).features) == {feature}


def test_an_engine_without_all_that_a_module_does_not_use_accepts_it() -> None:
    for data in corpus():
        used = set(read_module(data).features)
        if "gc" in used:
            used.add("function-references")
        if "relaxed-simd" in used:
            used.add("simd")
        assert accepted(data, tuple(f for f in wasm_texts.SWITCHED if f not in used)), used


def test_the_first_use_of_a_feature_is_placed() -> None:
    data = function(b"\x01\x41\0\xc0\x1a\x41\0\xc1\x1a")
    use = read_module(data).features["sign-extension"]
    assert data[use.offset] == 0xC0
    assert use.count == 2


@pytest.mark.parametrize(("table", "overlong"), [(b"\0", False), (b"\x80\0", True), (b"\x80\x80\x80\x80\0", True)])
def test_the_long_form_of_call_indirect_is_told_from_the_short_one(table: bytes, overlong: bool) -> None:
    data = function(b"\x41\0\x11\0" + table)
    assert accepted(data)
    assert ("call-indirect-overlong" in read_module(data).features) == overlong


@pytest.mark.parametrize(("flags", "expected"), [([], True), (["-mcpu=mvp"], False)])
def test_a_compilers_output_shows_the_encodings_that_old_runtimes_refuse(
    tmp_path: Path, flags: list[str], expected: bool
) -> None:
    (tmp_path / "g.c").write_text(
        "typedef int (*f)(int); int a(int x) { return (signed char)x; } int b(int x) { return x + 2; }"
        "f t[] = {a, b}; int run(int i) { return t[i & 1](i); }"
    )
    command = [sys.executable, "-m", "ziglang", "cc", "--target=wasm32-freestanding", "-O1", "-nostdlib"]
    links = ["-Wl,--no-entry", "-Wl,--export=run", "-o", "g.wasm", "g.c"]
    subprocess.run([*command, *flags, *links], cwd=tmp_path, check=True)
    found = read_module(tmp_path / "g.wasm")
    assert found.exported_function("run") == FuncType(("i32",), ("i32",))
    assert ("call-indirect-overlong" in found.features) == expected
    assert ("sign-extension" in found.features) == expected
    assert any(p.name == "clang" for p in found.producers)


def test_custom_sections_are_listed_and_the_known_ones_read() -> None:
    producers = b"\1\x08language\1\3C11\1x"
    features = b"\2+\7simd128-\7atomics"
    data = module(
        named("producers", producers),
        named("target_features", features),
        named("name", b"\0\4\3abc\1\0"),
        named("mine", b"12345"),
    )
    found = read_module(data)
    assert found.producers == [Producer("language", "C11", "x")]
    assert found.target_features == [TargetFeature("+", "simd128"), TargetFeature("-", "atomics")]
    assert found.name == "abc"
    assert [c.name for c in found.custom] == ["producers", "target_features", "name", "mine"]


def test_a_broken_custom_section_is_ignored_as_engines_do() -> None:
    for name in ("producers", "target_features", "name"):
        data = module(named(name, b"\xff\xff\xff"))
        assert accepted(data)
        assert read_module(data).custom[0].name == name


def test_wasi_levels_are_told_apart() -> None:
    text = '(module (import "{}" "fd_write" (func (param i32 i32 i32 i32) (result i32))))'
    assert read_module(wasm_texts.assembled(text.format("wasi_unstable"))).wasi == "unstable"
    assert read_module(wasm_texts.assembled(text.format("wasi_snapshot_preview1"))).wasi == "preview1"
    assert read_module(wasm_texts.assembled(text.format("env"))).wasi == "none"


def test_legacy_wasi_nn_is_seen_with_its_signatures() -> None:
    text = '(module (import "wasi_nn" "load" (func (param i32 i32 i32 i32) (result i32))))'
    found = read_module(wasm_texts.assembled(text))
    assert found.nn_modules == ["wasi_nn"]
    assert found.nn_imports[0].type == FuncType(("i32",) * 4, ("i32",))


def test_a_component_is_told_from_a_core_module() -> None:
    text = """(component
        (import "wasi:nn/graph@0.2.0-rc-2024-10-28" (instance (export "e" (func))))
        (import "wasi:cli/stdout@0.2.3" (instance))
        (import "f" (func)) (import "t" (type (sub resource)))
        (core module (func)) (export "run" (func 0)))"""
    found = read_module(wasm_texts.assembled(text))
    assert found.kind == "component"
    assert found.nn_modules == ["wasi:nn/graph@0.2.0-rc-2024-10-28"]
    assert found.component_imports[2:] == ["f", "t"]
    assert found.component_exports == ["run"]
    assert found.wasi == "0.2"


def test_memory_limits_are_read() -> None:
    found = read_module(wasm_texts.assembled('(module (memory (export "memory") 2 5 shared))'))
    assert found.memory == Limits(2, 5, shared=True)
    assert read_module(wasm_texts.assembled("(module (memory i64 1))")).memories == [Limits(1, None, is64=True)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\x7fELF\2\1", "looks like a native program"),
        (b"(module)", "WebAssembly text"),
        (b"\0asm", "version"),
        (b"\0asm\2\0\0\0", "version"),
        (module(b"\1"), "cut off"),
        (module(b"\1\xff\xff\xff\xff\x0f"), "cut off"),
        (module(b"\1\xff\xff\xff\xff\xff\x0f"), "too many bytes"),
        (module(b"\1\xff\xff\xff\xff\x1f"), "does not fit 32 bits"),
        (module(section(14, b"")), "unknown section 14"),
        (module(section(1, b"\0"), section(1, b"\0")), "twice or comes too late"),
        (module(section(3, b"\0"), section(1, b"\0")), "twice or comes too late"),
        (module(section(1, b"\0\0")), "left over"),
        (module(section(1, b"\xff\xff\xff\xff\x0f")), "more than the 1000000"),
        (module(section(1, b"\x80\x80\x04")), "are announced"),
        (module(section(1, b"\1\x61")), "unknown byte 0x61"),
        (module(section(1, b"\1\x60\1\x40\0")), "unknown type 0x40"),
        (module(section(1, b"\1\x60\0\0"), section(3, b"\1\1")), "type 1"),
        (module(section(1, b"\1\x60\0\0"), section(3, b"\1\0")), "1 functions are declared, 0 have code"),
        (module(section(2, b"\1\1\xff\0\0\0")), "not UTF-8"),
        (module(section(2, b"\1\0\0\5\0")), "unknown kind 5"),
        (module(section(5, b"\1\1\2\1")), "smaller than its first"),
        (module(section(5, b"\1\0\x81\x80\4")), "larger than its 65536 pages"),
        (module(section(5, b"\1\2\1")), "no maximum"),
        (module(section(5, b"\1\x10\1")), "unknown flags"),
        (module(section(7, b"\1\1a\0\0")), "func 0 of 0"),
        (module(section(5, b"\1\0\0"), section(7, b"\2\1a\2\0\1a\2\0")), "exported twice"),
        (module(section(8, b"\0")), "start function"),
        (module(section(11, b"\1\3")), "unknown flags 3"),
        (module(section(12, b"\1")), "announced, 0 are there"),
        (function(b"\xff"), "unknown instruction 0xff"),
        (function(b"\xfd\xff\x7f"), "unknown instruction"),
        (function(b"\x02\x40"), "without an end is cut off"),
        (function(b"\x0b\x01"), "follow the end"),
        (function(b"\x10\1"), None),
        (function(b"\x41\x80\x80\x80\x80\x78\x1a"), None),
        (function(b"\x41\x80\x80\x80\x80\x70"), "does not fit 32 bits"),
        (function(b"\x0e\xff\xff\xff\xff\x07"), "labels are more than"),
        (module(section(6, b"\1\x7f\0\x20\0\x0b")), "not allowed in an initial value"),
    ],
)
def test_a_malformation_is_named_with_its_place(data: bytes, words: str | None) -> None:
    if words is None:  # well formed, whatever an engine says of its types
        read_module(data)
        return
    with pytest.raises(ModuleError) as caught:
        read_module(data)
    assert words in caught.value.message
    assert caught.value.remedy
    assert 0 <= caught.value.details["offset"] <= len(data)
    assert not accepted(data)


def test_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "junk.wasm").write_bytes(b"junk")
    for name in ("junk.wasm", "gone.wasm"):
        with pytest.raises(ModuleError, match=name):
            read_module(tmp_path / name)


# Proposals that no engine has switched on.
UNFINISHED = ("support is not enabled", "continuation", "unknown tag")


@pytest.mark.parametrize("prefix", [None, 0xFB, 0xFC, 0xFD, 0xFE])
def test_the_reader_knows_the_instructions_that_the_engine_knows(prefix: int | None) -> None:
    codes = [bytes([c]) for c in range(256) if c not in {0xFB, 0xFC, 0xFD, 0xFE}]
    if prefix is not None:
        codes = [bytes([prefix]) + leb(c) for c in range(300)]
    for code in codes:
        data = function(code + bytes(20))
        try:
            wasmtime.Module.validate(_engine(()), data)
            verdict = ""
        except wasmtime.WasmtimeError as error:
            verdict = str(error)
        if not any(words in verdict for words in UNFINISHED):
            assert (unknown(data) is None) == ("illegal opcode" not in verdict and "unknown 0x" not in verdict), (
                code.hex(),
                verdict,
            )


def unknown(data: bytes) -> str | None:
    """What the reader says when an instruction is unknown to it."""
    try:
        read_module(data)
    except ModuleError as error:
        return error.message if "unknown instruction" in error.message else None
    return None


@given(st.integers(0, 10_000), st.integers(0, 2**32), st.integers(1, 5))
def test_what_an_engine_accepts_is_read_and_damage_is_refused_with_a_reason(pick: int, seed: int, changes: int) -> None:
    dice = random.Random(seed)
    data = bytearray(corpus()[pick % len(corpus())])
    for _ in range(changes):
        kind = dice.randrange(4)
        at = dice.randrange(len(data))
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at] = dice.choice([0, 1, 0x0B, 0x40, 0x7F, 0x80, 0xFC, 0xFD, 0xFF])
        elif kind == 2:
            del data[at]
        else:
            data.insert(at, dice.randrange(256))
        if not data:
            break
    outcome(bytes(data))


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_a_truncated_module_is_refused_or_read(pick: int, part: float) -> None:
    data = corpus()[pick % len(corpus())]
    outcome(data[: int(len(data) * part)])


@given(st.binary(max_size=200), st.sampled_from([b"\0asm\1\0\0\0", b"\0asm\r\0\1\0", b"\0asm\1\0\0\0\1\4\1\x60\0\0"]))
def test_any_bytes_behind_a_header_are_refused_or_read(tail: bytes, head: bytes) -> None:
    outcome(head + tail)


@given(st.binary(max_size=60))
def test_any_code_is_refused_or_read(code: bytes) -> None:
    outcome(function(code))


def outcome(data: bytes) -> None:
    """Read a module; a ModuleError is the only way to fail, and an engine would not have taken the module either."""
    try:
        found = read_module(data)
    except ModuleError as error:
        assert error.remedy  # noqa: PT017
        assert 0 <= error.details["offset"] <= len(data)  # noqa: PT017
        assert data[4:5] == b"\r" or not accepted(data), error.message  # noqa: PT017
    else:
        assert found.size_bytes == len(data)


def test_a_module_that_ends_in_its_version_is_cut_off() -> None:
    with pytest.raises(ModuleError, match="the version is cut off"):
        read_module(b"\0asm\1")
