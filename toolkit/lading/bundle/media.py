"""Names and limits of the bundle format. ``docs/bundle.md`` tells the whole of it."""

from __future__ import annotations

from typing import Final

SUFFIX: Final = ".lading"

LAYOUT_MEMBER: Final = "oci-layout"
INDEX_MEMBER: Final = "index.json"
BLOB_PREFIX: Final = "blobs/sha256/"
LAYOUT_BYTES: Final = b'{"imageLayoutVersion":"1.0.0"}'

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
IMAGE_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
WASM_CONFIG: Final = "application/vnd.wasm.config.v0+json"
WASM: Final = "application/wasm"

BUNDLE: Final = "application/vnd.lading.bundle.v1"
BILL: Final = "application/vnd.lading.bill.v1+json"
ARTIFACT: Final = "application/vnd.lading.artifact.v1+json"
"""An OCI manifest that travels as a blob, of a type of its own so that nobody follows it as a manifest."""
MODEL_CONFIG: Final = "application/vnd.lading.model.config.v1+json"
MODEL: Final = "application/vnd.lading.model.v1"
FILE: Final = "application/vnd.lading.file.v1"
AHEAD: Final = "application/vnd.lading.ahead.v1"
"""A guest that was compiled ahead."""
TENSOR: Final = "application/vnd.lading.tensor.v1"

DESCRIPTIONS: Final = frozenset({ARTIFACT, WASM_CONFIG, MODEL_CONFIG})
"""Layers that only describe others; the bill does not list them."""

TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
REF_NAME: Final = "org.opencontainers.image.ref.name"
SERIAL: Final = "lading.serial"

EPOCH: Final = "1970-01-01T00:00:00Z"

MAX_JSON_BYTES: Final = 4 * 1024 * 1024
MAX_INDEX_BYTES: Final = 64 * 1024
MAX_BLOBS: Final = 16384
CHUNK: Final = 1024 * 1024
