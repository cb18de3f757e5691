"""Guest and models as C arrays, for a firmware that links them in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.client.pushing import Cargo

_ALIGNMENT: Final = 16
_ROW: Final = 16
_HEX: Final = tuple(f"0x{value:02x}," for value in range(256))


def header(bundle: Cargo, variant: str = "default") -> str:
    """One C header (C11 and C++11) that holds a bundle's guest and models.

    Every array is aligned to 16 bytes, as TFLite Micro wants it of models. The same bundle gives the same text.

    Args:
        bundle: the app.
        variant: which of its variants.
    """
    bill = bundle.bill
    guard = f"LADING_{_identifier(bill.app.name).upper()}_H"
    title = f"{bill.app.name} {bill.app.version}, release {bill.release}, variant {variant}"
    lines = [
        f"/* {_comment(title)}. Made by lading: not to be edited. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        f"#define LADING_ALIGNED alignas({_ALIGNMENT})",
        "#else",
        f"#define LADING_ALIGNED _Alignas({_ALIGNMENT})",
        "#endif",
        "",
        f'#define LADING_APP "{_comment(bill.app.name)}"',
        f'#define LADING_RELEASE "{_comment(bill.release)}"',
        "",
    ]
    chosen = bill.variant(variant)
    lines += _array("lading_guest", "the guest", _blob(bundle, chosen.module.digest))
    entries = []
    taken: set[str] = set()
    for model in chosen.models:
        stem = name = f"lading_model_{_identifier(model.name)}"
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        title = f"{model.name}@{model.version}" if model.version else model.name
        lines += _array(name, f"model {title}", _blob(bundle, model.digest))
        entries.append(f'  {{"{_comment(title)}", {name}, sizeof {name}}},')
    lines += [
        "/* The models, by the names that guests load them by. */",
        "struct lading_model { const char *name; const uint8_t *data; size_t size; };",
        f"#define LADING_MODELS {len(entries)}",
    ]
    if entries:
        lines += ["static const struct lading_model lading_models[LADING_MODELS] = {", *entries, "};"]
    lines += ["", f"#endif /* {guard} */", ""]
    return "\n".join(lines)


def _array(name: str, what: str, data: bytes) -> Iterator[str]:
    yield f"/* {_comment(what)}: {len(data)} bytes */"
    yield f"LADING_ALIGNED static const uint8_t {name}[{max(1, len(data))}] = {{"
    for at in range(0, len(data), _ROW):
        yield "  " + "".join(_HEX[value] for value in data[at : at + _ROW])
    if not data:
        yield "  0"
    yield "};"
    yield ""


def _identifier(name: str) -> str:
    """A name as part of a C identifier."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "unnamed"


def _comment(text: str) -> str:
    """Text that ends neither a comment nor a string."""
    return re.sub(r"[^A-Za-z0-9 @._+~:,/-]|\*/|/\*|//", "_", text)


def _blob(bundle: Cargo, digest: str) -> bytes:
    with bundle.open_blob(digest) as file:
        return file.read()
