"""Custom sections: names, producers, target features.

Engines ignore them, also malformed ones, and so does this reader: of those it keeps name and size only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import ModuleError
from lading.wasm.module import CustomSection, Producer, TargetFeature

if TYPE_CHECKING:
    from lading.wasm.cursor import Cursor
    from lading.wasm.module import Module

_MOST_SECTIONS: Final = 1000
_MOST_ENTRIES: Final = 1000
_MODULE_NAME: Final = 0


def read(c: Cursor, m: Module) -> None:
    """One custom section. Its name belongs to the format and has to be right."""
    size = c.end - c.at
    name = c.name("the name of a custom section")
    if len(m.custom) < _MOST_SECTIONS:
        m.custom.append(CustomSection(name, size))
    readers = {"name": _names, "producers": _producers, "target_features": _target_features}
    if name in readers:
        try:
            readers[name](c, m)
        except ModuleError:
            return


def _names(c: Cursor, m: Module) -> None:
    while not c.done:
        kind = c.byte("a part of the names")
        part = c.part(c.u32("the size of names"), "names")
        if kind == _MODULE_NAME:
            m.name = part.name("the module's name")


def _producers(c: Cursor, m: Module) -> None:
    found = []
    for _ in range(c.count(_MOST_ENTRIES, "producers")):
        role = c.name("a role")
        found += [
            Producer(role, c.name("a producer"), c.name("a version"))
            for _ in range(c.count(_MOST_ENTRIES, "producers of a role"))
        ]
    m.producers = found


def _target_features(c: Cursor, m: Module) -> None:
    m.target_features = [
        TargetFeature(chr(c.byte("a prefix")), c.name("a feature"))
        for _ in range(c.count(_MOST_ENTRIES, "target features"))
    ]
