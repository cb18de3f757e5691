"""Other people's tools read bundles, and what they make of them becomes the same bundle again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from lading.bundle import PackResult, import_bundle, pack
from lading.project import load_project
from lading.variants.packing import Packer, Wanted
from tests.support.examples import EXAMPLES
from tests.support.projects import full_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def need(program: str, *, in_ci: bool = True) -> str:
    """The program's path; where it is missing the test is skipped, in CI it fails if it must be there."""
    found = shutil.which(program)
    if found is None:
        if in_ci and os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackResult:
    return pack(full_project(tmp_path_factory.mktemp("skopeo") / "project"))


def skopeo(*words: object) -> str:
    command = [need("skopeo"), "--insecure-policy", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_inspects_a_bundle(packed: PackResult) -> None:
    seen = json.loads(skopeo("inspect", f"oci-archive:{packed.path}"))
    assert seen["Digest"] == packed.digest
    assert seen["Labels"]["org.opencontainers.image.title"] == "full"
    assert (seen["Architecture"], seen["Os"]) == ("wasm", "wasip1")
    assert len(seen["Layers"]) == packed.blob_count - 1


def test_skopeo_finds_the_version_as_a_tag(packed: PackResult) -> None:
    assert json.loads(skopeo("inspect", f"oci-archive:{packed.path}:2.1.0-rc.1"))["Digest"] == packed.digest


def test_a_bundle_of_many_variants_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packer = Packer(Wanted(("lading-litert", "wamr-2.4", "wasmedge-0.17")))
    packed = pack(load_project(EXAMPLES / "digits"), tmp_path / "digits.lading", variants=packer)
    assert len(packed.bill.variants) == 3
    seen = json.loads(skopeo("inspect", f"oci-archive:{packed.path}"))
    assert seen["Digest"] == packed.digest
    test_archive_to_folder_to_archive_and_back(packed, tmp_path)


def test_archive_to_folder_to_archive_and_back(packed: PackResult, tmp_path: Path) -> None:
    folder, archive = tmp_path / "folder", tmp_path / "archive.tar"
    skopeo("copy", f"oci-archive:{packed.path}", f"oci:{folder}:tag")
    skopeo("copy", f"oci:{folder}:tag", f"oci-archive:{archive}")
    for source in (folder, archive):
        made = import_bundle(source, tmp_path / "made.lading")
        assert made.path.read_bytes() == packed.path.read_bytes()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    program = need("docker-registry", in_ci=False)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = tmp_path / "registry.yml"
    store = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    config.write_text(json.dumps({"version": 0.1, "storage": store, "http": {"addr": address}}))
    with (tmp_path / "registry.log").open("wb") as log:
        server = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        host, _, port = address.partition(":")
        for _ in range(200):
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "registry.log").read_text()
                time.sleep(0.05)
        yield address
    finally:
        server.kill()
        server.wait()


def test_through_a_registry_and_back(packed: PackResult, registry: str, tmp_path: Path) -> None:
    archive = tmp_path / "back.tar"
    skopeo("copy", "--dest-tls-verify=false", f"oci-archive:{packed.path}", f"docker://{registry}/full:1")
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry}/full:1"))
    assert seen["Digest"] == packed.digest
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry}/full:1", f"oci-archive:{archive}")
    assert import_bundle(archive, tmp_path / "made.lading").path.read_bytes() == packed.path.read_bytes()
