"""Projects made on the spot: a guest of a few instructions, models, and what a test wants of ``lading.toml``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_app(
    folder: Path,
    module: bytes,
    *,
    name: str = "app",
    version: str = "1.0.0",
    models: Mapping[str, bytes] | None = None,
    state: str = "",
    app: str = "",
    more: str = "",
) -> Path:
    """Write a project.

    Args:
        folder: where; made if it is missing.
        module: the guest.
        name: the app's name.
        version: its version.
        models: bytes by name.
        state: the guest's path of a state directory.
        app: further lines of ``[app]``.
        more: further tables.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "guest.wasm").write_bytes(module)
    lines = ["schema = 1", "[app]", f'name = "{name}"', f'version = "{version}"', 'module = "guest.wasm"', app]
    if state:
        lines += ["[[state]]", f"guest = {json.dumps(state)}"]
    for model, content in (models or {}).items():
        (folder / f"{model}.tflite").write_bytes(content)
        lines += ["[[model]]", f'name = "{model}"', f'path = "{model}.tflite"']
    (folder / "lading.toml").write_text("\n".join([*lines, more, ""]))
    return folder
