"""Where packages come from on this machine: the indexes and folders that pip or uv are told to use.

Everything that is fetched is pinned by its SHA-256, so it does not matter which index gives it, but it does matter that
it is one that the user's network allows. pip itself is not needed: environments that uv makes have none.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PYPI: Final = "https://pypi.org/simple"
TIMEOUT_S: Final = 30.0
_TRUE: Final = frozenset(("1", "true", "yes", "on", "t", "y"))


@dataclass(frozen=True)
class Registry:
    """Simple indexes (PEP 503 and 691), and what is needed to ask them."""

    indexes: tuple[str, ...] = (PYPI,)
    """Base addresses, the first to be asked first. Empty: none may be asked."""
    folders: tuple[Path, ...] = ()
    """Folders of wheels (``find-links``), looked into before an index is asked."""
    certificates: Path | None = None
    """A file of certificate authorities in place of the system's."""
    timeout_s: float = TIMEOUT_S
    """Seconds without a byte until a connection counts as broken."""
    pause_s: float = 1.0
    """Seconds between the first two attempts; then twice as many, and so on."""


def configured(environ: Mapping[str, str] = os.environ) -> Registry:
    """What the environment and pip's configuration files say.

    Read are ``PIP_INDEX_URL``, ``PIP_EXTRA_INDEX_URL``, ``PIP_FIND_LINKS``, ``PIP_NO_INDEX``, ``PIP_CERT``,
    ``PIP_DEFAULT_TIMEOUT``, the same options in ``pip.conf`` (sections ``global`` and ``download``), and
    ``UV_INDEX_URL``, ``UV_DEFAULT_INDEX``, ``UV_EXTRA_INDEX_URL``, ``UV_INDEX``, ``UV_FIND_LINKS``, ``UV_OFFLINE``.
    """
    pip = {**_pip_options(environ), **_pip_variables(environ)}
    main = [pip.get("index-url", "")] if environ.get("PIP_INDEX_URL") else []
    main += [
        _address(environ.get("UV_DEFAULT_INDEX", "")),
        environ.get("UV_INDEX_URL", ""),
        pip.get("index-url", ""),
        PYPI,
    ]
    extra = f"{environ.get('UV_INDEX', '')} {environ.get('UV_EXTRA_INDEX_URL', '')} {pip.get('extra-index-url', '')}"
    addresses = [next(filter(None, main)), *map(_address, extra.split())]
    offline = any(v.lower() in _TRUE for v in (pip.get("no-index", ""), environ.get("UV_OFFLINE", "")))
    links = f"{environ.get('UV_FIND_LINKS', '').replace(',', ' ')} {pip.get('find-links', '')}".split()
    certificates = pip.get("cert", "")
    return Registry(
        ()
        if offline
        else tuple(dict.fromkeys(a.rstrip("/") for a in addresses if urlsplit(a).scheme in ("http", "https"))),
        tuple(dict.fromkeys(folder for folder in map(_folder, links) if folder is not None)),
        Path(certificates).expanduser() if certificates else None,
        _seconds(pip.get("timeout", "") or pip.get("default-timeout", "")),
    )


def _pip_variables(environ: Mapping[str, str]) -> dict[str, str]:
    found = {k[4:].lower().replace("_", "-"): v for k, v in environ.items() if k.startswith("PIP_")}
    return {name: value for name, value in found.items() if value}


def _pip_options(environ: Mapping[str, str]) -> dict[str, str]:
    """The options of pip's configuration files, in the order in which pip reads them; later ones win."""
    only = environ.get("PIP_CONFIG_FILE")
    options: dict[str, str] = {}
    for path in () if only == os.devnull else _config_files(environ, only):
        parser = configparser.RawConfigParser(strict=False)
        with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error):
            parser.read(path, encoding="utf-8")
        for section in ("global", "download"):
            if parser.has_section(section):
                options.update(parser.items(section))
    return options


def _config_files(environ: Mapping[str, str], last: str | None) -> Iterator[Path]:
    import platformdirs

    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    if sys.platform != "win32":
        yield Path("/etc", name)
        for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep):
            yield Path(folder, "pip", name)
    with contextlib.suppress(RuntimeError):
        yield Path.home() / ("pip" if sys.platform == "win32" else ".pip") / name
        yield Path(platformdirs.user_config_dir("pip", appauthor=False, roaming=True)) / name
    yield Path(sys.prefix, name)
    if last:
        yield Path(last).expanduser()


def _address(text: str) -> str:
    """uv lets an index have a name: ``name=https://…``"""
    name, equals, address = text.partition("=")
    return address if equals and re.fullmatch(r"[\w.-]+", name) else text


def _folder(text: str) -> Path | None:
    parts = urlsplit(text)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    return None if parts.scheme in ("http", "https") else Path(text).expanduser()


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return TIMEOUT_S
    return value if 0.1 <= value <= 3600 else TIMEOUT_S
