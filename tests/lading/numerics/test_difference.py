"""What is said of two tensors that differ: how far, how many, where first."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.numerics.asserting import assert_tensors_close
from lading.numerics.difference import difference

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


def test_integers_are_apart_by_steps() -> None:
    expected = np.array([[0, 5, -128], [127, 1, 2]], np.int8)
    got = np.array([[0, 6, -128], [124, 1, 0]], np.int8)
    found = difference("y", got, expected)
    assert (found.unit, found.worst, found.differing, found.over, found.ok) == ("steps", 3, 3, 2, False)
    assert found.first is not None
    assert (found.first.index, found.first.expected, found.first.got) == ((1, 0), 127, 124)
    assert difference("y", got, expected, steps=3).ok
    first = difference("y", got, expected, steps=3).first
    assert first is not None
    assert first.index == (0, 1), "where nothing is too far apart the first that differs is told"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_the_ends_of_a_type_are_as_far_apart_as_they_are(dtype: str) -> None:
    ends = np.iinfo(dtype)
    found = difference("y", np.array([ends.min], dtype), np.array([ends.max], dtype))
    assert found.worst == pytest.approx(float(ends.max) - float(ends.min))


def test_floats_are_apart_absolutely_relatively_and_by_ulp() -> None:
    expected = np.array([1.0, 1000.0, 0.0], np.float32)
    got = np.nextafter(expected, np.float32(np.inf))
    found = difference("y", got, expected)
    assert (found.unit, found.ulp, found.differing, found.ok) == ("absolute", 1, 3, True)
    assert found.worst == pytest.approx(1000 * 2**-24, rel=0.1)
    assert found.relative == math.inf, "nothing is a part of zero"
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["relative"] is None
    assert not difference("y", got, expected, atol=0, rtol=0).ok


def test_both_zeros_are_one() -> None:
    found = difference("y", np.array([-0.0], np.float32), np.array([0.0], np.float32))
    assert (found.differing, found.ulp, found.worst) == (0, 0, 0)
    across = difference("y", np.array([-1e-45], np.float32), np.array([1e-45], np.float32))
    assert across.ulp == 2


@pytest.mark.parametrize(("got", "expected", "ok"), [("nan", "nan", True), ("inf", "inf", True), ("nan", "1", False),
                                                     ("inf", "-inf", False), ("1", "inf", False)])  # fmt: skip
def test_what_is_not_finite(got: str, expected: str, ok: bool) -> None:
    found = difference("y", np.array([float(got)]), np.array([float(expected)]), atol=1e300, rtol=1e300)
    assert found.ok is ok
    json.dumps(found.to_json(), allow_nan=False)


def test_floats_that_stand_for_quantized_values_are_counted_in_steps() -> None:
    scale = 0.1
    expected = (np.arange(10) * scale).astype(np.float32)
    got = (np.arange(1, 11) * scale).astype(np.float32)
    assert difference("y", got, expected, step=scale).ok, "one step, whatever the rounding of the division"
    found = difference("y", got + np.float32(scale), expected, step=scale)
    assert (found.unit, found.over, round(found.worst)) == ("steps", 10, 2)


def test_another_type_or_shape_is_no_difference_of_values() -> None:
    assert "int8, expected uint8" in difference("y", np.zeros(2, np.int8), np.zeros(2, np.uint8)).sentence()
    assert "shape [2], expected [1, 2]" in difference("y", np.zeros(2), np.zeros((1, 2))).sentence()


def test_empty_tensors_and_scalars() -> None:
    assert difference("y", np.zeros((0, 3)), np.zeros((0, 3))).ok
    found = difference("y", np.array(3, np.int32), np.array(5, np.int32))
    assert "the first is []: expected 5, got 3" in found.sentence()


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=8))
def test_nothing_that_two_tensors_hold_is_too_much(pairs: list[tuple[float, float]]) -> None:
    got, expected = (np.array(values, np.float32) for values in zip(*pairs, strict=True))
    found = difference("y", got, expected, atol=0, rtol=0)
    same = np.array_equal(got, expected, equal_nan=True)
    assert found.ok is bool(same)
    assert (found.differing == 0) is bool(same)
    assert (found.ulp == 0) is bool(same)
    json.dumps(found.to_json(), allow_nan=False)
    assert found.sentence()


def test_an_assertion_names_tensor_index_expected_and_got() -> None:
    good: dict[str, Any] = {"a": np.zeros(3, np.int8), "b": np.zeros(2, np.float32)}
    assert_tensors_close(good, good)
    bad: dict[str, Any] = {"a": np.array([0, 0, 4], np.int8), "c": 1}
    with pytest.raises(AssertionError) as caught:
        assert_tensors_close(bad, good)
    text = str(caught.value)
    assert "tensor 'b' is missing" in text
    assert "tensor 'c' is not expected" in text
    assert "tensor 'a' (int8 3): 1 of 3 elements are too far apart" in text
    assert "the first is [2]: expected 0, got 4; at most 4 steps" in text
    assert_tensors_close(bad["a"], good["a"], steps=4)
    with pytest.raises(AssertionError, match="tensor 'probabilities'"):
        assert_tensors_close([1.0], [2.0], tensor="probabilities")
