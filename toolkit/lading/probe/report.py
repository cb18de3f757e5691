"""The capability report: every entry with its value, how it is known, and what says so.

``measured``: seen in this probe. ``declared``: what the device's target or firmware profile file says. ``inferred``:
follows from the profile that fits what was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.probe.prober import Probed

SCHEMA: Final = "lading.capabilities/1"

_LOW: Final = {"f32": "float32", "f16": "float16", "f64": "float64", "bool": "bool"}


def entry(value: Any, known_by: str, evidence: str) -> dict[str, Any]:
    """One entry of a report."""
    return {"value": value, "known_by": known_by, "evidence": evidence}


def report(probed: Probed) -> dict[str, Any]:
    """The whole report, JSON-ready."""
    nearest = probed.nearest
    return {
        "schema": SCHEMA,
        "device": probed.device,
        "emulated": probed.emulated,
        "lading": __version__,
        "probe": {
            "unsafe": probed.unsafe,
            "runtime": probed.runtime,
            "installed": probed.installed or None,
            "remembered": probed.remembered or None,
            "guests": probed.guests,
            "items": len(probed.results),
            "round_trips": probed.round_trips,
        },
        "profile": {
            "declared": probed.profile.get("id"),
            "fits": probed.fitting,
            "nearest": nearest.profile if nearest is not None else None,
            "compared": nearest.compared if nearest is not None else 0,
            "differences": [d.to_json() for d in nearest.differences] if nearest is not None else [],
        },
        "facts": _facts(probed),
        "structural": _structural(probed),
        "soft": _soft(probed),
        "vendor": _vendor(probed),
        "cases": [r.to_json() for r in probed.results.values()],
    }


def _facts(probed: Probed) -> dict[str, Any]:
    """The machine: measured by the agent, or declared by the target file for an emulated device."""
    target_file = f"target {probed.target.get('id', '')}".strip()
    if probed.emulated or not probed.facts:
        return {
            key: entry(value, "declared", target_file)
            for key in (
                "name",
                "architecture",
                "cpu",
                "memory_bytes",
                "run_memory_bytes",
                "storage_bytes",
                "accelerators",
            )
            if (value := probed.target.get(key)) not in (None, [], (), {})
        }
    sources = probed.evidence or {
        "system": "uname -srm",
        "os": "/etc/os-release",
        "board": "device tree or DMI",
        "cpu": "/proc/cpuinfo",
        "memory": "/proc/meminfo",
        "storage": "df",
        "libc": "getconf, ldd --version",
        "libstdcxx": "the library's version symbols",
        "python": "python3 --version",
        "runtimes": "--version of each",
        "accelerators": "/dev, USB, release files",
        "init": "/proc/1/comm",
    }
    return {key: entry(probed.facts.get(key), "measured", source) for key, source in sources.items()}


def _structural(probed: Probed) -> dict[str, Any]:
    profile = probed.profile
    file = f"firmware profile {profile.get('id')}"
    wasm = profile.get("wasm") or {}
    found: dict[str, Any] = {
        "components": entry(bool(wasm.get("components", False)), "declared", file),
        "wasi_level": entry(profile.get("wasi_level"), "declared", file),
        "wasi_nn_form": entry(profile.get("wasi_nn"), "declared", file),
    }
    if not probed.measured:
        if profile.get("abi"):
            found["modules"] = entry(profile["abi"].get("modules"), "declared", file)
        found["wasm_features"] = entry(dict(wasm.get("features") or {}), "declared", file)
        return found
    m = probed.measured
    found["modules"] = entry(m["modules"], "measured", "module/*: load answers")
    found["functions"] = entry(m["functions"], "measured", "function/*: linked, called, answered")
    if m["untried_functions"]:
        found["untried_functions"] = entry(m["untried_functions"], "measured", "not called: --unsafe calls them")
    found["wasi"] = entry(m["link"]["wasi"], "measured", "wasi/*: a guest prints through it")
    found["unknown_import"] = entry(m["link"]["unknown_import"], "measured", "import/unknown")
    found["wasm_features"] = entry(m["wasm"], "measured", "wasm/*: a module that uses it runs")
    found["exit_statuses"] = entry(m["statuses"], "measured", "end/* and every guest that did not end by itself")
    return found


def _soft(probed: Probed) -> dict[str, Any]:
    profile = probed.profile
    file = f"firmware profile {profile.get('id')}"
    runtime = profile.get("runtime") or {}
    found: dict[str, Any] = {
        "runtime": entry({k: v for k, v in runtime.items() if v}, "declared", file),
        "accelerators": _accelerators(probed),
    }
    if profile.get("operator_list"):
        found["operators"] = entry(list(profile["operator_list"]), "declared", file)
    if not probed.measured:
        found["tensor_types"] = entry(dict((profile.get("abi") or {}).get("tensor_types") or {}), "declared", file)
        found["inputs"] = entry(
            [dict(rule) for rule in (profile.get("tensors") or {}).get("input", ())], "declared", file
        )
        found["limits"] = entry(dict(profile.get("limits") or {}), "declared", file)
        return found
    m = probed.measured
    found["tensor_types"] = entry(m["tensor_types"], "measured", "type/*: the only code that takes a type's own bytes")
    found["encodings"] = entry(m["encodings"], "measured", "load/encoding/*")
    found["targets"] = entry(m["targets"], "measured", "load/target/*")
    found["inputs"] = entry(m["inputs"], "measured", "type/*")
    found["quantization"] = entry(quantization(m["inputs"]), "measured", "type/qu8, type/qi8")
    found["outputs"] = entry(m["outputs"], "measured", "output/*")
    found["errors"] = entry(m["errors"], "measured", "the item of that name")
    found["limits"] = entry(m["limits"], "measured", "limit/*") if m["limits"] else _limits(probed)
    found["crashes"] = entry(m["crashes"], "measured", "the item of that name")
    if probed.fitting:
        abi = profile.get("abi") if probed.fitting[0] == profile.get("id") else None
        if abi:
            found["errno_names"] = entry(dict(abi["errno"]), "inferred", _why(probed))
            found["encoding_names"] = entry(dict(abi["encodings"]), "inferred", _why(probed))
    return found


def _limits(probed: Probed) -> dict[str, Any]:
    """Limits that were not tried: those of the profile that fits."""
    fits = probed.fitting and probed.fitting[0] == probed.profile.get("id")
    return entry(dict(probed.profile.get("limits") or {}), "inferred" if fits else "declared", _why(probed))


def _why(probed: Probed) -> str:
    if probed.fitting:
        return f"firmware profile {probed.fitting[0]}, which fits"
    return f"firmware profile {probed.profile.get('id')}"


def quantization(inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """How data for quantized tensors is taken: ``raw`` bytes, ``f32`` that the host quantizes, both or neither."""
    found = {}
    for name, label in (("qu8", "uint8"), ("qi8", "int8")):
        ways = set()
        for forms in inputs.get(name, {}).values():
            if forms.get("own", {}).get("how") == "copy":
                ways.add("raw")
            if forms.get("f32", {}).get("how") == "quantize":
                ways.add("f32")
        found[label] = sorted(ways)
    return found


def _accelerators(probed: Probed) -> dict[str, Any]:
    if probed.emulated or "accelerators" not in probed.facts:
        found = list(probed.target.get("accelerators") or ())
        return entry(found, "declared", f"target {probed.target.get('id', '')}")
    return entry(probed.facts.get("accelerators"), "measured", "/dev, USB, release files")


def _vendor(probed: Probed) -> dict[str, Any]:
    """Free pairs: the firmware profile's own, and what the operating system's builder adds."""
    file = f"firmware profile {probed.profile.get('id')}"
    found = {key: entry(value, "declared", file) for key, value in (probed.profile.get("vendor") or {}).items()}
    for key, value in ((probed.facts.get("os") or {}).get("vendor") or {}).items():
        found[f"os.{key}"] = entry(value, "measured", "/etc/os-release")
    return found
