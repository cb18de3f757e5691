"""The digits app on a device: ``pytest examples/digits --lading-device emulated://raspberry-pi-4b``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lading.pytest_plugin import assert_tensors_close

if TYPE_CHECKING:
    from lading.pytest_plugin.device import LadingApp

PROJECT = Path(__file__).parent.parent
pytestmark = pytest.mark.lading_project("..")


def test_the_app_reads_its_images(lading_app: LadingApp) -> None:
    ran = lading_app.run("/images").check()
    found = re.search(r"accuracy: (\d+) of (\d+)", ran.text)
    assert found is not None
    assert int(found[1]) >= 0.95 * int(found[2])
    assert ran.metrics["inferences"] >= int(found[2])


def test_the_model_answers_as_recorded(lading_app: LadingApp) -> None:
    image = np.load(PROJECT / "golden/int8/image.npy")
    expected = np.load(PROJECT / "golden/int8/probabilities.npy")
    found = lading_app.infer({"image": image})
    assert_tensors_close(found, {"probabilities": expected}, steps=1)


def test_the_device_computes_what_this_machine_does(lading_app: LadingApp) -> None:
    lading_app.assert_same_as_host(steps=1)


@pytest.mark.parametrize("shade", [-128, 0, 127])
def test_a_blank_image_is_no_crash(lading_app: LadingApp, shade: int) -> None:
    model = lading_app.model()
    shape = model.inputs["image"].shape
    found = lading_app.infer({"image": np.full(shape, shade, np.int8)})["probabilities"]
    output = model.outputs["probabilities"]
    total = (output.scale * (found.astype(np.float64) - output.zero_point)).sum()
    assert total == pytest.approx(1, abs=output.scale * found.size)
