"""Things to push that are made in memory: small bundles for the fake runner."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO

from lading_agent.bill import (
    App,
    Bill,
    Blob,
    Directory,
    File,
    Golden,
    Model,
    Smoke,
    StateDirectory,
    Tensor,
    Variant,
    VariantModel,
)
from tests.support.bills import digest

if TYPE_CHECKING:
    from collections.abc import Mapping


class Cargo:
    """A bundle as the client sees it."""

    def __init__(self, bill: Bill, contents: Mapping[str, bytes]) -> None:
        self.bill = bill
        self.bill_bytes = bill.encode()
        self.contents = dict(contents)
        self.opened: list[str] = []

    def open_blob(self, digest_: str) -> BinaryIO:
        self.opened.append(digest_)
        return io.BytesIO(self.contents[digest_])

    @property
    def release(self) -> str:
        return self.bill.release


def cargo(
    version: str = "1.0.0",
    *,
    app: str = "echo",
    module: Mapping[str, Any] | None = None,
    model: bytes = b"good model",
    files: Mapping[str, bytes] | None = None,
    golden: bool = True,
    smoke: tuple[Smoke, ...] = (Smoke(args=("--self-test",), stdout="hello"),),
    memory_bytes: int | None = None,
    timeout_s: float | None = None,
    state: tuple[str, ...] = ("/var",),
    args: tuple[str, ...] = ("image",),
) -> Cargo:
    """A small app: a module for the fake runner, a model, files, a golden vector and a smoke run."""
    code = json.dumps({"stdout": "hello\n"} if module is None else dict(module)).encode() + b" " * (len(version) % 7)
    shipped = {"a/one.bin": b"one", "two.bin": version.encode()} if files is None else dict(files)
    tensors = (b"\x01\x02", b"\x03\x04")
    contents = {digest(data): data for data in (code, model, *shipped.values(), *(tensors if golden else ()))}
    bill = Bill(
        app=App(name=app, version=version, args=args, memory_bytes=memory_bytes, timeout_s=timeout_s),
        variants=(
            Variant(
                id="default",
                module=Blob(digest(code), len(code)),
                models=(VariantModel("m", "1.0.0", digest(model), len(model)),),
            ),
        ),
        dirs=(Directory("/data", tuple(File(p, digest(d), len(d)) for p, d in sorted(shipped.items()))),)
        if shipped
        else (),
        state=tuple(StateDirectory(guest) for guest in state),
        models=(Model("m", "1.0.0"),),
        golden=(
            Golden(
                model="m",
                inputs=(Tensor("x", "int8", (2,), digest(tensors[0]), 2),),
                outputs=(Tensor("y", "int8", (2,), digest(tensors[1]), 2),),
            ),
        )
        if golden
        else (),
        smoke=smoke,
    ).seal()
    return Cargo(bill, contents)
