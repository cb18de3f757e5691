"""Libraries and programs: C library, C++ library, Pythons, WebAssembly runtimes."""

from __future__ import annotations

import re
from typing import Dict, List

from lading_agent.facts.text import lines, version_in, word

MOST_PROGRAMS = 32

_NAMES = {"wasmedge": "WasmEdge", "iwasm": "WAMR", "wasmtime": "Wasmtime"}


def parse_libc(text: str) -> Dict[str, str]:
    """``getconf GNU_LIBC_VERSION`` and ``ldd --version``: ``kind`` (``glibc``, ``musl``) and ``version``.

    musl's ``ldd`` says it on standard error and fails; glibc's first line ends with the version.
    """
    kind = version = ""
    for line in lines(text):
        low = line.lower()
        if low.startswith("glibc ") and version_in(line):
            return {"kind": "glibc", "version": version_in(line)}
        if "musl" in low:
            kind = "musl"
        elif kind == "musl" and low.startswith("version"):
            version = version_in(line)
            break
        elif "uclibc" in low:
            return {"kind": "uclibc", "version": version_in(line)}
        elif low.startswith("ldd (") or "gnu libc" in low or "glibc" in low:
            found = re.findall(r"(?<![\w.])\d{1,4}\.\d{1,4}(?:\.\d{1,4})?", line)
            return {"kind": "glibc", "version": found[-1] if found else ""}
    return {"kind": kind, "version": version} if kind else {}


def parse_libstdcxx(text: str) -> Dict[str, str]:
    """The library's own symbols: ``glibcxx``, the newest version that it has, and its ``path``."""
    path = ""
    newest: tuple[int, ...] = ()
    for line in lines(text):
        if line.startswith("file "):
            path = word(line[5:])
        found = re.fullmatch(r"GLIBCXX_(\d{1,4}(?:\.\d{1,4}){1,3})", line)
        if found:
            newest = max(newest, tuple(int(n) for n in found.group(1).split(".")))
    if not newest:
        return {}
    return {"glibcxx": ".".join(map(str, newest)), "path": path}


def parse_python(text: str) -> List[Dict[str, str]]:
    """``/usr/bin/python3 Python 3.11.2``: each as ``path`` and ``version``, an interpreter under two names once."""
    found: List[Dict[str, str]] = []
    for line in lines(text):
        path, _, said = line.partition(" ")
        version = version_in(said) if said.strip().lower().startswith("python") else ""
        if version and len(found) < MOST_PROGRAMS and all(f["version"] != version for f in found):
            found.append({"path": word(path), "version": version})
    return found


def parse_runtimes(text: str) -> List[Dict[str, str]]:
    """``iwasm /usr/bin/iwasm iwasm 2.4.1``: ``name``, ``command``, ``path``, ``version`` (empty: it does not say)."""
    found: List[Dict[str, str]] = []
    for line in lines(text):
        command, _, rest = line.partition(" ")
        path, _, said = rest.partition(" ")
        if command in _NAMES and path.startswith("/") and len(found) < MOST_PROGRAMS:
            found.append(
                {
                    "name": _NAMES[command],
                    "command": command,
                    "path": word(path),
                    "version": parse_version(command, said),
                }
            )
    return found


def parse_version(command: str, said: str) -> str:
    """The version in what ``wasmedge --version``, ``iwasm --version`` or ``wasmtime --version`` prints."""
    for line in lines(said):
        if command in line.lower() or version_in(line):
            return version_in(line)
    return ""
