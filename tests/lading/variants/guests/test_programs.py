"""Whole programs of every era do on other hosts what they do on their own, to the last byte that they print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.errors import NotAdaptable
from lading.variants.guests.abi import Conversion, Plan, abi_of
from lading.variants.guests.adapt import adapt
from lading.wasm import read_module
from lading_agent.nn.facts import read_model
from lading_agent.runs.spec import ModelSpec
from tests.support.speakers import run_program

if TYPE_CHECKING:
    from lading.profiles.schema import FirmwareProfile
    from lading.variants.guests.abi import Dtype

ROOT = Path(__file__).parents[4]
GUESTS = ROOT / "tests" / "guests"
RECORDED = ROOT / "tests" / "data" / "recordings" / "guests"
MODELS = ROOT / "tests" / "data" / "models"
DIGITS = ROOT / "examples" / "digits"
HOSTS: dict[str, FirmwareProfile] = {
    n: p for n, p in profiles.load_all().items() if p.functions and p.backend == "litert"
}
FLOATS = [n for n in HOSTS if n.endswith("-legacy") or n in {"wamr-2.3", "wamr-2.4"}]
"""A uint8 model gets f32 there, and gives f32."""
BY_NAME = [n for n in HOSTS if "load_by_name" in abi_of(HOSTS[n]).functions - abi_of(HOSTS[n]).refused]

_WITX_CALLS = ("I:g=0", "S:c=0,t=1,d=1x8x8x1,n=256,fill=imgf", "C:c=0", "G:c=0,i=0,max=40", "G:c=0,i=0,max=400")
_ALL = (
    "L:f=digits_f32.tflite", *_WITX_CALLS, "S:c=0,t=1,d=1x8x8x1,n=256,fill=zero,pad=11259375",
    "C:c=0", "G:c=0,i=0,max=44",
)  # fmt: skip
_FLOAT_MODEL = "models/digits_f32.tflite"
_IMAGES = ("images/0000_label6.pgm", "images/0001_label3.pgm", "images/0005_label8.pgm")


@dataclass(frozen=True)
class Program:
    """A program, its own host, and what it is asked."""

    module: Path
    own: str
    args: tuple[str, ...]
    folder: Path = MODELS
    bytes_of: str = ""
    """It sends the bytes of this quantized model's input."""
    uncalled: frozenset[str] = frozenset()


_NAMES = frozenset(("load_by_name",))
_EXTRA = frozenset(("compute_single",))
PROGRAMS = {
    "crate-0.5": Program(
        GUESTS / "crate_0_5.wasm", "wasmedge-0.14", ("digits_uint8.tflite", "image.bin", "1", "8", "8", "1"),
        bytes_of="digits_uint8",
    ),
    "crate-0.6": Program(
        GUESTS / "crate_0_6.wasm", "wasmedge-0.17", ("digits_uint8.tflite", "image.bin", "1", "8", "8", "1"),
        bytes_of="digits_uint8",
    ),
    "wamr-style": Program(GUESTS / "wamr_style.wasm", "wamr-2.4", ("digits_f32.tflite", "1", "8", "8", "1")),
    "tries-spec": Program(RECORDED / "nnx.wasm", "lading-litert", _ALL, uncalled=_NAMES),
    "tries-wamr-2.3": Program(RECORDED / "nnx.wasm", "wamr-2.3", ("L:f=digits_f32.tflite", *_WITX_CALLS),
                              uncalled=_NAMES),
    "tries-wasmedge": Program(RECORDED / "nnx_we.wasm", "wasmedge-main", (*_ALL, "F:c=0", "U:g=0"),
                              uncalled=_NAMES | _EXTRA),
    "tries-legacy": Program(RECORDED / "nnx_legacy.wasm", "wamr-2.3-legacy",
                            ("L:f=digits_f32.tflite", *_WITX_CALLS[:3], "G:c=0,i=0,max=10", "G:c=0,i=0,max=40")),
    "tries-legacy-1.3": Program(RECORDED / "nnx_legacy_1_3.wasm", "wamr-1.3-legacy",
                                ("L:f=digits_f32.tflite", *_WITX_CALLS[:3], "G:c=0,i=0,max=10")),
    "tries-legacy-2.4": Program(RECORDED / "nnx_legacy_lbn.wasm", "wamr-2.4-legacy",
                                ("L:f=digits_f32.tflite", *_WITX_CALLS[:3], "G:c=0,i=0,max=40"), uncalled=_NAMES),
    "tries-legacy-main": Program(RECORDED / "nnx_legacy_lbn_1_3.wasm", "wamr-main-legacy",
                                 ("L:f=digits_f32.tflite", *_WITX_CALLS[:3], "G:c=0,i=0,max=40"), uncalled=_NAMES),
    "legacy-digits": Program(ROOT / "examples/legacy/legacy.wasm", "wamr-2.4-legacy",
                             (_FLOAT_MODEL, *_IMAGES), DIGITS),
    "digits-file": Program(
        DIGITS / "digits.wasm", "lading-litert", ("--input", "f32", "--model-file", _FLOAT_MODEL, "images"), DIGITS,
        uncalled=_NAMES,
    ),
}  # fmt: skip


def _said(output: bytes) -> bytes:
    """What a program said, without the times that it took."""
    return re.sub(rb"latency: .*", b"", output)


def _conversions(program: Program, other: str) -> tuple[Conversion, ...]:
    if not program.bytes_of or other not in FLOATS:
        return ()
    facts = read_model((MODELS / f"{program.bytes_of}.tflite").read_bytes())
    into, out = facts.inputs[0], facts.outputs[0]
    return (
        Conversion("input", 0, "uint8", "float32", into.scale, into.zero_point, into.count, nudge=0.25),
        Conversion("output", 0, "uint8", "float32", out.scale, out.zero_point, out.count),
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test models, and an image."""
    folder = tmp_path_factory.mktemp("models")
    for path in MODELS.glob("*.tflite"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "image.bin").write_bytes(bytes((i * 37) % 256 for i in range(64)))
    return folder


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_says_on_every_host_what_it_says_on_its_own(name: str, models: Path) -> None:
    program = PROGRAMS[name]
    folder = models if program.folder == MODELS else program.folder
    own, module = HOSTS[program.own], program.module.read_bytes()
    before = run_program(module, own.resolved(), program.args, folder=folder)
    assert before[1] == "exit 0"
    assert len(before[0]) > 50
    for other, host in HOSTS.items():
        plan = Plan(abi_of(own), abi_of(host), _conversions(program, other), uncalled=program.uncalled)
        adapted = adapt(module, plan)
        after = run_program(adapted.module, host.resolved(), program.args, folder=folder)
        assert _said(after[0]) == _said(before[0]), f"{program.own} on {other}"
        assert after[1] == before[1]
        assert [(e.name, e.kind) for e in read_module(adapted.module).exports] == [
            (e.name, e.kind) for e in read_module(module).exports
        ]
        if own is host:
            assert adapted.changes == ()
            assert adapted.module == module


@pytest.mark.parametrize("other", HOSTS)
def test_one_program_with_a_quantized_model_by_name_runs_everywhere(other: str, tmp_path: Path) -> None:
    """It sends int8 and loads by name: hardly any host takes that as it is."""
    host, module = HOSTS[other], (DIGITS / "digits.wasm").read_bytes()
    model = DIGITS / "models" / "digits_uint8.tflite"
    facts = read_model(model.read_bytes())
    kind: Dtype = "float32" if other in FLOATS else "uint8"
    into, out = facts.inputs[0], facts.outputs[0]
    conversions = (
        Conversion("input", 0, "int8", kind, into.scale, into.zero_point - 128, into.count, nudge=0.25),
        Conversion("output", 0, "int8", kind, out.scale, out.zero_point - 128, out.count),
    )
    own = HOSTS["lading-litert"]
    plan = Plan(abi_of(own), abi_of(host), conversions, models={"digits": model.read_bytes()})
    adapted = adapt(module, plan)
    embedded = any(c.what == "model 'digits'" for c in adapted.changes)
    assert embedded == (other not in BY_NAME)
    names = tmp_path / "names"
    names.mkdir()
    (names / "digits").write_bytes(model.read_bytes())
    spec = () if embedded else (ModelSpec("digits", str(model)),)
    said = run_program(
        adapted.module, host.resolved(), ["--input", "int8", "/images"], folder=DIGITS / "images",
        guest_folder="/images", models=spec, names=names,
    )  # fmt: skip
    best = run_program(
        module, own.resolved(), ["--input", "uint8", "/images"], folder=DIGITS / "images", guest_folder="/images",
        models=(ModelSpec("digits", str(model)),),
    )  # fmt: skip
    assert (_said(said[0]), said[1]) == (_said(best[0]), "exit 0")


def test_a_name_that_is_not_part_of_the_guest_is_not_found() -> None:
    module, host = (DIGITS / "digits.wasm").read_bytes(), HOSTS["wamr-2.3-legacy"]
    plan = Plan(abi_of(HOSTS["lading-litert"]), abi_of(host), models={"another": b"model"})
    said, end = run_program(adapt(module, plan).module, host.resolved(), ["--self-test"])
    assert (said, end) == (b"", "exit 3")


def test_a_program_that_loads_by_name_only_is_refused_where_nothing_can_be_embedded() -> None:
    module = (DIGITS / "digits.wasm").read_bytes()
    with pytest.raises(NotAdaptable, match="load_by_name"):
        adapt(module, Plan(abi_of(HOSTS["lading-litert"]), abi_of(HOSTS["wamr-2.3-legacy"])))
