"""Bills for tests: a small one with everything in it, and the document behind it to spoil."""

from __future__ import annotations

import hashlib
import json
from typing import Any

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
    serial_of,
)
from lading_agent.strictjson import dumps


def digest(content: bytes) -> str:
    """The digest of some content, as bills write it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def sample_bill() -> Bill:
    """A bill with a module, a model, files, state, a golden vector and a smoke run."""
    return Bill(
        app=App(name="digits", version="1.0.0", args=("images",), env={"MODE": "fast"}, env_from_device=("TOKEN",)),
        variants=(
            Variant(
                id="default",
                module=Blob(digest(b"module"), 6),
                models=(VariantModel("digits", "1.0.0", digest(b"model"), 5),),
            ),
        ),
        dirs=(
            Directory(
                "/data",
                (File("a/b.bin", digest(b"b"), 1), File("run.sh", digest(b"sh"), 2, executable=True)),
            ),
        ),
        state=(StateDirectory("/var"),),
        models=(Model("digits", "1.0.0", state={"out": "in"}),),
        golden=(
            Golden(
                model="digits",
                inputs=(Tensor("x", "int8", (1, 2), digest(b"in"), 2),),
                outputs=(Tensor("y", "float32", (1,), digest(b"outs"), 4),),
            ),
        ),
        smoke=(Smoke(args=("--self-test",), exit=0, stdout="ok"),),
    ).seal()


def sample_document() -> dict[str, Any]:
    """The sample bill as a fresh JSON document."""
    document: dict[str, Any] = json.loads(sample_bill().encode())
    return document


def resealed(document: dict[str, Any]) -> bytes:
    """The bytes of a document whose serial was made to fit, so that only the spoiled part can be refused."""
    return dumps({**document, "serial": serial_of(document)})
