"""Packages come from where pip or uv are told to take them, whether or not either is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lading.engines.registry import PYPI, TIMEOUT_S, configured

NO_FILES = {"PIP_CONFIG_FILE": "/dev/null"}
MIRROR = "https://mirror.example/simple"


@pytest.mark.parametrize(
    ("environ", "indexes"),
    [
        ({}, (PYPI,)),
        ({"PIP_INDEX_URL": MIRROR + "/"}, (MIRROR,)),
        ({"UV_INDEX_URL": MIRROR}, (MIRROR,)),
        ({"UV_DEFAULT_INDEX": f"ours={MIRROR}"}, (MIRROR,)),
        ({"PIP_INDEX_URL": MIRROR, "UV_INDEX_URL": "https://other.example"}, (MIRROR,)),
        ({"PIP_EXTRA_INDEX_URL": f"{MIRROR} file:///opt/simple"}, (PYPI, MIRROR)),
        ({"UV_INDEX": f"ours={MIRROR} https://b.example"}, (PYPI, MIRROR, "https://b.example")),
        ({"UV_EXTRA_INDEX_URL": MIRROR}, (PYPI, MIRROR)),
        ({"PIP_INDEX_URL": MIRROR, "PIP_NO_INDEX": "1"}, ()),
        ({"UV_OFFLINE": "true"}, ()),
        ({"PIP_NO_INDEX": "0"}, (PYPI,)),
        ({"PIP_INDEX_URL": ""}, (PYPI,)),
        ({"PIP_INDEX_URL": "https://a.example/simple?x=y"}, ("https://a.example/simple?x=y",)),
    ],
)
def test_the_environment_says_which_index(environ: dict[str, str], indexes: tuple[str, ...]) -> None:
    assert configured(NO_FILES | environ).indexes == indexes


def test_pips_configuration_counts_and_the_environment_counts_more(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        f"[global]\nindex-url = {MIRROR}\nextra-index-url = https://a.example\n  https://b.example\n"
        f"find-links = {tmp_path}\ncert = /ca.pem\ntimeout = 7\n"
    )
    found = configured({"PIP_CONFIG_FILE": str(file)})
    assert found.indexes == (MIRROR, "https://a.example", "https://b.example")
    assert tmp_path in found.folders
    assert found.certificates == Path("/ca.pem")
    assert found.timeout_s == 7
    over = configured({"PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://c.example", "PIP_TIMEOUT": "9"})
    assert over.indexes[0] == "https://c.example"
    assert over.timeout_s == 9


def test_the_section_of_downloads_counts_more_than_the_global_one(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(f"[download]\nindex-url = {MIRROR}\n[global]\nindex-url = https://a.example\n")
    assert configured({"PIP_CONFIG_FILE": str(file)}).indexes == (MIRROR,)


@pytest.mark.parametrize("text", ["no configuration", "[global\n", "[global]\nindex-url\n", "\0\xff"])
def test_a_configuration_that_cannot_be_read_is_left_out(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pip.conf"
    file.write_bytes(text.encode("latin-1"))
    configured({"PIP_CONFIG_FILE": str(file)})


def test_folders_are_looked_into(tmp_path: Path) -> None:
    environ = NO_FILES | {"PIP_FIND_LINKS": f"{tmp_path} file://{tmp_path}/a%20b https://c.example/links"}
    assert configured(environ).folders == (tmp_path, tmp_path / "a b")
    assert configured(NO_FILES | {"UV_FIND_LINKS": f"{tmp_path},{tmp_path}/x"}).folders == (tmp_path, tmp_path / "x")


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "1e99"])
def test_a_time_out_that_is_none_is_the_usual_one(text: str) -> None:
    assert configured(NO_FILES | {"PIP_TIMEOUT": text}).timeout_s == TIMEOUT_S
