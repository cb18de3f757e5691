"""All facts from all sources; and the sources of this very machine."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Dict, Mapping

from lading_agent.facts.accelerators import parse_accelerators
from lading_agent.facts.cpu import parse_cpuinfo
from lading_agent.facts.identity import parse_init, parse_model, parse_os_release, parse_uname
from lading_agent.facts.memory import parse_df, parse_df_inodes, parse_meminfo
from lading_agent.facts.script import MOST_OUTPUT, SCRIPT, split
from lading_agent.facts.software import parse_libc, parse_libstdcxx, parse_python, parse_runtimes

if TYPE_CHECKING:
    from pathlib import Path

TIME_S = 30.0


def facts_of(sources: Mapping[str, str]) -> Dict[str, Any]:
    """The facts in the sources (as :func:`lading_agent.facts.script.split` gives them).

    Returns:
        ``system``, ``os``, ``board``, ``cpu``, ``memory``, ``storage``, ``libc``, ``libstdcxx``, ``python``,
        ``runtimes``, ``accelerators``, ``init``; what a source did not say is empty.
    """
    return {
        "system": parse_uname(sources.get("uname", "")),
        "os": parse_os_release(sources.get("os-release", "")),
        "board": parse_model(sources.get("model", "")),
        "cpu": parse_cpuinfo(sources.get("cpuinfo", "")),
        "memory": parse_meminfo(sources.get("meminfo", "")),
        "storage": {**parse_df(sources.get("df", "")), **parse_df_inodes(sources.get("df-inodes", ""))},
        "libc": parse_libc(sources.get("libc", "")),
        "libstdcxx": parse_libstdcxx(sources.get("libstdcxx", "")),
        "python": parse_python(sources.get("python", "")),
        "runtimes": parse_runtimes(sources.get("runtimes", "")),
        "accelerators": parse_accelerators(
            sources.get("devices", ""), sources.get("usb", ""), sources.get("tegra", "")
        ),
        "init": parse_init(sources.get("init", "")),
    }


def gather(home: Path, time_s: float = TIME_S) -> Dict[str, str]:
    """Run the script here.

    Args:
        home: the folder whose file system counts.
        time_s: seconds that it may take.

    Returns:
        The sources; without those that came too late.
    """
    env = {**os.environ, "LADING_HOME": str(home)}
    process = subprocess.Popen(
        ["/bin/sh", "-s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(SCRIPT.encode(), timeout=time_s)
    except subprocess.TimeoutExpired:
        # The whole group: a program that hangs holds the pipe open after its shell is gone.
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    return split(output[: MOST_OUTPUT * 4].decode("utf-8", "replace"))
