"""Guests that were compiled ahead: run on their own runtime only, and taken only where the bill says what they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional

from lading_agent.ahead import MAGIC, ahead_of
from lading_agent.errors import AgentError
from lading_agent.serve.runtimes import OWN

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.bill import Variant
    from lading_agent.runs.program import Program


def refuse_elsewhere(variant: Variant, program: Optional[Program]) -> None:
    """Refuse a compiled guest on anything but the runtime that it was made for.

    Args:
        variant: the variant that is to be run.
        program: the device's own runtime; None: one of lading's hosts.

    Raises:
        AgentError: ``check-refused``.
    """
    ahead = ahead_of(variant)
    if ahead is None:
        return
    name, version = (OWN, "") if program is None else (program.name, program.version)
    why = ahead.unfit(name, version, os.uname().machine)
    if why:
        raise AgentError("check-refused", f"variant '{variant.id}': {why}", f"use variant '{ahead.portable}'")


def refuse_undeclared(variant: Variant, module: Path) -> None:
    """Refuse machine code that its variant does not say to be some, and a module that is said to be machine code.

    Raises:
        AgentError: ``bundle``.
    """
    with module.open("rb") as file:
        is_code = file.read(len(MAGIC)) == MAGIC
    if is_code != (ahead_of(variant) is not None):
        what = "machine code that it does not speak of" if is_code else "a module where it speaks of machine code"
        raise AgentError("bundle", f"variant '{variant.id}' brings {what}", "pack the bundle again")
