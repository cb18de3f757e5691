"""One line of JSON that is found amid whatever a login shell prints."""

from __future__ import annotations

import json
import os
from typing import Any, Final, Mapping

MARK: Final = "@lading-bootstrap"


def answer(**members: Any) -> None:
    """Say something to the client, on standard output."""
    line = f"\n{MARK} {json.dumps(members, separators=(',', ':'))}\n".encode("ascii")
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]


def refuse(doc: Mapping[str, Any]) -> int:
    """Say no, with an error as it stands on the wire; an exit status."""
    answer(error=dict(doc))
    return 1
