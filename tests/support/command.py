"""The real command ``lading`` in a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND = Path(sys.executable).with_name("lading")
PATIENCE_S = 120


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    words: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.stdout.decode()

    @property
    def err(self) -> str:
        """Standard error as text."""
        return self.stderr.decode()

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which is one JSON document and nothing else."""
        document = json.loads(self.stdout)
        assert isinstance(document, dict)
        return document

    def __str__(self) -> str:
        return f"{' '.join(self.words)}\nstatus {self.status}\n--- stdout\n{self.stdout!r}\n--- stderr\n{self.stderr!r}"


@dataclass
class Lading:
    """Calls the command: ``lading("status", device)`` wants exit status 0, ``expect`` says another, None any."""

    home: Path
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)
    patience_s: float = PATIENCE_S

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the command sees: its own home, no terminal, nothing of the user who runs the tests."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "SYSTEMROOT") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            **self.env,
            **(extra or {}),
        }

    def __call__(
        self,
        *words: str | Path,
        expect: int | None = 0,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        said = tuple(str(word) for word in words)
        ran = subprocess.run(
            [str(COMMAND), *said],
            input=stdin,
            capture_output=True,
            timeout=self.patience_s,
            check=False,
            cwd=cwd or self.cwd,
            env=self.environment(env),
        )
        done = Done(said, ran.returncode, ran.stdout, ran.stderr)
        assert expect is None or done.status == expect, str(done)
        assert b"Traceback (most recent call last)" not in done.stderr, str(done)
        return done

    def json(self, *words: str | Path, expect: int | None = 0, **options: Any) -> dict[str, Any]:
        """The document that the command answers with ``--json``."""
        at = words.index("--") if "--" in words else len(words)
        return self(*words[:at], "--json", *words[at:], expect=expect, **options).json

    def start(self, *words: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """The command, still running; its output is in pipes."""
        return subprocess.Popen(
            [str(COMMAND), *(str(word) for word in words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.cwd,
            env=self.environment(),
            **options,
        )


def listing(folder: Path) -> dict[str, tuple[int, int] | str]:
    """Everything below a folder, by relative path: size and inode of files, targets of links.

    Two equal listings mean that nothing was installed, replaced or taken away. Lock files may come and go.
    """
    found: dict[str, tuple[int, int] | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and path.name != "lock":
            found[name] = (path.stat().st_size, path.stat().st_ino)
    return found
