from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import ProjectError
from lading.project import load_project
from lading.project.rules import seconds
from tests.support.projects import FULL, SMALL, small_project

if TYPE_CHECKING:
    from pathlib import Path

PINNED = """\
schema = 1
[app]
name = "digits"            # [a-z0-9][a-z0-9._-]{0,62}
version = "1.0.0"          # semantic version
module = "digits.wasm"
args = ["images"]
env = { KEY = "value" }
runtime = "lading"         # lading | wasmedge | iwasm | wasmtime
threads = 1                # interpreter threads; 0 = all cores
timeout = "60s"            # default 10 min for run, none for a service
memory = "256MiB"          # default: what the target allows
[[dir]]
host = "data"              # shipped with the app (read-only), or
guest = "/data"
[[state]]                  # a writable directory that survives releases
guest = "/var"
[[model]]
name = "digits"            # what load_by_name sees; also name@version
version = "1.0.0"
path = "digits_int8.tflite"
encoding = "tensorflowlite"
int8 = "as-u8"             # as-u8 | quantize-f32: how a guest meets int8 tensors
state = { "out:state" = "in:state" }   # for compute_single
[[golden]]                 # the bare model on the device: inputs → outputs
model = "digits"
inputs = { "x" = "golden/x.npy" }
outputs = { "y" = "golden/y.npy" }
tolerance = 1              # quantization steps (floats: atol, rtol)
[[smoke]]                  # the guest on the device, through whatever runtime it uses
args = ["--self-test"]
exit = 0
stdout = "regex"
"""


def write(folder: Path, text: str) -> Path:
    (folder / "lading.toml").write_text(text)
    return folder


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, PINNED))
    assert (project.app.name, project.app.version, project.app.module) == ("digits", "1.0.0", "digits.wasm")
    assert project.env == {"KEY": "value"}
    assert project.timeout_s == 60.0
    assert project.app.memory == 256 * 1024 * 1024
    assert project.dirs[0].guest == "/data"
    assert project.state[0].guest == "/var"
    assert project.models[0].state == {"out:state": "in:state"}
    assert project.golden[0].inputs == {"x": "golden/x.npy"}
    assert project.smoke[0].stdout == "regex"


def test_the_defaults(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    assert project.app.runtime == "lading"
    assert project.app.threads == 1
    assert project.timeout_s is None
    assert project.app.memory is None
    assert [*project.models, *project.golden, *project.dirs, *project.state, *project.smoke] == []


def test_secrets_come_from_the_device(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, SMALL + 'env = { A = "b", from-device-env = ["TOKEN", "KEY"] }\n'))
    assert project.env == {"A": "b"}
    assert project.env_from_device == ["TOKEN", "KEY"]


def test_the_file_itself_may_be_given(tmp_path: Path) -> None:
    write(tmp_path, SMALL)
    assert load_project(tmp_path / "lading.toml").root == tmp_path


def test_private_keys_are_ignored(tmp_path: Path) -> None:
    text = SMALL + 'x-owner = "me"\n[x-tool]\nanything = 1\n'
    assert load_project(write(tmp_path, text)).app.name == "small"


REFUSED = {
    "no schema": (SMALL.replace("schema = 1\n", ""), "schema", "schema = 1"),
    "newer schema": (SMALL.replace("schema = 1", "schema = 2"), "schema 2", "update lading"),
    "unknown key": (SMALL + 'modul = "x"\n', "app.modul", "module"),
    "unknown table": (SMALL + "[[models]]\n", "models", "model"),
    "no TOML": ("schema = = 1", "not TOML", ""),
    "no app": ("schema = 1\n", "app", ""),
    "no version": (SMALL.replace('version = "1.0.0"\n', ""), "version", ""),
    "app name": (SMALL.replace('"small"', '"Small App"'), "app.name", "digits"),
    "app name too long": (SMALL.replace('"small"', f'"{"a" * 64}"'), "app.name", ""),
    "version": (SMALL.replace('"1.0.0"', '"1.0"'), "app.version", "1.0.0"),
    "version with zeros": (SMALL.replace('"1.0.0"', '"01.0.0"'), "app.version", "1.0.0"),
    "empty module": (SMALL.replace('"small.wasm"', '""'), "app.module", ".wasm"),
    "module is a number": (SMALL.replace('"small.wasm"', "1"), "app.module", ""),
    "runtime": (SMALL + 'runtime = "node"\n', "app.runtime", ""),
    "threads": (SMALL + "threads = -1\n", "app.threads", ""),
    "timeout": (SMALL + 'timeout = "soon"\n', "app.timeout", "60s"),
    "no time": (SMALL + "timeout = 0\n", "app.timeout", "60s"),
    "memory": (SMALL + 'memory = "lots"\n', "app.memory", ""),
    "no memory": (SMALL + "memory = 0\n", "app.memory", ""),
    "NUL in an argument": (SMALL + 'args = ["a\\u0000b"]\n', "app.args[0]", "NUL"),
    "environment name": (SMALL + 'env = { "A=B" = "c" }\n', "app.env.A=B", "letters"),
    "list in the environment": (SMALL + 'env = { A = ["c"] }\n', "app.env.A", "from-device-env"),
    "secrets as text": (SMALL + 'env = { from-device-env = "TOKEN" }\n', "from-device-env", "TOKEN"),
    "variable of two values": (SMALL + 'env = { A = "b", from-device-env = ["A"] }\n', "app.env", "both"),
    "guest path": (SMALL + '[[dir]]\nhost = "d"\nguest = "/a/../b"\n', "dir[0].guest", "/data"),
    "guest path twice": (
        SMALL + '[[dir]]\nhost = "d"\nguest = "/d"\n[[state]]\nguest = "/d"\n',
        "dir and state",
        "guest path",
    ),
    "empty host": (SMALL + '[[dir]]\nhost = ""\nguest = "/d"\n', "dir[0].host", "relative to lading.toml"),
    "model name": (SMALL + '[[model]]\nname = "a@b"\npath = "m"\n', "model[0].name", "version"),
    "model twice": (SMALL + '[[model]]\nname = "a"\npath = "m"\n' * 2, "model", "name"),
    "encoding": (SMALL + '[[model]]\nname = "a"\npath = "m"\nencoding = "tflite"\n', "model[0].encoding", ""),
    "int8": (SMALL + '[[model]]\nname = "a"\npath = "m"\nint8 = "as-i8"\n', "model[0].int8", ""),
    "state twice": (
        SMALL + '[[model]]\nname = "a"\npath = "m"\nstate = { a = "c", b = "c" }\n',
        "model[0].state",
        "one output",
    ),
    "golden of nobody": (FULL.replace('model = "layer"', 'model = "other"'), "golden[0].model", "layer@1.0.0"),
    "golden without inputs": (FULL.replace('{ "x" = "golden/x.npy" }', "{}"), "golden[0].inputs", "npy"),
    "tolerance": (FULL.replace('model = "layer"', 'model = "layer"\ntolerance = -1'), "golden[0].tolerance", ""),
    "an engine that nobody knows": (SMALL + '[engines]\nv8 = "1"\n', "engines.v8", "wasmtime"),
    "engine version": (SMALL + '[engines]\nwasmtime = "../50"\n', "engines.wasmtime", "lading engines"),
    "engine version as a number": (SMALL + "[engines]\nlitert = 2.3\n", "engines.litert", ""),
    "engines of another runtime": (
        SMALL + 'runtime = "iwasm"\n[engines]\nwasmtime = "50.0.1"\n',
        "engines.wasmtime",
        "app.runtime",
    ),
    "smoke status": (SMALL + "[[smoke]]\nexit = 256\n", "smoke[0].exit", ""),
    "smoke expression": (SMALL + '[[smoke]]\nstdout = "("\n', "smoke[0].stdout", "re.search"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_file_key_and_remedy(tmp_path: Path, case: str) -> None:
    text, key, remedy = REFUSED[case]
    with pytest.raises(ProjectError, match=re.escape(key)) as caught:
        load_project(write(tmp_path, text))
    assert str(tmp_path / "lading.toml") in caught.value.message
    assert caught.value.remedy
    assert remedy in caught.value.remedy
    assert caught.value.exit_status == 2


def test_what_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no lading") as caught:
        load_project(tmp_path)
    assert "lading init" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "value"), [("60s", 60.0), ("1.5m", 90.0), ("2 min", 120.0), ("1h", 3600.0), ("250ms", 0.25), (5, 5.0)]
)
def test_times(text: str | float, value: float) -> None:
    assert seconds(text) == value


@given(st.text(max_size=12) | st.floats() | st.integers())
def test_any_time_is_read_or_refused(value: str | float) -> None:
    try:
        assert 0 < seconds(value) <= 1e9
    except (ValueError, OverflowError):
        return
