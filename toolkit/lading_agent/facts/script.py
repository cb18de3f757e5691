"""The one question that is put to a device: a POSIX shell script that prints every source, and its splitting.

It runs under dash, bash and BusyBox's ash, needs no root, writes nothing and ends by itself. Sources that a device does
not have stay empty.
"""

from __future__ import annotations

from typing import Dict

from lading_agent.facts.text import MOST_CHARACTERS

MARK = "@lading-facts"
MOST_OUTPUT = 1024 * 1024
"""Characters of the script's whole output that are read."""

SECTIONS = (
    ("uname", "uname -srm"),
    ("os-release", "cat /etc/os-release || cat /usr/lib/os-release"),
    ("model", 'tr -d "\\\\000" </proc/device-tree/model || cat /sys/class/dmi/id/product_name'),
    ("cpuinfo", "cat /proc/cpuinfo"),
    ("meminfo", "cat /proc/meminfo"),
    ("df", 'df -Pk "${LADING_HOME:-.}" || df -k "${LADING_HOME:-.}"'),
    ("df-inodes", 'df -Pi "${LADING_HOME:-.}"'),
    ("libc", "getconf GNU_LIBC_VERSION; ldd --version 2>&1 | head -n 3"),
    (
        "libstdcxx",
        (
            "for d in /usr/lib/* /usr/lib /usr/lib64 /lib; do f=$d/libstdc++.so.6; "
            '[ -f "$f" ] && echo "file $f" && tr -c "A-Za-z0-9._" "\\n" <"$f" | grep "^GLIBCXX_[0-9]" | sort -u '
            "&& break; done"
        ),
    ),
    (
        "python",
        (
            "for p in python3 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14; do "
            'w=$(command -v "$p") && echo "$w $("$p" --version 2>&1 | head -n 1)"; done'
        ),
    ),
    (
        "runtimes",
        (
            # Where their installers put them: a command over SSH has a shorter search path than a login.
            'PATH="$PATH:/usr/local/bin:$HOME/.wasmedge/bin:$HOME/.wasmtime/bin"; export PATH; '
            "for p in wasmedge iwasm wasmtime; do "
            'w=$(command -v "$p") && echo "$p $w $("$p" --version 2>&1 </dev/null | head -n 1)"; done'
        ),
    ),
    (
        "devices",
        (
            "ls -d /dev/apex_* /dev/dri/* /dev/galcore /dev/nvmap /dev/nvhost-* /dev/accel/* /dev/hailo* /dev/mali* "
            "/dev/kfd /dev/ethosu*"
        ),
    ),
    ("tegra", "head -n 1 /etc/nv_tegra_release"),
    (
        "usb",
        (
            "for d in /sys/bus/usb/devices/*; do "
            '[ -f "$d/idVendor" ] && echo "$(cat "$d/idVendor"):$(cat "$d/idProduct")"; done'
        ),
    ),
    ("init", "cat /proc/1/comm"),
)
"""Name and command of each source."""

SCRIPT = (
    "LC_ALL=C; export LC_ALL\n"
    + "".join(f"echo; echo '{MARK} {name}'\n{{ {command}\n}} 2>/dev/null\n" for name, command in SECTIONS)
    + f"echo; echo '{MARK} end'\n"
)
"""The script's text. ``LADING_HOME`` names the folder whose file system counts."""


def split(output: str) -> Dict[str, str]:
    """The sources by name. What comes before the first mark (a login's greeting) or after the last is dropped.

    Args:
        output: what the script printed, perhaps with carriage returns.
    """
    known = {name for name, _ in SECTIONS}
    found: Dict[str, str] = {}
    current = ""
    gathered: Dict[str, list[str]] = {}
    for line in output[:MOST_OUTPUT].split("\n"):
        clean = line.strip("\r ")
        if clean.startswith(MARK + " "):
            name = clean[len(MARK) + 1 :].strip()
            current = name if name in known and name not in gathered else ""
            if current:
                gathered[current] = []
        elif current:
            gathered[current].append(line.rstrip("\r"))
    for name, parts in gathered.items():
        found[name] = "\n".join(parts).strip("\n")[:MOST_CHARACTERS]
    return found
