"""Other people's programs for WebAssembly, as far as they are on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import VariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS: Final = 300.0
"""What a program may take for one module."""
_VERSION_SECONDS: Final = 20.0
_MOST_SAID: Final = 300


def find(program: str) -> str | None:
    """Where a program is: a name is looked up on the search path, a path is taken as it is."""
    return shutil.which(program)


def version(program: str) -> str:
    """What a program says of its version, in one line; empty if it says nothing."""
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.decode("utf-8", "replace").strip().splitlines() or [""])[0][:100]


def convert(program: str, words: Callable[[Path, Path], Sequence[str | Path]], module: bytes) -> bytes:
    """Let a program make a file of a module.

    Args:
        program: its name or path.
        words: its arguments for the module's file and the file to be made.
        module: the module.

    Raises:
        VariantError: it failed, took too long or made nothing; says what it said.
    """
    name = Path(program).name
    with tempfile.TemporaryDirectory(prefix="lading-variant-") as folder:
        source, target = Path(folder, "guest.wasm"), Path(folder, "made")
        source.write_bytes(module)
        said = _run(program, [program, *map(str, words(source, target))])
        if not target.is_file() or not target.stat().st_size:
            raise VariantError(f"{name} ended well and made nothing{said}", remedy=f"is it the right {name}?")
        return target.read_bytes()


def _run(program: str, command: list[str]) -> str:
    name = Path(program).name
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise VariantError(
                f"{name} cannot be started: {error.strerror or error}", remedy=f"install {name}, or leave it out"
            ) from error
        try:
            status = process.wait(SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise VariantError(
                    f"{name} did not end within {SECONDS:.0f} s", remedy="use a smaller guest, or leave it out"
                ) from error
            raise
        output.seek(0)
        text = " ".join(output.read(1 << 16).decode("utf-8", "replace").split())
    said = f": {text[-_MOST_SAID:]}" if text else ""
    if status:
        how = f"with status {status}" if status > 0 else f"by signal {-status}"
        raise VariantError(f"{name} ended {how}{said}", remedy="try another release of it, or leave it out")
    return said
