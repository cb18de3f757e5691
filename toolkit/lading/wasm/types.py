"""Types in a module: values, references, functions, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.wasm.cursor import Malformed
from lading.wasm.module import PAGE_BYTES, FuncType, GlobalType, Limits, TableType

if TYPE_CHECKING:
    from lading.wasm.cursor import Cursor
    from lading.wasm.module import Module

MOST_PARAMS: Final = 1000
MOST_FIELDS: Final = 10_000
MOST_PAGES_32: Final = 65536
_MOST_GROUP: Final = 1_000_000

_NUMBERS: Final = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}
_VECTOR: Final = 0x7B
_PACKED: Final = {0x78: "i8", 0x77: "i16"}
_HEAP: Final = {
    0x70: "func", 0x6F: "extern", 0x6E: "any", 0x6D: "eq", 0x6C: "i31", 0x6B: "struct", 0x6A: "array", 0x69: "exn",
    0x74: "noexn", 0x73: "nofunc", 0x72: "noextern", 0x71: "none",
}  # fmt: skip
_HEAP_FEATURE: Final = {
    "func": "reference-types",
    "extern": "reference-types",
    "exn": "exceptions",
    "noexn": "exceptions",
}
_REF, _REF_NULL = 0x64, 0x63
_FUNC, _STRUCT, _ARRAY, _SUB, _SUB_FINAL, _REC = 0x60, 0x5F, 0x5E, 0x50, 0x4F, 0x4E
_SHARED_FLAG, _LIMIT_FLAGS = 0x02, 0x0F


def value_type(c: Cursor, m: Module, what: str) -> str:
    """A value type; notes the feature that it belongs to."""
    start = c.at
    code = c.byte(what)
    if code in _NUMBERS:
        return _NUMBERS[code]
    if code == _VECTOR:
        m.use("simd", "a v128 value", start)
        return "v128"
    return _reference(c, m, code, start, what)


def reference_type(c: Cursor, m: Module, what: str) -> str:
    """A reference type."""
    start = c.at
    return _reference(c, m, c.byte(what), start, what)


def _reference(c: Cursor, m: Module, code: int, start: int, what: str) -> str:
    if code in _HEAP:
        heap = _HEAP[code]
        m.use(_HEAP_FEATURE.get(heap, "gc"), f"a value of type {heap}ref", start)
        return f"{heap}ref"
    if code in {_REF, _REF_NULL}:
        m.use("function-references", "a typed reference", start)
        null = "null " if code == _REF_NULL else ""
        return f"(ref {null}{heap_type(c, m, what)})"
    raise Malformed(f"{what} has the unknown type {code:#04x}", start)


def heap_type(c: Cursor, m: Module, what: str) -> str:
    """A heap type: a name, or a type index."""
    start = c.at
    number = c.s33(what)
    if number >= 0:
        m.use("function-references", "a reference to a type by its index", start)
        return str(number)
    code = number + 0x80
    if c.at - start != 1 or code not in _HEAP:
        raise Malformed(f"{what} has an unknown heap type", start)
    heap = _HEAP[code]
    m.use(_HEAP_FEATURE.get(heap, "gc"), f"a reference to {heap}", start)
    return heap


def block_type(c: Cursor, m: Module) -> None:
    """The type of a block: nothing, one value, or a function type by its index."""
    start = c.at
    first = c.byte("the type of a block")
    if first == 0x40:
        return
    c.at = start
    if first < 0x40 or first >= 0x80:
        index = c.s33("the type of a block")
        if not 0 <= index < len(m.types):
            raise Malformed(f"a block has type {index} of {len(m.types)}", start)
        m.use("multi-value", "a block with parameters or several results", start)
    else:
        value_type(c, m, "the type of a block")


def type_group(c: Cursor, m: Module, seen: dict[FuncType, FuncType]) -> None:
    """One entry of the type section; equal signatures share one object."""
    start = c.at
    code = c.byte("a type")
    if code == _REC:
        m.use("gc", "a recursive type", start)
        for _ in range(c.count(_MOST_GROUP, "types of a group")):
            _sub_type(c, m, c.byte("a type"), seen)
    else:
        _sub_type(c, m, code, seen)


def _sub_type(c: Cursor, m: Module, code: int, seen: dict[FuncType, FuncType]) -> None:
    if code in {_SUB, _SUB_FINAL}:
        m.use("gc", "a subtype", c.at - 1)
        if c.count(1, "supertypes"):
            c.u32("a supertype")
        code = c.byte("a type")
    start = c.at - 1
    if code == _FUNC:
        found = _func_type(c, m)
        m.types.append(seen.setdefault(found, found))
        return
    if code not in {_STRUCT, _ARRAY}:
        raise Malformed(f"a type begins with the unknown byte {code:#04x}", start)
    m.use("gc", "a struct or array type", start)
    for _ in range(c.count(MOST_FIELDS, "fields") if code == _STRUCT else 1):
        if not c.done and c.data[c.at] in _PACKED:
            c.skip(1, "a field")
        else:
            value_type(c, m, "a field")
        _mutability(c)
    m.types.append(None)


def _func_type(c: Cursor, m: Module) -> FuncType:
    start = c.at
    params = tuple([value_type(c, m, "a parameter") for _ in range(c.count(MOST_PARAMS, "parameters"))])
    results = tuple([value_type(c, m, "a result") for _ in range(c.count(MOST_PARAMS, "results"))])
    if len(results) > 1:
        m.use("multi-value", "a function with several results", start)
    return FuncType(params, results)


def _mutability(c: Cursor) -> bool:
    start = c.at
    flag = c.byte("a mutability")
    if flag > 1:
        raise Malformed(f"the mutability {flag} is neither 0 nor 1", start)
    return flag == 1


def global_type(c: Cursor, m: Module) -> GlobalType:
    """The type of a global."""
    kind = value_type(c, m, "a global")
    return GlobalType(kind, _mutability(c))


def table_type(c: Cursor, m: Module) -> TableType:
    """The type of a table. A table of functions alone is as old as WebAssembly."""
    start = c.at
    if not c.done and c.data[c.at] == 0x70:
        c.skip(1, "a table")
        element = "funcref"
    else:
        element = reference_type(c, m, "a table")
    limits = _limits(c, m, "table")
    if limits.shared:
        raise Malformed("a table is shared", start)
    return TableType(element, limits)


def memory_type(c: Cursor, m: Module) -> Limits:
    """The size of a memory, in pages."""
    start = c.at
    limits = _limits(c, m, "memory")
    if limits.shared:
        m.use("threads", "a shared memory", start)
        if limits.maximum is None:
            raise Malformed("a shared memory has no maximum", start)
    most = (2**64 if limits.is64 else 2**32) // limits.page_bytes
    if limits.minimum > most or (limits.maximum or 0) > most:
        raise Malformed(f"a memory is larger than its {most} pages can be", start)
    return limits


def _limits(c: Cursor, m: Module, what: str) -> Limits:
    start = c.at
    flags = c.byte(f"the size of a {what}")
    known = _LIMIT_FLAGS if what == "memory" else _LIMIT_FLAGS & ~0x08
    if flags & ~known:
        raise Malformed(f"the size of a {what} has the unknown flags {flags:#04x}", start)
    is64 = bool(flags & 4)
    if is64:
        m.use("memory64", f"a 64-bit {what}", start)
    number = c.u64 if is64 else c.u32
    minimum = number(f"the size of a {what}")
    maximum = number(f"the largest size of a {what}") if flags & 1 else None
    if maximum is not None and maximum < minimum:
        raise Malformed(f"the largest size of a {what} is smaller than its first", start)
    page = PAGE_BYTES
    if flags & 8:
        m.use("custom-page-sizes", "a memory with pages of its own size", start)
        power = c.u32("the size of a page")
        if power not in {0, 16}:
            raise Malformed(f"pages of 2^{power} bytes are not allowed", start)
        page = 1 << power
    return Limits(minimum, maximum, bool(flags & _SHARED_FLAG), is64, page)
