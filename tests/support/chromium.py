"""A headless browser that looks at a page."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.programs import need

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 180


@dataclass(frozen=True)
class Chromium:
    """Debian's chromium, with a profile of its own and without a network."""

    program: str
    home: Path

    def dom(self, page: Path, fragment: str = "", *, size: tuple[int, int] = (1100, 900)) -> str:
        """The document after its script has run."""
        return self._run(page, fragment, size, "--dump-dom").decode()

    def screenshot(
        self, page: Path, to: Path, fragment: str = "", *, size: tuple[int, int] = (1100, 900)
    ) -> tuple[int, int]:
        """Draw the page into a PNG file; its width and height."""
        self._run(page, fragment, size, f"--screenshot={to}")
        data = to.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack_from(">II", data, 16)
        return width, height

    def _run(self, page: Path, fragment: str, size: tuple[int, int], *what: str) -> bytes:
        width, height = size
        words = [
            self.program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={self.home}",
            f"--window-size={width},{height}",
            "--virtual-time-budget=3000",
            *what,
            f"file://{page}{fragment}",
        ]
        return subprocess.run(words, capture_output=True, check=True, timeout=PATIENCE_S).stdout


def chromium(home: Path) -> Chromium:
    """The browser; where it is missing the test is skipped, in CI it fails."""
    return Chromium(need("chromium"), home)
