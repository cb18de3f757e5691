"""Rewriting a guest for another host: its wasi-nn imports become adapters that call that host's functions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from lading.errors import NotAdaptable
from lading.variants.guests.assemble import signed
from lading.variants.guests.calls import BY_NAME, Calls
from lading.variants.guests.editor import Editor
from lading.variants.guests.helpers import PAGE, SHARED, grow
from lading.variants.guests.models import numbered
from lading.variants.guests.room import lay_out
from lading.variants.guests.tensors import checked, converter
from lading.variants.guests.validate import validate
from lading.wasm.module import NN_MODULES, FuncType
from lading.wasm.types import MOST_PAGES_32
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.variants.guests.abi import Abi, Plan
    from lading.variants.guests.assemble import Function
    from lading.variants.guests.editor import Place
    from lading.variants.guests.sections import ImportEntry
    from lading.wasm.module import Module


class Change(NamedTuple):
    """One thing that was changed in a guest."""

    what: str
    """The function or part of the module."""
    how: str


@dataclass(frozen=True)
class Adapted:
    """A guest for another host."""

    module: bytes
    changes: tuple[Change, ...]
    """Empty: the guest is as it was, byte for byte."""


def adapt(module: bytes, plan: Plan) -> Adapted:
    """Rewrite a guest's wasi-nn calls for another host.

    Exports stay as they are. Guest memory does as well, but for what the host itself writes; with conversions of tensor
    data the memory has pages at its end that the guest does not see. Calls that mean the same to both sides are not
    touched, and a guest of which that is true as a whole comes back as it was.

    Args:
        module: the guest, a core module.
        plan: what it speaks and what the host does.

    Raises:
        NotAdaptable: it cannot be rewritten; says why and what to do.
        ModuleError: the module is malformed.
    """
    editor = Editor(module)
    calls = _Adaptation(editor, plan)
    changes = calls.changes()
    if not changes:
        return Adapted(module, ())
    validate(module, "the guest")
    out = editor.finish()
    changes += [Change(name, "left out: it speaks of places that have moved") for name in editor.dropped]
    validate(out, "the rewritten guest")
    return Adapted(out, tuple(changes))


class _Adaptation:
    """One module and one plan."""

    def __init__(self, editor: Editor, plan: Plan) -> None:
        self.editor = editor
        self.plan = plan
        self.conversions = [checked(c) for c in plan.tensors]
        numbers = numbered(self.conversions, plan.known)
        self.room = lay_out(self.conversions, _embedded(editor, plan), tables=bool(numbers))
        self.calls = Calls(plan, self.room, numbers)

    def changes(self) -> list[Change]:
        """Tell the editor everything, and say what that was."""
        entries = _nn_imports(self.editor, self.plan.guest)
        if not entries:
            return []
        _check_memory(self.editor.module, self.room.pages)
        found: list[Change] = []
        for at, entry in entries:
            found += self._function(at, entry)
        if found and self.room.pages:
            found += self._own_pages()
        return found

    def _function(self, at: int, entry: ImportEntry) -> list[Change]:
        name, plan = entry.name, self.plan
        adapter = self.calls.adapter(name)
        if adapter is None and entry.module in {plan.host.module, *plan.host.aliases}:
            return []
        if adapter is None:
            self._host_function(name)
            self.editor.redirect(at, f"host.{name}")
            return [Change(name, f"imported from {plan.host.module}")]
        self._add(adapter, entry.type_index)
        self.editor.redirect(at, adapter.name)
        return [Change(name, self.calls.told() or f"as {plan.host.name} has it")]

    def _add(self, function: Function, type_index: int | None = None) -> None:
        """Add a function and everything that it calls."""
        if self.editor.has(function.name):
            return
        self.editor.add(function, type_index)
        words = function.text.split()
        for before, name in pairwise(words):
            if before == "call" and not self.editor.has(name):
                if name.startswith("host."):
                    self._host_function(name.removeprefix("host."))
                else:
                    self._add(self._helper(name))

    def _helper(self, name: str) -> Function:
        kind, _, at = name.removeprefix("adapter.").partition("-")
        if kind in {"input", "output"}:
            one = [c for c in self.conversions if c.direction == kind][int(at)]
            ends = (one.guest, one.host) if kind == "input" else (one.host, one.guest)
            return converter(name, *ends, one)
        found = SHARED.get(name) or self.calls.helper(name)
        assert found is not None
        return found

    def _host_function(self, name: str) -> None:
        key, host = f"host.{name}", self.plan.host
        if not self.editor.has(key):
            params = ("i32",) * len(PARAMETERS[host.layout][name])
            self.editor.import_function(key, host.module, name, params, ("i32",))

    def _own_pages(self) -> list[Change]:
        """Pages at memory's end, of which the guest's own code does not know."""
        pages, editor = self.room.pages, self.editor
        first = editor.module.memories[0].minimum * PAGE
        for at, content in self.room.segments:
            editor.add_data(first + at, content)
        editor.add_pages(pages)
        helper = grow(pages)
        editor.add(helper)

        def size(place: Place) -> bytes:
            return place.data[place.start : place.end] + b"\x41" + signed(pages) + b"\x6b"

        editor.replaced[0x3F] = size
        editor.replaced[0x40] = lambda place: place.call(helper.name)
        told = [
            Change(f"{c.direction} {c.index}", f"{c.guest} of the guest, {c.host} of the host")
            for c in self.conversions
        ]
        told += [Change(f"model '{name}'", f"embedded, {size} bytes") for name, (_, size) in self.room.models.items()]
        return [*told, Change("memory", f"{pages * PAGE // 1024} KiB more, which the guest does not see")]


def _embedded(editor: Editor, plan: Plan) -> Mapping[str, bytes]:
    """The models that have to be part of the guest."""
    modules = {plan.guest.module, *plan.guest.aliases}
    named = {e.name for e in editor.imports if e.module in modules} & BY_NAME
    if not named or "load_by_name" in plan.host.functions - plan.host.refused:
        return {}
    return plan.models


def _nn_imports(editor: Editor, guest: Abi) -> list[tuple[int, ImportEntry]]:
    spoken = {guest.module, *guest.aliases}
    found = [(at, entry) for at, entry in enumerate(editor.imports) if entry.module in {*NN_MODULES, *spoken}]
    functions = PARAMETERS[guest.layout]
    for _, entry in found:
        what = f"{entry.module}::{entry.name}"
        if entry.module not in spoken:
            raise NotAdaptable(
                f"the guest imports {what}, but is said to speak {guest.module}",
                remedy="say for which host it was made (legacy is wasi_nn)",
            )
        if entry.kind != 0 or entry.name not in functions:
            raise NotAdaptable(
                f"the guest imports {what}, which wasi-nn does not have", remedy="is it the right guest?"
            )
        kind = editor.module.types[entry.type_index]
        wanted = FuncType(("i32",) * len(functions[entry.name]), ("i32",))
        if kind != wanted:
            raise NotAdaptable(
                f"the guest imports {what} as {kind}; {guest.name} has it as {wanted}",
                remedy="say for which host it was made",
            )
    return found


def _check_memory(module: Module, pages: int) -> None:
    """The adapter looks into the guest's only memory, and alone."""
    if len(module.memories) != 1:
        count = len(module.memories) or "no"
        raise NotAdaptable(
            f"the guest has {count} memories: wasi-nn takes arguments from one",
            remedy="build it as a program for WASI",
        )
    memory = module.memories[0]
    if memory.is64 or memory.shared or memory.page_bytes != PAGE:
        what = "64-bit" if memory.is64 else "shared" if memory.shared else "of pages of its own size"
        raise NotAdaptable(f"the guest's memory is {what}", remedy="build it for wasm32-wasip1, without threads")
    if not pages:
        return
    if any(i.kind == "memory" for i in module.imports):
        raise NotAdaptable(
            "the guest imports its memory, which gives the adapter no room of its own in it",
            remedy="build it with a memory of its own, as compilers for WASI do",
        )
    if memory.minimum + pages > MOST_PAGES_32:
        raise NotAdaptable(
            f"the guest's memory has {memory.minimum * PAGE // 2**20} MiB, which leaves no room for the adapter's own",
            remedy="link it with a smaller first memory (--initial-memory)",
        )
