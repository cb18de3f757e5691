from __future__ import annotations

from dataclasses import replace

import pytest

from lading_agent.bill import App, Bill, BillError, Blob, Model, Variant, VariantModel
from tests.support.bills import digest, resealed, sample_bill, sample_document


def test_what_is_written_is_what_is_read() -> None:
    bill = sample_bill()
    assert Bill.parse(bill.encode()) == bill


def test_the_bytes_are_canonical() -> None:
    encoded = sample_bill().encode()
    assert encoded.startswith(b'{"app":{"args":["images"],"env":{"MODE":"fast"},')
    assert b": " not in encoded
    assert b", " not in encoded


def test_the_serial_follows_from_the_content_but_not_from_the_signatures() -> None:
    bill = sample_bill()
    assert replace(bill, signatures=({"key": "k"},)).seal().serial == bill.serial
    assert replace(bill, app=replace(bill.app, threads=2)).seal().serial != bill.serial


def test_a_release_is_named_by_version_and_serial() -> None:
    bill = sample_bill()
    assert bill.release == f"1.0.0-{bill.serial}"


def test_the_smallest_bill_is_an_app_with_a_module() -> None:
    bill = Bill(app=App("a", "0.1.0"), variants=(Variant("default", Blob(digest(b""), 0)),)).seal()
    assert Bill.parse(bill.encode()) == bill
    assert bill.blobs() == {digest(b""): 0}


def test_a_bill_that_asks_for_no_engines_is_what_it_always_was() -> None:
    assert b'"engines"' not in sample_bill().encode()
    assert sample_bill().serial == "90cf630004099ffc"


def test_a_bill_may_ask_for_engines() -> None:
    bill = replace(sample_bill(), engines={"litert": "2.2.0", "wasmtime": "49.0.0"}).seal()
    assert Bill.parse(bill.encode()) == bill
    assert bill.serial != sample_bill().serial
    assert b'"engines":{"litert":"2.2.0","wasmtime":"49.0.0"}' in bill.encode()


def test_sizes_count_a_shared_blob_once_in_the_total() -> None:
    sizes = sample_bill().sizes
    assert (sizes.modules, sizes.models, sizes.files, sizes.golden) == (6, 5, 3, 6)
    assert sizes.total == 20


def test_a_device_needs_the_blobs_of_its_variant_only() -> None:
    bill = sample_bill()
    other = Variant("other", Blob(digest(b"other module"), 12), bill.variants[0].models)
    golden = replace(bill.golden[0], variants=("default",))
    both = replace(bill, variants=(*bill.variants, other), golden=(golden,)).seal()
    needed = both.blobs("other")
    assert digest(b"other module") in needed
    assert digest(b"module") not in needed
    assert digest(b"in") not in needed
    assert digest(b"in") in both.blobs("default")
    assert set(both.all_blobs()) == set(needed) | set(both.blobs("default"))


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BillError) as caught:
        sample_bill().blobs("fast")
    assert "no variant 'fast'" in str(caught.value)
    assert "default" in caught.value.remedy


def test_models_are_found_by_name_and_by_name_and_version() -> None:
    bill = sample_bill()
    second = Model("digits", "2.0.0")
    shipped = VariantModel("digits", "2.0.0", digest(b"model"), 5)
    variant = replace(bill.variants[0], models=(*bill.variants[0].models, shipped))
    golden = replace(bill.golden[0], model="digits@1.0.0")
    both = replace(bill, models=(*bill.models, second), variants=(variant,), golden=(golden,)).seal()
    assert both.find_model("digits@2.0.0") == second
    with pytest.raises(BillError, match="several"):
        both.find_model("digits")


def test_a_private_key_is_ignored() -> None:
    document = sample_document()
    document["x-note"] = {"anything": [1]}
    document["app"]["x-team"] = "vision"
    assert Bill.parse(resealed(document)).app == sample_bill().app


def test_a_newer_schema_is_refused_by_name() -> None:
    document = {"schema": 2, "whatever": 1}
    with pytest.raises(BillError) as caught:
        Bill.parse(resealed(document))
    assert "schema 2" in caught.value.message
    assert caught.value.key == "schema"
    assert "update lading" in caught.value.remedy
