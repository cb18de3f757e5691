"""The OCI side of a bundle: manifest, image config and index, made from a bill or read from a stranger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from lading.bundle import media
from lading.errors import BundleError
from lading_agent.ahead import ahead_of
from lading_agent.bill import MAX_BLOB_BYTES
from lading_agent.strictjson import SHA256, Node, StrictJsonError, dumps, loads

if TYPE_CHECKING:
    from lading_agent.bill import Bill, Model, Variant, VariantModel


@dataclass(frozen=True)
class Descriptor:
    """A blob as manifests refer to it."""

    media_type: str
    digest: str
    size: int

    @property
    def member(self) -> str:
        """The blob's name in the tar."""
        return member_of(self.digest)

    def to_json(self) -> dict[str, Any]:
        """The descriptor's JSON object."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Manifest:
    """The top manifest: the image config and every other blob as a layer, the bill first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers: everything in the tar after the manifest, in the tar's order."""
        return (self.config, *self.layers)

    def encode(self) -> bytes:
        """The canonical bytes."""
        return dumps(
            {
                "schemaVersion": 2,
                "mediaType": media.MANIFEST,
                "artifactType": media.BUNDLE,
                "config": self.config.to_json(),
                "layers": [layer.to_json() for layer in self.layers],
                "annotations": self.annotations,
            }
        )


@dataclass(frozen=True)
class Plan:
    """What the tar of a bill holds besides the bill's own blobs."""

    manifest: bytes
    index: bytes
    blobs: tuple[Descriptor, ...]
    """Everything after the manifest, in order."""
    made: dict[str, bytes]
    """Content, by digest, of the blobs that follow from the bill: config, bill, descriptions."""

    @property
    def digest(self) -> str:
        """The top manifest's digest: the bundle's name in a registry."""
        return digest_of(self.manifest)


def digest_of(content: bytes) -> str:
    """``sha256:…`` of some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def member_of(digest: str) -> str:
    """The tar member that holds the blob of that digest."""
    return media.BLOB_PREFIX + digest.removeprefix("sha256:")


class _Planner:
    def __init__(self) -> None:
        self.layers: dict[str, Descriptor] = {}
        self.made: dict[str, bytes] = {}

    def make(self, media_type: str, document: bytes) -> Descriptor:
        descriptor = Descriptor(media_type, digest_of(document), len(document))
        self.made[descriptor.digest] = document
        return descriptor

    def layer(self, media_type: str, digest: str, size: int) -> Descriptor:
        descriptor = Descriptor(media_type, digest, size)
        self.layers.setdefault(digest, descriptor)
        return descriptor

    def description(self, media_type: str, document: dict[str, Any]) -> Descriptor:
        made = self.make(media_type, dumps(document))
        return self.layer(media_type, made.digest, made.size)

    def artifact(self, config: Descriptor, layer: Descriptor, title: str, version: str) -> None:
        annotations = {media.TITLE: title, **({media.VERSION: version} if version else {})}
        self.description(
            media.ARTIFACT,
            {
                "schemaVersion": 2,
                "mediaType": media.MANIFEST,
                "config": config.to_json(),
                "layers": [layer.to_json()],
                "annotations": annotations,
            },
        )

    def guest(self, bill: Bill, variant: Variant) -> None:
        if ahead_of(variant) is not None:
            self.layer(media.AHEAD, variant.module.digest, variant.module.size)
            return
        config = self.description(
            media.WASM_CONFIG,
            {
                "architecture": "wasm",
                "created": media.EPOCH,
                "layerDigests": [variant.module.digest],
                "os": "wasip1",
            },
        )
        layer = self.layer(media.WASM, variant.module.digest, variant.module.size)
        self.artifact(config, layer, bill.app.name, bill.app.version)

    def model(self, model: Model, shipped: VariantModel) -> None:
        config = self.description(
            media.MODEL_CONFIG,
            {
                "name": model.name,
                "version": model.version,
                "encoding": model.encoding,
                "target": model.target,
                "int8": model.int8,
                "state": dict(model.state),
                "layerDigests": [shipped.digest],
            },
        )
        layer = self.layer(media.MODEL, shipped.digest, shipped.size)
        self.artifact(config, layer, model.name, model.version)


def plan(bill: Bill, bill_bytes: bytes) -> Plan:
    """Everything in a bundle that follows from its bill.

    Raises:
        BundleError: the bundle would be over a limit of the format.
    """
    planner = _Planner()
    made_bill = planner.make(media.BILL, bill_bytes)
    planner.layer(media.BILL, made_bill.digest, made_bill.size)
    models = {(model.name, model.version): model for model in bill.models}
    for variant in bill.variants:
        planner.guest(bill, variant)
        for shipped in variant.models:
            planner.model(models[shipped.name, shipped.version], shipped)
    for directory in bill.dirs:
        for file in directory.files:
            planner.layer(media.FILE, file.digest, file.size)
    for golden in bill.golden:
        for tensor in golden.inputs + golden.outputs:
            planner.layer(media.TENSOR, tensor.digest, tensor.size)

    names = labels_of(bill)
    config = planner.make(
        media.IMAGE_CONFIG,
        dumps(
            {
                "architecture": "wasm",
                "config": {"Labels": names},
                "created": media.EPOCH,
                "os": "wasip1",
                "rootfs": {"diff_ids": [], "type": "layers"},
            }
        ),
    )
    manifest = Manifest(config, tuple(planner.layers.values()), names)
    encoded = manifest.encode()
    if len(manifest.blobs) > media.MAX_BLOBS or len(encoded) > media.MAX_JSON_BYTES:
        raise BundleError(
            f"the bundle would hold {len(manifest.blobs)} blobs; at most {media.MAX_BLOBS} are allowed",
            remedy="put many small files into one archive that the app reads",
        )
    return Plan(encoded, index_for(encoded, bill.app.version), manifest.blobs, planner.made)


def labels_of(bill: Bill) -> dict[str, str]:
    """What other tools show of the bundle: labels of the image config, annotations of the manifest."""
    return {media.TITLE: bill.app.name, media.VERSION: bill.app.version, media.SERIAL: bill.serial}


def index_for(manifest: bytes, version: str) -> bytes:
    """The one ``index.json`` that belongs to a manifest."""
    descriptor = Descriptor(media.MANIFEST, digest_of(manifest), len(manifest)).to_json()
    return dumps(
        {
            "schemaVersion": 2,
            "mediaType": media.INDEX,
            "manifests": [{**descriptor, "annotations": {media.REF_NAME: version}}],
        }
    )


def read_index(data: bytes) -> Descriptor:
    """The one manifest that an index names.

    Raises:
        BundleError: several, none, or an index that is not one.
    """
    entries = read_descriptors(data, "manifests")
    if len(entries) != 1:
        _refuse(f"index.json names {len(entries)} manifests; a bundle has exactly one")
    return entries[0]


def read_descriptors(data: bytes, key: str) -> list[Descriptor]:
    """The descriptors that an ``index.json`` lists under ``key``.

    Raises:
        BundleError: the index is not one.
    """
    try:
        index = Node(loads(data, max_bytes=media.MAX_JSON_BYTES)).free_object()
        return [_descriptor(node) for node in Node(index.get(key), key).items(media.MAX_BLOBS)]
    except StrictJsonError as error:
        raise BundleError(f"index.json: {error}", remedy=DAMAGED) from None


def read_manifest(data: bytes, *, canonical: bool = True) -> Manifest:
    """The top manifest, from bytes that may come from anybody.

    Raises:
        BundleError: not the manifest of a bundle.
    """
    try:
        document = Node(loads(data, max_bytes=media.MAX_JSON_BYTES, canonical=canonical)).free_object()
        config = _descriptor(Node(document.get("config"), "config"))
        layers = tuple(_descriptor(node) for node in Node(document.get("layers"), "layers").items(media.MAX_BLOBS))
        noted = Node(document.get("annotations") or {}, "annotations")
        annotations = {name: node.text() for name, node in noted.members(256)}
    except StrictJsonError as error:
        raise BundleError(f"the manifest: {error}", remedy=DAMAGED) from None
    seen: dict[str, int] = {}
    for blob in (config, *layers):
        if blob.digest in seen:
            how = "twice" if seen[blob.digest] == blob.size else "twice, with different sizes"
            _refuse(f"the manifest lists {blob.digest} {how}")
        seen[blob.digest] = blob.size
    return Manifest(config, layers, annotations)


def find_bill(manifest: Manifest) -> Descriptor:
    """The descriptor of the bill.

    Raises:
        BundleError: the manifest does not begin with one: it is not the manifest of a bundle.
    """
    bills = [layer for layer in manifest.layers if layer.media_type == media.BILL]
    if len(bills) != 1:
        raise BundleError(
            f"the manifest lists {len(bills)} bills, not one: this is not a lading bundle",
            remedy="give a file that `lading pack` made, or what a registry tool made of it",
        )
    if bills[0].size > media.MAX_JSON_BYTES:
        _refuse(f"the bill is {bills[0].size} bytes long; at most {media.MAX_JSON_BYTES} are allowed")
    return bills[0]


DAMAGED = "get the bundle again from its source, or pack it again"


def _refuse(message: str) -> NoReturn:
    raise BundleError(message, remedy=DAMAGED)


def _descriptor(node: Node) -> Descriptor:
    fields = {name: Node(value, f"{node.key}.{name}") for name, value in node.free_object().items()}
    for name in ("mediaType", "digest", "size"):
        if name not in fields:
            raise StrictJsonError("is missing", key=f"{node.key}.{name}")
    return Descriptor(
        fields["mediaType"].text(limit=255),
        fields["digest"].text(SHA256, "a digest: 'sha256:' and 64 lower-case hexadecimal digits"),
        fields["size"].integer(0, MAX_BLOB_BYTES),
    )
