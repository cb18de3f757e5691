"""Models that are damaged, on the recorder and before the check: an answer each time, and never a host that fails."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.check import Place, judge
from lading.emulate import OpenedDir
from lading.trace import SubjectOptions, open_subject, record
from tests.support.differential import GUESTS, MODELS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(8))
def test_damaged_models_have_a_trace_and_verdicts(seed: int, tmp_path: Path) -> None:
    source = random.Random(seed)
    data = bytearray((MODELS / "digits_int8.tflite").read_bytes())
    for _ in range(source.choice([1, 3, 30])):
        data[source.randrange(len(data))] = source.randrange(256)
    if source.random() < 0.3:
        del data[source.randrange(len(data)) :]
    (tmp_path / "m.tflite").write_bytes(data)
    calls = ["L:f=m.tflite", "I:g=0", "S:c=0,i=0,t=3,d=1x8x8x1,n=64", "C:c=0", "G:c=0,i=0,max=40"]
    with open_subject(GUESTS / "nnx.wasm", SubjectOptions(args=calls, dirs=[OpenedDir(tmp_path, ".")])) as subject:
        trace = record(subject, time_s=30)
    assert trace.end.kind in {"exit", "interpreter-crashed", "out-of-memory"}, trace.end
    for profile in profiles.load_all().values():
        assert judge(trace, Place(profile)).verdict in {"ok", "fails", "unknown"}
