"""Adds tables to a ``lading.toml`` as a person would: at its end, leaving everything else as it stands."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import ProjectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def add_golden(file: Path, model: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> bytes:
    """The bytes of the file with one more ``[[golden]]`` table.

    Raises:
        ProjectError: the file keeps its golden vectors in a form that a table cannot be added to.
    """
    old = file.read_bytes()
    newline = "\r\n" if b"\r\n" in old else "\n"
    table = golden_table(model, inputs, outputs)
    text = old.decode("utf-8")
    if not text.endswith("\n"):
        text += newline
    text += newline + table.replace("\n", newline)
    before, after = tomllib.loads(old.decode("utf-8")), _parsed(text)
    expected = {**before, "golden": [*before.get("golden", []), tomllib.loads(table)["golden"][0]]}
    if after != expected:
        raise ProjectError(
            f"{file}: a [[golden]] table cannot be added to the way in which it lists its golden vectors",
            remedy=f"add it yourself:\n{table}",
        )
    return text.encode("utf-8")


def golden_table(model: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """``[[golden]]`` and its keys, as text."""
    return (
        f"[[golden]]\nmodel = {quoted(model)}\ninputs = {inline(inputs)}\noutputs = {inline(outputs)}\ntolerance = 1\n"
    )


def inline(table: Mapping[str, str]) -> str:
    """An inline table of texts."""
    return "{ " + ", ".join(f"{quoted(name)} = {quoted(value)}" for name, value in table.items()) + " }"


def quoted(text: str) -> str:
    """A basic string. JSON writes one, but for the delete character, which TOML wants escaped."""
    return re.sub("\x7f", r"\\u007f", json.dumps(text, ensure_ascii=False))


def replace(file: Path, content: bytes) -> None:
    """Put new content in a file's place at once; its mode stays.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name[:100]}.", dir=file.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(content)
            temporary.chmod(file.stat().st_mode & 0o7777 if file.exists() else 0o644)
            temporary.replace(file)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", remedy="look at its folder's mode") from None


def _parsed(text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
