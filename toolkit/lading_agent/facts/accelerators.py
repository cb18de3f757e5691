"""What computes beside the processor: found by device files, USB numbers and vendors' release files."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from lading_agent.facts.text import lines, word

MOST_FOUND = 32

_FILES: Tuple[Tuple[str, str, str], ...] = (
    ("/dev/apex_", "tpu", "Coral Edge TPU (PCIe)"),
    ("/dev/hailo", "npu", "Hailo"),
    ("/dev/ethosu", "npu", "Arm Ethos-U"),
    ("/dev/accel/", "npu", "accelerator of the kernel's accel subsystem"),
    ("/dev/galcore", "gpu", "Vivante GPU or NPU (galcore)"),
    ("/dev/nvmap", "gpu", "NVIDIA Tegra GPU"),
    ("/dev/nvhost-gpu", "gpu", "NVIDIA Tegra GPU"),
    ("/dev/mali", "gpu", "Arm Mali"),
    ("/dev/kfd", "gpu", "AMD GPU (compute)"),
    ("/dev/dri/renderD", "gpu", "GPU with a render node"),
)
"""Beginnings of device files; ``/dev/nvhost-`` alone also stands for video engines, ``/dev/dri/card`` for displays."""

_USB: Dict[str, str] = {
    "1a6e:089a": "Coral USB Accelerator (before its firmware is loaded)",
    "18d1:9302": "Coral USB Accelerator",
    "03e7:2485": "Intel Movidius Myriad X",
    "03e7:2150": "Intel Movidius Myriad 2",
}


def parse_accelerators(devices: str, usb: str = "", tegra: str = "") -> List[Dict[str, Any]]:
    """Accelerators: ``kind`` (``gpu``, ``tpu``, ``npu``), ``name``, ``evidence``.

    Args:
        devices: paths under ``/dev``, one a line.
        usb: ``vendor:product`` of each USB device, one a line.
        tegra: the first line of ``/etc/nv_tegra_release``.
    """
    found: Dict[str, Dict[str, Any]] = {}
    for line in lines(devices):
        for prefix, kind, name in _FILES:
            if line.startswith(prefix):
                found.setdefault(name, {"kind": kind, "name": name, "evidence": word(line)})
    for line in lines(usb):
        name = _USB.get(line.lower(), "")
        if name:
            kind = "tpu" if "Coral" in name else "npu"
            found.setdefault(name, {"kind": kind, "name": name, "evidence": f"USB {word(line)}"})
    release = next((word(line) for line in lines(tegra) if line.startswith("#")), "")
    if release:
        found.setdefault("NVIDIA Tegra GPU", {"kind": "gpu", "name": "NVIDIA Tegra GPU", "evidence": release})
    return list(found.values())[:MOST_FOUND]
