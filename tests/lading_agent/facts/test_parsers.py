"""Parsers meet hostile consoles: bounded, never an exception, nothing unprintable."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_agent.facts.accelerators import parse_accelerators
from lading_agent.facts.cpu import parse_cpuinfo
from lading_agent.facts.gather import facts_of, gather
from lading_agent.facts.identity import parse_init, parse_model, parse_os_release, parse_uname
from lading_agent.facts.memory import parse_df, parse_df_inodes, parse_meminfo
from lading_agent.facts.script import MARK, SCRIPT, SECTIONS, split
from lading_agent.facts.software import parse_libc, parse_libstdcxx, parse_python, parse_runtimes, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PARSERS: list[Callable[[str], Any]] = [
    parse_accelerators,
    parse_cpuinfo,
    parse_init,
    parse_model,
    parse_os_release,
    parse_uname,
    parse_df,
    parse_df_inodes,
    parse_meminfo,
    parse_libc,
    parse_libstdcxx,
    parse_python,
    parse_runtimes,
]
SEEDS = [
    *("processor : 0", "Features : a b", "flags:", "isa : rv64", "MemTotal: 99 kB", "Filesystem x", "musl libc"),
    *("/dev/x 1 2 3 4% /", "ldd (x) 2.1", "Version 1", "ID='", 'NAME="a b', "file /x", "GLIBCXX_3.4.1"),
    *("/dev/apex_0", "wasmedge /x wasmedge version 1.2.3", "/usr/bin/python3 Python 3.1"),
]
WORDS = st.sampled_from([*SEEDS, f"{MARK} cpuinfo", "\x1b[2J", "\0", "9" * 400])
TEXTS = st.one_of(st.text(max_size=400), st.lists(st.one_of(WORDS, st.text(max_size=20)), max_size=20).map("\n".join))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda p: p.__name__)
@given(text=TEXTS)
def test_no_text_makes_a_parser_fail(parser: Callable[[str], Any], text: str) -> None:
    for said in texts(parser(text)):
        assert len(said) <= 200
        assert said.isprintable()


@given(text=TEXTS)
def test_no_output_makes_the_whole_fail(text: str) -> None:
    whole = "\n".join(f"{MARK} {name}\n{text}" for name, _ in SECTIONS)
    facts_of(split(whole))
    facts_of(split(text))


@pytest.mark.parametrize("parser", PARSERS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("text", ["a" * 3_000_000, "a:b\n" * 500_000, "GLIBCXX_3.4." * 200_000, "\n" * 1_000_000])
def test_endless_text_is_cut(parser: Callable[[str], Any], text: str) -> None:
    found = parser(text)
    assert sum(map(len, texts(found))) < 1_000_000


def test_what_a_login_says_around_the_script_is_dropped_and_a_second_copy_does_not_count() -> None:
    output = (
        f"Welcome!\r\n\r\n{MARK} init\r\nsystemd\r\n{MARK} init\r\nevil\r\n{MARK} nonsense\r\nx\r\n{MARK} end\r\n$ exit"
    )
    assert split(output) == {"init": "systemd"}


@pytest.mark.parametrize(
    ("command", "said", "version"),
    [
        ("wasmedge", "wasmedge version 0.14.1", "0.14.1"),
        ("wasmedge", "wasmedge version 0.17.0-alpha.1-3-gabcdef", "0.17.0-alpha.1-3-gabcdef"),
        ("iwasm", "iwasm 2.4.3", "2.4.3"),
        ("iwasm", "WAMR 1.3.3", "1.3.3"),
        ("wasmtime", "wasmtime 36.0.2 (abcdef012 2025-08-26)", "36.0.2"),
        ("wasmtime", "wasmtime-cli 13.0.0", "13.0.0"),
        ("iwasm", "error while loading shared libraries", ""),
        ("iwasm", "", ""),
    ],
)
def test_versions_of_runtimes(command: str, said: str, version: str) -> None:
    assert parse_version(command, said) == version


def test_big_and_little_cores_share_only_what_both_have() -> None:
    text = "processor : 0\nFeatures : fp asimd crc32\nprocessor : 1\nFeatures : fp asimd sve\n"
    assert parse_cpuinfo(text)["features"] == ["asimd", "fp"]


def test_the_script_runs_here_and_writes_nothing(tmp_path: Path) -> None:
    found = facts_of(gather(tmp_path))
    assert found["system"]["kernel"] == "Linux"
    assert found["cpu"]["cores"] >= 1
    assert found["storage"]["free_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_hangs_costs_its_own_fact_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = tmp_path / "bin" / "wasmedge"
    stuck.parent.mkdir()
    stuck.write_text("#!/bin/sh\nexec sleep 3600\n", encoding="utf-8")
    stuck.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stuck.parent}:/usr/bin:/bin")
    found = facts_of(gather(tmp_path, time_s=3.0))
    assert found["system"]["kernel"] == "Linux"
    assert found["runtimes"] == []


def test_the_script_is_sound_for_a_posix_shell() -> None:
    result = subprocess.run(["/bin/sh", "-n"], input=SCRIPT.encode(), capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
