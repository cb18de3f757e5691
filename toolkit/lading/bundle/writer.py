"""Writes the tar of a bundle: the same contents give the same bytes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lading.bundle import media, ustar
from lading.bundle.content import Bytes, Content
from lading.bundle.manifest import member_of
from lading.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from lading.bundle.manifest import Plan


def write_bundle(
    path: Path, plan: Plan, contents: Mapping[str, Content], step: Callable[[int], None] = lambda _: None
) -> int:
    """Write a bundle beside ``path`` and put it there when it is whole.

    Args:
        path: the file to make or replace.
        plan: what the bundle holds, in order.
        contents: by digest, at least the blobs that the plan did not make itself.
        step: called with the bytes that were written, as it goes.

    Returns:
        Bytes of the whole file.

    Raises:
        UsageError: the file cannot be written.
        LadingError: a content is not what it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb", buffering=0) as out:
            _write(out, plan, contents, step)
            size = out.tell()
            os.fchmod(out.fileno(), 0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return size


def _write(out: BinaryIO, plan: Plan, contents: Mapping[str, Content], step: Callable[[int], None]) -> None:
    def member(name: str, content: Content) -> None:
        out.write(ustar.header(name, content.size))
        content.copy_to(out, step)
        out.write(bytes(ustar.padding(content.size)))

    member(media.LAYOUT_MEMBER, Bytes("", media.LAYOUT_BYTES))
    member(media.INDEX_MEMBER, Bytes("", plan.index))
    member(member_of(plan.digest), Bytes(plan.digest, plan.manifest))
    for blob in plan.blobs:
        made = plan.made.get(blob.digest)
        member(blob.member, contents[blob.digest] if made is None else Bytes(blob.digest, made))
    out.write(ustar.END)


def _umask() -> int:
    # The mask can only be read by setting it; a bundle gets the mode that any new file has here.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> InputError:
    where = error.filename or path
    return UsageError(f"{path} cannot be written: {error.strerror} ({where})", remedy="Choose another place with -o.")
