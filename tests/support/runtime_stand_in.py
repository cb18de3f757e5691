"""A stand-in for the commands ``wasmedge`` and ``iwasm``: their command lines as documented, strictly read, and a guest
that runs as that runtime's firmware profile says.

It is a program of its own: ``runtime_stand_in.py KIND VERSION PROFILE [WORD …]``. What the real ones do not take is
refused, so that a command line that is wrong for them is wrong here.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

VERSIONS = {
    "wasmedge": "wasmedge version {}",
    "iwasm": "iwasm {}",
}
AHEAD = b"\0aot"
PATTERNS = {"readonly": False, "readwrite": True}


def install(folder: Path, kind: str, version: str, profile: str) -> Path:
    """Put the program into a folder, under the name of the real one."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / kind
    words = " ".join(f"'{word}'" for word in (sys.executable, str(Path(__file__)), kind, version, profile))
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    return program


def _wrong(kind: str, why: str) -> NoReturn:
    sys.stderr.write(f"{kind}: {why}\n")
    sys.exit(2)


class Asked:
    """What a command line asks for."""

    def __init__(self) -> None:
        self.dirs: list[tuple[str, str, bool]] = []
        self.env: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.rest: list[str] = []


def wasmedge(words: list[str]) -> Asked:
    """``wasmedge [OPTIONS] [--] WASM_OR_SO [ARG ...]``."""
    asked, left = Asked(), list(words)
    while left and left[0].startswith("-"):
        option = left.pop(0)
        if option == "--":
            break
        if option not in ("--dir", "--env", "--nn-preload", "--memory-page-limit") or not left:
            _wrong("wasmedge", f"unknown option {option}")
        value = left.pop(0)
        if option == "--dir":
            guest, host, *mode = value.split(":")
            asked.dirs.append((host, guest, PATTERNS[mode[0]] if mode else True))
        elif option == "--env":
            name, _, text = value.partition("=")
            asked.env[name] = text
        elif option == "--memory-page-limit":
            if not 0 < int(value) <= 65536:
                _wrong("wasmedge", f"no such number of pages: {value}")
        else:
            name, encoding, target, path = value.split(":", 3)
            if encoding != "TensorflowLite" or target not in ("CPU", "GPU", "TPU"):
                _wrong("wasmedge", f"cannot preload {value}")
            asked.models[name] = path
    asked.rest = left
    return asked


def iwasm(words: list[str]) -> Asked:
    """``iwasm [-options] wasm_file [args...]``."""
    asked, left = Asked(), list(words)
    while left and left[0].startswith("-"):
        option, equals, value = left.pop(0).partition("=")
        if option == "--map-dir" and equals:
            guest, _, host = value.partition("::")
            asked.dirs.append((host, guest, True))
        elif option == "--env" and equals:
            name, _, text = value.partition("=")
            asked.env[name] = text
        else:
            _wrong("iwasm", f"unknown option {option}")
    asked.rest = left
    return asked


PARSERS = {"wasmedge": wasmedge, "iwasm": iwasm}


def main() -> int:
    """Be that program."""
    kind, version, profile, *words = sys.argv[1:]
    if words == ["--version"]:
        sys.stdout.write(VERSIONS[kind].format(version) + "\n")
        return 0
    asked = PARSERS[kind](words)
    if not asked.rest:
        _wrong(kind, "no module")
    from lading.emulate import EmulateOptions, NamedModel, OpenedDir, run_spec, runner_command
    from lading_agent.runs import supervise

    # The emulated host follows no link out of a folder, the real iwasm opens whatever there is.
    names = Path(tempfile.mkdtemp(prefix="stand-in-"))
    for path in Path.cwd().iterdir():
        shutil.copy(path, names / path.name)
    options = EmulateOptions(
        args=asked.rest[1:],
        env=asked.env,
        models=[NamedModel(name, Path(path)) for name, path in asked.models.items()],
        dirs=[OpenedDir(Path(host), guest, writable) for host, guest, writable in asked.dirs],
        names_dir=names if kind == "iwasm" else None,
        personality=f"profile:{profile}",
    )
    module = Path(asked.rest[0])
    if kind == "iwasm" and module.read_bytes().startswith(AHEAD):  # what the stand-in of its compiler makes of a module
        module = names / "unpacked.wasm"
        module.write_bytes(Path(asked.rest[0]).read_bytes()[len(AHEAD) :])
    result = supervise.run(
        run_spec(module, options),
        stdin=0,
        on_stdout=lambda data: _write(1, data),
        on_stderr=lambda data: _write(2, data),
        on_report=lambda _event: None,
        command=runner_command("python"),
    )
    shutil.rmtree(names)
    if result.outcome != "exit":
        _write(1, f"[host] {result.kind}: {result.message}\n".encode())
    return result.status


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


if __name__ == "__main__":
    sys.exit(main())
