"""Writes the tar of a bundle: the same contents give the same bytes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lading.bundle import media, ustar
from lading.bundle.content import Bytes, Content, write_all
from lading.bundle.manifest import member_of
from lading.errors import InputError, UsageError
from lading.files import open_regular

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
        UsageError: the file cannot be written, or what is there is no bundle.
        LadingError: a content is not what it was.
    """
    _refuse_to_replace(path)
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


def _refuse_to_replace(path: Path) -> None:
    """A slip of the pen must not cost a source file, nor root a device node."""
    try:
        with open_regular(path) as file:
            head = file.read(len(media.LAYOUT_MEMBER) + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(path, error) from None
    if head and head != media.LAYOUT_MEMBER.encode() + b"\0":
        raise UsageError(f"{path} is there already and is no bundle", remedy="move it away, or choose another place")


def _write(out: BinaryIO, plan: Plan, contents: Mapping[str, Content], step: Callable[[int], None]) -> None:
    def member(name: str, content: Content) -> None:
        write_all(out, ustar.header(name, content.size))
        content.copy_to(out, step)
        write_all(out, bytes(ustar.padding(content.size)))

    member(media.LAYOUT_MEMBER, Bytes("", media.LAYOUT_BYTES))
    member(media.INDEX_MEMBER, Bytes("", plan.index))
    member(member_of(plan.digest), Bytes(plan.digest, plan.manifest))
    for blob in plan.blobs:
        made = plan.made.get(blob.digest)
        member(blob.member, contents[blob.digest] if made is None else Bytes(blob.digest, made))
    write_all(out, ustar.END)


def _umask() -> int:
    # The mask can only be read by setting it; a bundle gets the mode that any new file has here.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _cannot_write(path: Path, error: OSError) -> InputError:
    where = error.filename or path
    return UsageError(f"{path} cannot be written: {error.strerror} ({where})", remedy="choose another place with -o")
