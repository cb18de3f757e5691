"""Variants whose guest was compiled ahead: machine code, which one release of one runtime loads on one architecture.

Nothing looks machine code over as an engine does with a module. So it is taken only where a variant says that it is
some, run only by the runtime that it was made for, and never by lading's own hosts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Optional, Sequence

from lading_agent.strictjson import Node

if TYPE_CHECKING:
    from lading_agent.bill import Variant

KEY: Final = "ahead"
"""In a variant's ``needs``."""
MAGIC: Final = b"\0aot"
"""How such code begins."""

_FIELDS: Final = ("architecture", "runtime", "version", "portable")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Ahead:
    """What such code was made for, and of what."""

    architecture: str
    """As ``uname -m`` says it."""
    runtime: str
    """The device's own runtime that loads it, as ``lading.toml`` calls it."""
    version: str
    """The release of that runtime; no other loads it."""
    portable: str
    """The variant whose module was compiled; the check judges that one."""

    def unfit(self, runtime: str, version: str, architecture: str) -> str:
        """Why a device's runtime is not the one that the code is for; empty when it is."""
        wanted = f"{self.runtime} {self.version} on {self.architecture}"
        found = f"{runtime} {version}".rstrip() + f" on {architecture}"
        return "" if wanted == found else f"its guest is compiled ahead for {wanted}, and this is {found}"


def ahead_of(variant: Variant) -> Optional[Ahead]:
    """What a variant's code was compiled for; None: its guest is a module like any other.

    Raises:
        StrictJsonError: what it says of that cannot be read.
    """
    if KEY not in variant.needs:
        return None
    f = Node(variant.needs[KEY], f"needs.{KEY}").fields(_FIELDS)
    return Ahead(*(f[name].text(_WORD, "a word") for name in _FIELDS))


def check_ahead(node: Node, variants: Sequence[Variant]) -> None:
    """Look over what the variants of a bill say of compiled code.

    Raises:
        StrictJsonError: one stands for no other variant, or for one that is something else.
    """
    known = {variant.id: variant for variant in variants}
    for variant in variants:
        ahead = ahead_of(variant)
        if ahead is None:
            continue
        portable = known.get(ahead.portable)
        if portable is None or KEY in portable.needs:
            node.fail(f"has '{variant.id}', whose code was made of no module that is there ('{ahead.portable}')")
        if portable.models != variant.models or portable.module.digest == variant.module.digest:
            node.fail(f"has '{variant.id}', which is not '{ahead.portable}' compiled")
