"""Whether a module can be linked on a firmware: a question about its imports and the profile's data alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, FrozenSet, Iterable, Iterator, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from lading_agent.nn.personality import Personality

WASI_PREVIEW1: FrozenSet[str] = frozenset(
    [
        "args_get",
        "args_sizes_get",
        "clock_res_get",
        "clock_time_get",
        "environ_get",
        "environ_sizes_get",
        "fd_advise",
        "fd_allocate",
        "fd_close",
        "fd_datasync",
        "fd_fdstat_get",
        "fd_fdstat_set_flags",
        "fd_fdstat_set_rights",
        "fd_filestat_get",
        "fd_filestat_set_size",
        "fd_filestat_set_times",
        "fd_pread",
        "fd_prestat_dir_name",
        "fd_prestat_get",
        "fd_pwrite",
        "fd_read",
        "fd_readdir",
        "fd_renumber",
        "fd_seek",
        "fd_sync",
        "fd_tell",
        "fd_write",
        "path_create_directory",
        "path_filestat_get",
        "path_filestat_set_times",
        "path_link",
        "path_open",
        "path_readlink",
        "path_remove_directory",
        "path_rename",
        "path_symlink",
        "path_unlink_file",
        "poll_oneoff",
        "proc_exit",
        "proc_raise",
        "random_get",
        "sched_yield",
        "sock_accept",
        "sock_recv",
        "sock_send",
        "sock_shutdown",
    ]
)


class Import(NamedTuple):
    """One import of a module. ``params`` and ``results`` are types as text (``i32``) for a function, else ``None``."""

    module: str
    name: str
    params: Optional[Tuple[str, ...]]
    results: Optional[Tuple[str, ...]]


class LinkProblem(NamedTuple):
    """An import that the firmware does not have (or has with another type)."""

    outcome: str
    """``link-error``: the module does not start. ``trap``: it starts, and ends when it calls the import."""
    module: str
    name: str
    reason: str


def link(personality: Personality, imports: Iterable[Import]) -> Optional[LinkProblem]:
    """The first import that this firmware cannot serve, or ``None``."""
    return next((problem for _, problem in problems(personality, imports)), None)


def problems(personality: Personality, imports: Iterable[Import]) -> Iterator[Tuple[int, LinkProblem]]:
    """Every import that this firmware cannot serve, with its position."""
    outcome = "link-error" if personality.unknown_import == "refuse" else "trap"
    for index, wanted in enumerate(imports):
        reason = _missing(personality, wanted)
        if reason:
            yield index, LinkProblem(outcome, wanted.module, wanted.name, reason)


def _missing(personality: Personality, wanted: Import) -> str:
    what = f"import {wanted.module}::{wanted.name}"
    if wanted.module in personality.modules:
        function = personality.functions.get(wanted.name)
        if wanted.params is None or function is None:
            return f"{what} is not provided by {personality.id}"
        if wanted.params != ("i32",) * len(function.params) or wanted.results != ("i32",):
            given = f"({', '.join(wanted.params)}) -> ({', '.join(wanted.results or ())})"
            return f"{what} has type {given}, {personality.id} has {len(function.params)} i32 parameters and one result"
        return ""
    if wanted.module in personality.wasi_modules and wanted.params is not None and wanted.name in WASI_PREVIEW1:
        return ""
    return f"{what} is not provided by {personality.id}"
