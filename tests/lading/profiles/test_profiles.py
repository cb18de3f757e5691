"""Firmware profiles: the shipped ones load, and what is wrong in one is named with file, key and remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.errors import DataFileError, NameNotFound, NameNotUnique
from lading_agent.nn.personality import Personality

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project" / "firmware_profiles").mkdir(parents=True)
    return tmp_path / "project"


def write(project: Path, name: str, text: str) -> Path:
    path = project / "firmware_profiles" / f"{name}.toml"
    path.write_text(text)
    return path


HEAD = 'schema = 1\nextends = "lading-litert"\ntitle = "mine"\n'


def test_every_shipped_profile_loads_and_compiles() -> None:
    for id_, profile in profiles.load_all().items():
        assert profile.id == id_
        assert profile.provenance.source
        document = json.loads(json.dumps(profile.resolved()))
        if profile.runs_guests:
            assert Personality.from_json(document).id == id_


def test_the_ones_that_are_promised_are_there() -> None:
    assert {"lading-litert", "lading-tflite-runtime", "wasi-nn-witx"} <= set(profiles.ids())


def test_names_match_by_unique_prefix() -> None:
    assert profiles.find("LADING-L").id == "lading-litert"
    assert profiles.find("profile:wasi-nn-witx").id == "wasi-nn-witx"
    with pytest.raises(NameNotUnique):
        profiles.find("lading")
    with pytest.raises(NameNotFound, match="lading-litret") as caught:
        profiles.find("lading-litret")
    assert "lading-litert" in caught.value.remedy


def test_a_project_s_profile_changes_what_it_says_and_keeps_the_rest(project: Path) -> None:
    write(project, "mine", HEAD + '[abi.tensor-types]\nbf16 = 9\n[limits]\ngraphs = 2\n[functions]\nunload = "none"\n')
    profile = profiles.find("mine", project)
    base = profiles.find("lading-litert")
    assert profile.abi is not None
    assert base.abi is not None
    assert profile.abi.tensor_types == {**base.abi.tensor_types, "bf16": 9}
    assert profile.limits.graphs == 2
    assert set(base.functions) - set(profile.functions) == {"unload"}


def test_a_project_s_profile_hides_the_shipped_one(project: Path) -> None:
    write(project, "wasi-nn-witx", HEAD)
    assert profiles.find("wasi-nn-witx", project).title == "mine"
    assert profiles.find("wasi-nn-witx").title != "mine"


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        ("title = \"x\"", "schema", "is missing"),
        ("schema = 2\ntitle = \"x\"", "", "schema 2"),
        (HEAD.replace("schema = 1", ""), "schema", "is missing"),
        (HEAD.replace("schema = 1", "schema = 2"), "", "schema 2"),
        (HEAD + "tittle = 1", "tittle", "unknown key"),
        (HEAD + "title2 = 1", "title2", "unknown key"),
        (HEAD + "[limits]\ngraphs = \"many\"", "limits.graphs", "expected"),
        (HEAD + "[limits]\ngraphs = -1", "limits.graphs", ""),
        (HEAD + "[limits]\nmodel-bytes = \"12 parsecs\"", "limits.model-bytes", "size"),
        (HEAD + "[abi.tensor-types]\nbf16 = 3", "abi.tensor-types.bf16", "already u8"),
        (HEAD + "[abi.errno]\nsuccess = 1", "abi.errno", "already"),
        (HEAD + "[encodings]\naccept = [\"tflite\"]", "encodings.accept[0]", "'tflite'"),
        (HEAD + "[targets]\nunknown = \"bad\"", "targets.unknown", "'bad'"),
        (HEAD + "[statuses]\ntrap = 300", "statuses.trap", ""),
        (HEAD + "[link]\nunknown-import = \"maybe\"", "link.unknown-import", "maybe"),
        (HEAD + "[wasm.features]\ntail-calls = true", "wasm.features.tail-calls", "not a feature"),
        (HEAD + "[functions]\nfrobnicate = []", "functions.frobnicate", "function"),
        (HEAD + "[functions]\ncompute = [{ step = \"contxt\", fail = \"trap\" }]",
         "functions.compute[0].step", "step"),
        (HEAD + "[functions]\ncompute = [{ step = \"context\" }]", "functions.compute[0]", "no 'fail'"),
        (HEAD + "[functions]\ncompute = [{ step = \"context\", fail = \"oops\" }]",
         "functions.compute[0].fail", "oops"),
        (HEAD + "[functions]\ncompute = [{ step = \"context\", fail = \"trap\", size = 1 }]",
         "functions.compute[0].size", "parameter"),
        (HEAD + "[functions]\ncompute = [{ fail = \"trap\" }]", "functions.compute[0]", "no 'step'"),
        (HEAD + "[functions]\ncompute = [{ step = \"invoke\", fail = \"trap\" }]", "functions.compute[0]", "too early"),
        (HEAD + "[tensors]\notherwise = \"x\"", "tensors.otherwise", "outcome"),
        (HEAD + "[tensors]\ninput = [{ how = \"teleport\" }]", "tensors.input[0].how", "teleport"),
        (HEAD + "[tensors]\ninput = [{ how = \"copy\", tensor = \"int9\" }]", "tensors.input[0].tensor", "int9"),
        (HEAD + "[tensors]\ninput = [{ how = \"copy\", guest = \"u9\" }]", "tensors.input[0].guest", "u9"),
        ("schema = 1\nextends = \"nobody\"\ntitle = \"x\"", "extends", "nobody"),
        ("schema = 1\nextends = \"mine\"\ntitle = \"x\"", "extends", "circle"),
        (HEAD + "id = \"other\"", "id", "named mine"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(project: Path, text: str, key: str, word: str) -> None:
    path = write(project, "mine", text)
    with pytest.raises(DataFileError) as caught:
        profiles.find("mine", project)
    assert str(path) in caught.value.message
    assert key in caught.value.message
    assert word in caught.value.message
    assert caught.value.remedy


def test_vendor_keys_are_left_alone(project: Path) -> None:
    write(project, "mine", HEAD + 'x-colour = "blue"\n[limits]\nx-speed = 3\n[vendor]\nboard-file = "a"\n')
    assert profiles.find("mine", project).vendor == {"board-file": "a"}


def test_a_structural_entry_needs_no_abi(project: Path) -> None:
    text = 'schema = 1\ntitle = "components only"\nwasi-nn = "wit"\n'
    text += '[provenance]\nknown-by = "inferred"\nsource = "reading"\n[runtime]\nname = "x"\nrelease = "1"\n'
    write(project, "mine", text)
    profile = profiles.find("mine", project)
    assert not profile.runs_guests
    assert "abi" not in profile.resolved()


def test_a_file_anywhere_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "candidate.toml"
    path.write_text(HEAD)
    assert profiles.load_file(path).id == "candidate"


def test_operators_come_from_the_table_that_is_named_and_the_profile_s_own_count_first(project: Path) -> None:
    write(project, "mine", HEAD + 'operator-table = "tflite-2.12.0"\n[operators]\n"9" = 12\n')
    operators = profiles.find("mine", project).resolved()["operators"]
    assert (operators["0"], operators["9"]) == (4, 12)
    assert "206" not in operators
    assert profiles.find("wamr-2.4").operators["9"] == 9


def test_a_table_of_operators_that_is_nobody_s_is_refused(project: Path) -> None:
    path = write(project, "mine", HEAD + 'operator-table = "tflite-2.12"\n')
    with pytest.raises(DataFileError, match="operator-table") as caught:
        profiles.find("mine", project)
    assert str(path) in str(caught.value)
    assert "tflite-2.12.0" in caught.value.remedy


def test_a_project_s_own_table_of_operators_is_found(project: Path) -> None:
    folder = project / "firmware_profiles" / "operators"
    folder.mkdir()
    table = folder / "own.toml"
    head = 'schema = 1\ntitle = "own"\n[provenance]\nknown-by = "declared"\nsource = "me"\n[versions]\n'
    table.write_text(head + '"3" = 2\n')
    write(project, "mine", HEAD + 'operator-table = "own"\n')
    assert profiles.find("mine", project).operators == {"3": 2}
    table.write_text(head + "CONV_2D = 2\n")
    with pytest.raises(DataFileError, match=r"own\.toml"):
        profiles.find("mine", project)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('input = [{ how = "clear" }]', "clear"),
        ('output = [{ how = "truncate" }]', "truncate"),
        ('input = [{ how = "copy", held = "yes" }]', "held"),
    ],
)
def test_a_transfer_of_the_other_side_is_refused(project: Path, line: str, word: str) -> None:
    write(project, "mine", HEAD + f"[tensors]\n{line}\n")
    with pytest.raises(DataFileError, match=word):
        profiles.find("mine", project)


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ('{ step = "readable", what = "output", length = "lots", fail = "trap" }', r"length: 'lots'"),
        ('{ step = "readable", what = "output", length = -1, fail = "trap" }', "length"),
        ('{ step = "readable", what = "outptu", fail = "trap" }', "what: 'outptu'"),
        ('{ step = "readable", fail = "trap" }', "has no 'what'"),
        ('{ step = "mark" }', "has no 'flag'"),
        ('{ step = "mark", flag = 3 }', "flag: 3"),
        ('{ step = "echo-capacity", unit = "bytes" }', "unit"),
        ('{ step = "claim-graph", usable = "no" }', "usable: 'no'"),
        ('{ step = "builder-count", count = "one", fail = "trap" }', "count: 'one'"),
        ('{ step = "type-code", names = ["f33"], fail = "trap" }', r"names\[0\]: 'f33'"),
        ('{ step = "type-code", names = "f32", fail = "trap" }', "names"),
        ('{ step = "encoding-is", names = ["f32"], fail = "trap" }', "names"),
        ('{ step = "given-model", trust = "all", fail = "trap" }', "trust: 'all'"),
    ],
)
def test_what_a_step_s_parameters_say_is_looked_at(project: Path, step: str, word: str) -> None:
    path = write(project, "mine", HEAD + f"[functions]\nload = [{step}]\n")
    with pytest.raises(DataFileError, match=word) as caught:
        profiles.find("mine", project)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_a_profile_of_a_shipped_one_s_name_changes_no_other_shipped_one(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "config" / "lading" / "firmware_profiles"
    own.mkdir(parents=True)
    (own / "wamr-main.toml").write_text(HEAD)
    assert profiles.find("wamr-main").title == "mine"
    assert profiles.find("wamr-2.4").runtime.name == "WAMR"
    assert len(profiles.load_all(project)) == len(profiles.ids(project))


def test_a_profile_that_extends_its_own_name_means_the_one_that_it_hides(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "config" / "lading" / "firmware_profiles"
    own.mkdir(parents=True)
    text = 'schema = 1\nextends = "wamr-2.4"\n'
    (own / "wamr-2.4.toml").write_text(text + 'title = "of the user"\n[limits]\ngraphs = 2\n')
    path = write(project, "wamr-2.4", text + 'title = "of the project"\n[limits]\ncontexts = 3\n')
    for profile in (profiles.find("wamr-2.4", project), profiles.load_file(path, project)):
        assert profile.title == "of the project"
        assert (profile.limits.graphs, profile.limits.contexts) == (2, 3)
        assert profile.runtime.release.startswith("2.4")


def test_profiles_that_extend_each_other_are_refused(project: Path) -> None:
    for name, base in (("one", "two"), ("two", "three"), ("three", "one")):
        write(project, name, f'schema = 1\nextends = "{base}"\ntitle = "x"\n')
    with pytest.raises(DataFileError, match="circle"):
        profiles.find("one", project)


def test_features_are_called_the_same_everywhere() -> None:
    """By the reader of modules, by what is probed, and by what a check takes for granted."""
    from lading.check.loading import EVERYWHERE, FLAGS, IMPLIED
    from lading.probe.features import NAMES
    from lading.wasm.features import FEATURES
    from tests.support.wasm_texts import FEATURES as TRIED

    assert set(TRIED) | set(NAMES) | set(EVERYWHERE) | set(FLAGS) | set(IMPLIED) <= FEATURES
