"""Reads a bill that may come from anybody."""

from __future__ import annotations

import re
from typing import Dict, Final, List, Mapping, Sequence, Set, Tuple

from lading_agent.ahead import check_ahead
from lading_agent.bill import (
    DEFAULT_VARIANT,
    DTYPE_BYTES,
    ENGINES,
    INT8_POLICIES,
    MAX_BILL_BYTES,
    MAX_BLOB_BYTES,
    RUNTIMES,
    SCHEMA,
    App,
    Bill,
    BillError,
    Blob,
    Directory,
    File,
    Golden,
    Model,
    Sizes,
    Smoke,
    StateDirectory,
    Tensor,
    Variant,
    VariantModel,
    serial_of,
)
from lading_agent.strictjson import SHA256, Node, StrictJsonError, loads

APP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
VERSION: Final = re.compile(
    r"(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})\.(?:0|[1-9][0-9]{0,8})"
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
MAX_VERSION: Final = 64
MODEL_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
MODEL_VERSION: Final = re.compile(r"(?:[0-9A-Za-z][0-9A-Za-z.+_-]{0,63})?")
WORD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
VARIANT_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
ENGINE_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
SERIAL: Final = re.compile(r"[0-9a-f]{16}")

APP_NAME_IS: Final = "an app name: a-z, 0-9, '.', '_', '-', at most 63 characters, beginning with a letter or digit"
VERSION_IS: Final = "a semantic version such as 1.0.0"
MODEL_NAME_IS: Final = "a model name: letters, digits, '.', '_', '+', '-', at most 128 characters"

MAX_PATH_BYTES: Final = 1024
MAX_PART_BYTES: Final = 255
MAX_FILES: Final = 65536
MAX_LIST: Final = 1024
MAX_SMOKE: Final = 64
MAX_EXPRESSION: Final = 1000
"""Expressions are compiled where a bill is read: their number and length bound that work."""
MAX_RANK: Final = 16
MAX_DIMENSION: Final = 2**31 - 1
FREE_DEPTH: Final = 12


def read_bill(data: bytes) -> Bill:
    """See :meth:`lading_agent.bill.Bill.parse`."""
    try:
        document = loads(data, max_bytes=MAX_BILL_BYTES, max_depth=FREE_DEPTH, canonical=True)
        return _bill(document)
    except StrictJsonError as error:
        what = error.message if error.key else f"the bill {error.message}"
        raise BillError(what, key=error.key, remedy=error.remedy or "get the bundle again from its source") from None


def _bill(document: object) -> Bill:
    root = Node(document)
    _check_schema(root)
    f = root.fields(
        ("schema", "serial", "app", "dirs", "state", "models", "variants", "golden", "smoke", "sizes", "signatures"),
        ("engines",),
    )
    models = tuple(_model(n) for n in f["models"].items(MAX_LIST))
    _distinct(f["models"], [m.reference for m in models], "models")
    variants = tuple(_variant(n, models) for n in f["variants"].items(MAX_LIST))
    if not variants:
        f["variants"].fail("is empty; a bundle has at least one variant")
    _distinct(f["variants"], [v.id for v in variants], "variants")
    if DEFAULT_VARIANT not in {v.id for v in variants}:
        f["variants"].fail(f"has no '{DEFAULT_VARIANT}'; every bundle has the guest as it was given")
    dirs = tuple(_directory(n) for n in f["dirs"].items(MAX_LIST))
    state = tuple(StateDirectory(guest_path(_only(n, "guest"))) for n in f["state"].items(MAX_LIST))
    _distinct(f["dirs"], [d.guest for d in dirs] + [s.guest for s in state], "guest directories")
    bill = Bill(
        app=_app(f["app"]),
        variants=variants,
        dirs=dirs,
        state=state,
        models=models,
        golden=tuple(_golden(n, variants) for n in f["golden"].items(MAX_LIST)),
        smoke=tuple(_smoke(n) for n in f["smoke"].items(MAX_SMOKE)),
        engines=_engines(f["engines"]) if "engines" in f else {},
        sizes=_sizes(f["sizes"]),
        serial=f["serial"].text(SERIAL, "16 hexadecimal digits"),
        signatures=tuple(n.free_object() for n in f["signatures"].items(16)),
    )
    _check_golden_models(bill)
    _check_one_size_each(bill)
    check_ahead(f["variants"], variants)
    if bill.sizes != bill.counted_sizes():
        f["sizes"].fail("do not follow from the entries of the bill")
    if bill.serial != serial_of(root.free_object()):
        f["serial"].fail("does not belong to this bill")
    return bill


def _check_schema(root: Node) -> None:
    document = root.free_object()
    if "schema" not in document:
        root.fail("is not a bill: it has no schema number")
    schema = Node(document["schema"], "schema").integer(1, 2**31)
    if schema > SCHEMA:
        raise StrictJsonError(
            f"the bill has schema {schema}; this lading reads schema {SCHEMA}",
            key="schema",
            remedy="update lading here (and the agent on the device)",
        )


def _only(node: Node, name: str) -> Node:
    return node.fields((name,))[name]


def _app(node: Node) -> App:
    f = node.fields(
        ("name", "version", "args", "env", "env_from_device", "runtime", "threads", "timeout_s", "memory_bytes")
    )
    env = {_env_name(n, name): n.text() for name, n in f["env"].members(MAX_LIST)}
    secrets = tuple(_env_name(n, n.text()) for n in f["env_from_device"].items(MAX_LIST))
    _distinct(f["env_from_device"], [*env, *secrets], "environment variables")
    return App(
        name=f["name"].text(APP_NAME, APP_NAME_IS),
        version=f["version"].text(VERSION, VERSION_IS, MAX_VERSION),
        args=_args(f["args"]),
        env=env,
        env_from_device=secrets,
        runtime=f["runtime"].one_of(RUNTIMES, "A newer lading may know it: update lading."),
        threads=f["threads"].integer(0, 1024),
        timeout_s=f["timeout_s"].optional(lambda n: n.number(0.001, 1e9)),
        memory_bytes=f["memory_bytes"].optional(lambda n: n.integer(1, 2**53 - 1)),
    )


def _args(node: Node) -> Tuple[str, ...]:
    return tuple(n.text() for n in node.items(MAX_LIST))


def _env_name(node: Node, name: str) -> str:
    return Node(name, node.key).text(ENV_NAME, "the name of an environment variable")


def _directory(node: Node) -> Directory:
    f = node.fields(("guest", "files"))
    files = tuple(_file(n) for n in f["files"].items(MAX_FILES))
    paths = [file.path for file in files]
    _distinct(f["files"], paths, "files")
    taken = set(paths)
    for path in paths:
        parts = path.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            if above in taken:
                f["files"].fail(f"'{above}' is a file and a directory at once")
    return Directory(guest=guest_path(f["guest"]), files=files)


def _file(node: Node) -> File:
    f = node.fields(("path", "digest", "size", "executable"))
    blob = _blob(f)
    return File(relative_path(f["path"]), blob.digest, blob.size, f["executable"].boolean())


def relative_path(node: Node) -> str:
    """A path below a directory of the app: safe to become a file on a device."""
    path = node.text(limit=MAX_PATH_BYTES)
    if not path or path.startswith("/"):
        node.fail("is not a relative path" if path else "is empty")
    _check_parts(node, path, path.split("/"))
    return path


def guest_path(node: Node) -> str:
    """A directory's name in the guest: ``/``, ``.``, or normal, absolute or relative."""
    path = node.text(limit=MAX_PATH_BYTES)
    if path in ("/", "."):
        return path
    _check_parts(node, path, path[1:].split("/") if path.startswith("/") else path.split("/"))
    return path


def _check_parts(node: Node, path: str, parts: Sequence[str]) -> None:
    if len(path.encode()) > MAX_PATH_BYTES:
        node.fail(f"is longer than {MAX_PATH_BYTES} bytes")
    for part in parts:
        if part in ("", ".", ".."):
            node.fail("has an empty part, '.' or '..' in its path")
        if len(part.encode()) > MAX_PART_BYTES:
            node.fail(f"has a part longer than {MAX_PART_BYTES} bytes in its path")
        if any(ord(c) < 0x20 or ord(c) == 0x7F for c in part) or "\\" in part:
            node.fail("has a control character or a backslash in its path")


def _blob(fields: Mapping[str, Node]) -> Blob:
    digest = fields["digest"].text(SHA256, "a digest: 'sha256:' and 64 lower-case hexadecimal digits")
    return Blob(digest, fields["size"].integer(0, MAX_BLOB_BYTES))


def _model(node: Node) -> Model:
    f = node.fields(("name", "version", "encoding", "target", "int8", "state"))
    state = {Node(name, n.key).text(limit=1024): n.text(limit=1024) for name, n in f["state"].members(MAX_LIST)}
    if len(set(state.values())) != len(state):
        f["state"].fail("feeds one input tensor from two outputs")
    return Model(
        name=f["name"].text(MODEL_NAME, MODEL_NAME_IS),
        version=f["version"].text(MODEL_VERSION, "a model version"),
        encoding=f["encoding"].text(WORD, "an encoding"),
        target=f["target"].text(WORD, "an execution target"),
        int8=f["int8"].one_of(INT8_POLICIES, "A newer lading may know it: update lading."),
        state=state,
    )


def _variant(node: Node, models: Sequence[Model]) -> Variant:
    f = node.fields(("id", "module", "models", "needs", "provides", "conversion"))
    shipped = tuple(_variant_model(n) for n in f["models"].items(MAX_LIST))
    if sorted((m.name, m.version) for m in shipped) != sorted((m.name, m.version) for m in models):
        f["models"].fail("are not the models that the bill lists")
    return Variant(
        id=f["id"].text(VARIANT_ID, "a variant id"),
        module=_blob(f["module"].fields(("digest", "size"))),
        models=shipped,
        needs=f["needs"].free_object(),
        provides=f["provides"].free_object(),
        conversion=tuple(n.value for n in f["conversion"].items(MAX_LIST)),
    )


def _variant_model(node: Node) -> VariantModel:
    f = node.fields(("name", "version", "digest", "size"))
    blob = _blob(f)
    return VariantModel(
        f["name"].text(MODEL_NAME, MODEL_NAME_IS),
        f["version"].text(MODEL_VERSION, "a model version"),
        blob.digest,
        blob.size,
    )


def _golden(node: Node, variants: Sequence[Variant]) -> Golden:
    f = node.fields(("model", "inputs", "outputs", "tolerance", "atol", "rtol", "variants"))
    for_variants = tuple(n.one_of([v.id for v in variants]) for n in f["variants"].items(MAX_LIST))
    _distinct(f["variants"], for_variants, "variants")
    return Golden(
        model=f["model"].text(),
        inputs=_tensors(f["inputs"]),
        outputs=_tensors(f["outputs"]),
        tolerance=f["tolerance"].integer(0, 2**31),
        atol=f["atol"].number(0.0, 1e30),
        rtol=f["rtol"].number(0.0, 1e30),
        variants=for_variants,
    )


def _tensors(node: Node) -> Tuple[Tensor, ...]:
    tensors = tuple(_tensor(n) for n in node.items(MAX_LIST))
    if not tensors:
        node.fail("is empty")
    _distinct(node, [t.tensor for t in tensors], "tensors")
    return tensors


def _tensor(node: Node) -> Tensor:
    f = node.fields(("tensor", "dtype", "shape", "digest", "size"))
    blob = _blob(f)
    dtype = f["dtype"].one_of(tuple(DTYPE_BYTES))
    shape = tuple(n.integer(0, MAX_DIMENSION) for n in f["shape"].items(MAX_RANK))
    size = DTYPE_BYTES[dtype]
    for dimension in shape:
        size *= dimension
    if size != blob.size:
        f["size"].fail(f"is {blob.size}, but {dtype} of shape {list(shape)} takes {size} bytes")
    return Tensor(f["tensor"].text(limit=1024), dtype, shape, blob.digest, blob.size)


def _smoke(node: Node) -> Smoke:
    f = node.fields(("args", "exit", "stdout"))
    return Smoke(_args(f["args"]), f["exit"].integer(0, 255), f["stdout"].optional(_regular_expression))


def _regular_expression(node: Node) -> str:
    text = node.text(limit=MAX_EXPRESSION)
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        node.fail(f"is not a regular expression: {error}")
    return text


def _engines(node: Node) -> Dict[str, str]:
    f = node.fields((), ENGINES)
    if not f:
        node.fail("is empty; a bill that asks for no engines has no such key")
    return {name: engine_version(f[name]) for name in sorted(f)}


def engine_version(node: Node) -> str:
    """The version of an engine's package."""
    return node.text(ENGINE_VERSION, "the version of an engine such as 50.0.1")


def _sizes(node: Node) -> Sizes:
    names = ("total", "modules", "models", "files", "golden")
    f = node.fields(names)
    return Sizes(**{name: f[name].integer(0, 2**53 - 1) for name in names})


def _check_golden_models(bill: Bill) -> None:
    for index, golden in enumerate(bill.golden):
        try:
            bill.find_model(golden.model)
        except BillError as error:
            raise BillError(error.message, key=f"golden[{index}].model", remedy=error.remedy) from None


def _check_one_size_each(bill: Bill) -> None:
    sizes: Dict[str, int] = {}
    entries: List[Tuple[str, int]] = [(v.module.digest, v.module.size) for v in bill.variants]
    entries += [(m.digest, m.size) for v in bill.variants for m in v.models]
    entries += [(f.digest, f.size) for d in bill.dirs for f in d.files]
    entries += [(t.digest, t.size) for g in bill.golden for t in g.inputs + g.outputs]
    for digest, size in entries:
        if sizes.setdefault(digest, size) != size:
            raise BillError(f"lists {digest} with two sizes, {sizes[digest]} and {size}")


def _distinct(node: Node, names: Sequence[str], what: str) -> None:
    seen: Set[str] = set()
    for name in names:
        if name in seen:
            node.fail(f"names '{name}' twice among the {what}")
        seen.add(name)
