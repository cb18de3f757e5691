"""Bills that somebody made to do harm, or that were damaged on the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_agent.bill import MAX_BILL_BYTES, Bill, BillError
from lading_agent.strictjson import dumps
from tests.support.bills import digest, resealed, sample_bill, sample_document

if TYPE_CHECKING:
    from collections.abc import Callable

ENCODED = sample_bill().encode()


def set_at(*path: str | int) -> Callable[[Any], Callable[[dict[str, Any]], None]]:
    """``set_at("app", "name")(value)`` is a function that puts the value there."""

    def with_value(value: Any) -> Callable[[dict[str, Any]], None]:
        def spoil(document: dict[str, Any]) -> None:
            place: Any = document
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value

        return spoil

    return with_value


FILE = ("dirs", 0, "files", 0)
PATH = set_at(*FILE, "path")
DIGEST = set_at("variants", 0, "module", "digest")

SPOILED = {
    "traversal": (PATH("../../etc/passwd"), "dirs[0].files[0].path"),
    "traversal inside": (PATH("a/../../x"), "dirs[0].files[0].path"),
    "absolute path": (PATH("/etc/passwd"), "dirs[0].files[0].path"),
    "dot part": (PATH("a/./b"), "dirs[0].files[0].path"),
    "empty part": (PATH("a//b"), "dirs[0].files[0].path"),
    "trailing slash": (PATH("a/"), "dirs[0].files[0].path"),
    "empty path": (PATH(""), "dirs[0].files[0].path"),
    "NUL in path": (PATH("a\0b"), "dirs[0].files[0].path"),
    "newline in path": (PATH("a\nb"), "dirs[0].files[0].path"),
    "backslash in path": (PATH("..\\x"), "dirs[0].files[0].path"),
    "endless path": (PATH("a/" * 600 + "a"), "dirs[0].files[0].path"),
    "long part": (PATH("a" * 256), "dirs[0].files[0].path"),
    "long part in bytes": (PATH("é" * 200), "dirs[0].files[0].path"),
    "path is a number": (PATH(7), "dirs[0].files[0].path"),
    "duplicate file": (PATH("run.sh"), "dirs[0].files"),
    "file and directory at once": (PATH("run.sh/x"), "dirs[0].files"),
    "guest path with dots": (set_at("dirs", 0, "guest")("/data/../x"), "dirs[0].guest"),
    "guest path empty": (set_at("dirs", 0, "guest")(""), "dirs[0].guest"),
    "state over a shipped directory": (set_at("state", 0, "guest")("/data"), "dirs"),
    "digest in upper case": (DIGEST("sha256:" + "A" * 64), "variants[0].module.digest"),
    "digest too short": (DIGEST("sha256:abcd"), "variants[0].module.digest"),
    "digest with newline": (DIGEST(digest(b"module") + "\n"), "variants[0].module.digest"),
    "digest of another kind": (DIGEST("sha512:" + "a" * 64), "variants[0].module.digest"),
    "digest as path": (DIGEST("sha256:../../../etc/passwd"), "variants[0].module.digest"),
    "one digest with two sizes": (set_at(*FILE, "digest")(digest(b"module")), ""),
    "an expression that takes hours to compile": (set_at("smoke", 0, "stdout")("a{9}" * 300), "smoke[0].stdout"),
    "more smoke runs than anybody waits for": (
        set_at("smoke")([{"args": [], "exit": 0, "stdout": None}] * 65),
        "smoke",
    ),
    "negative size": (set_at(*FILE, "size")(-1), "dirs[0].files[0].size"),
    "huge size": (set_at(*FILE, "size")(8 * 1024**3), "dirs[0].files[0].size"),
    "size is a boolean": (set_at(*FILE, "size")(True), "dirs[0].files[0].size"),
    "size is a float": (set_at(*FILE, "size")(1.0), "dirs[0].files[0].size"),
    "lying totals": (set_at("sizes", "total")(1), "sizes"),
    "app name with slash": (set_at("app", "name")("../x"), "app.name"),
    "app name empty": (set_at("app", "name")(""), "app.name"),
    "app name in upper case": (set_at("app", "name")("Digits"), "app.name"),
    "app name too long": (set_at("app", "name")("a" * 64), "app.name"),
    "version is a path": (set_at("app", "version")("1.0.0-../../x"), "app.version"),
    "version is not semantic": (set_at("app", "version")("1.0"), "app.version"),
    "version endless": (set_at("app", "version")("1.0.0-" + "a" * 100), "app.version"),
    "unknown runtime": (set_at("app", "runtime")("node"), "app.runtime"),
    "unknown int8 policy": (set_at("models", 0, "int8")("as-i8"), "models[0].int8"),
    "negative threads": (set_at("app", "threads")(-1), "app.threads"),
    "endless timeout": (set_at("app", "timeout_s")(1e300), "app.timeout_s"),
    "no memory": (set_at("app", "memory_bytes")(0), "app.memory_bytes"),
    "argument with NUL": (set_at("app", "args")(["a\0b"]), "app.args[0]"),
    "environment name with equals sign": (set_at("app", "env")({"A=B": "c"}), "app.env.A=B"),
    "environment value is a list": (set_at("app", "env")({"A": ["c"]}), "app.env.A"),
    "variable set and left to the device": (set_at("app", "env_from_device")(["MODE"]), "app.env_from_device"),
    "model name is a path": (set_at("models", 0, "name")("../m"), "models[0].name"),
    "variant without the model": (set_at("variants", 0, "models")([]), "variants[0].models"),
    "no variant": (set_at("variants")([]), "variants"),
    "no default variant": (set_at("variants", 0, "id")("fast"), "variants"),
    "variant id is a path": (set_at("variants", 0, "id")(".."), "variants[0].id"),
    "golden for a stranger": (set_at("golden", 0, "model")("other"), "golden[0].model"),
    "golden for no variant": (set_at("golden", 0, "variants")(["fast"]), "golden[0].variants[0]"),
    "golden without inputs": (set_at("golden", 0, "inputs")([]), "golden[0].inputs"),
    "golden with lying shape": (set_at("golden", 0, "inputs", 0, "shape")([1, 3]), "golden[0].inputs[0].size"),
    "golden with negative shape": (set_at("golden", 0, "inputs", 0, "shape")([-1]), "golden[0].inputs[0].shape[0]"),
    "golden with odd type": (set_at("golden", 0, "inputs", 0, "dtype")("object"), "golden[0].inputs[0].dtype"),
    "smoke with a status of its own": (set_at("smoke", 0, "exit")(256), "smoke[0].exit"),
    "smoke with a broken expression": (set_at("smoke", 0, "stdout")("("), "smoke[0].stdout"),
    "an engine that nobody knows": (set_at("engines")({"v8": "1.0"}), "engines.v8"),
    "no engines": (set_at("engines")({}), "engines"),
    "engines are a list": (set_at("engines")(["wasmtime"]), "engines"),
    "engine version is a path": (set_at("engines")({"litert": "../x"}), "engines.litert"),
    "engine version is a number": (set_at("engines")({"litert": 2.3}), "engines.litert"),
    "unknown key": (set_at("app", "command")("rm"), "app.command"),
    "array for an object": (set_at("app")([]), "app"),
    "object for an array": (set_at("dirs")({}), "dirs"),
    "null for an array": (set_at("golden")(None), "golden"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_refused_by_the_key_at_fault(case: str) -> None:
    spoil, key = SPOILED[case]
    document = sample_document()
    spoil(document)
    with pytest.raises(BillError) as caught:
        Bill.parse(resealed(document))
    assert caught.value.key == key
    assert caught.value.remedy


@pytest.mark.parametrize("key", sorted(sample_document()))
def test_a_missing_key_is_named(key: str) -> None:
    document = sample_document()
    del document[key]
    with pytest.raises(BillError, match=key):
        Bill.parse(dumps(document))


def test_a_wrong_serial_is_refused() -> None:
    with pytest.raises(BillError, match="serial"):
        Bill.parse(dumps({**sample_document(), "serial": "0" * 16}))


RAW = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"a":"\xff"}',
    "not an object": b"[]",
    "no schema": b"{}",
    "duplicate key": b'{"schema":1,"schema":1}',
    "white space": ENCODED + b"\n",
    "pretty": json.dumps(sample_document(), indent=1).encode(),
    "unsorted": json.dumps(dict(reversed(sample_document().items())), separators=(",", ":")).encode(),
    "escapes that are not needed": ENCODED.replace(b"digits", b"\\u0064igits"),
    "lone surrogate": b'{"a":"\\ud800","schema":1}',
    "NaN": b'{"a":NaN,"schema":1}',
    "infinity": b'{"a":1e999,"schema":1}',
    "huge integer": b'{"a":' + b"9" * 5000 + b',"schema":1}',
    "deep": b'{"schema":' + b"[" * 100 + b"]" * 100 + b"}",
    "very deep": b"[" * 200_000,
    "too long": b" " * (MAX_BILL_BYTES + 1),
    "schema as text": b'{"schema":"1"}',
    "schema zero": b'{"schema":0}',
}


@pytest.mark.parametrize("case", RAW)
def test_bytes_that_are_no_canonical_bill_are_refused(case: str) -> None:
    with pytest.raises(BillError):
        Bill.parse(RAW[case])


@given(st.integers(0, len(ENCODED) * 8 - 1))
def test_every_flipped_bit_is_noticed(bit: int) -> None:
    spoiled = bytearray(ENCODED)
    spoiled[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BillError):
        Bill.parse(bytes(spoiled))


@given(st.integers(0, len(ENCODED) - 1))
def test_every_truncation_is_noticed(length: int) -> None:
    with pytest.raises(BillError):
        Bill.parse(ENCODED[:length])


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name, member in value.items():
            found += places(member, (*path, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            found += places(member, (*path, index))
    return found


@given(st.sampled_from(places(sample_document())), JSON_VALUES)
def test_any_value_anywhere_is_read_or_refused_but_never_a_crash(path: tuple[Any, ...], value: Any) -> None:
    document = sample_document()
    set_at(*path)(value)(document)
    try:
        bill = Bill.parse(resealed(document))
    except (BillError, UnicodeEncodeError):
        return
    assert all(".." not in file.path.split("/") for d in bill.dirs for file in d.files)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(BillError):
        Bill.parse(noise)
