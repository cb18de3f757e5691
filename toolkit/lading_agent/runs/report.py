"""What a runner process says on its report descriptor: one JSON object a line, UTF-8, ``{"event": NAME, …}``.

========== ===========================================================================================================
event      other keys
========== ===========================================================================================================
``phase``  ``phase``: ``start``, ``load``, ``init``, ``compute``, ``guest`` … (only where it costs nothing)
``log``    ``level`` (``error``, ``warning``, ``info``), ``text``: a line of the host's log
``tensor`` ``model``, ``output`` (name), ``index``, ``step``, ``dtype``, ``shape``, ``data`` (base64): one output of one
           ``compute_single`` step
``golden`` ``index`` (of the vector), ``model``, ``ok``, ``compared`` (elements), ``worst`` (largest difference),
           ``mismatch`` (null, or ``tensor``, ``at`` (flat index), ``index`` (multi-index), ``expected``, ``got``,
           ``tolerance``, ``unit``)
``metric`` ``load_ms``, ``init_ms``, ``first_ms``, ``median_ms``, ``p95_ms``, ``inferences``, ``calls``,
           ``peak_memory_bytes``, ``runtime`` (text: host, engines and versions), ``code``: ``loaded`` (the
           module's code was compiled before), ``compiled`` (now, and kept) or ``off`` (it is not kept)
``model``  only in observed runs (:mod:`lading_agent.nn.observed`): what a model is made of, before the call that needs
           it; there too: ``call`` (a wasi-nn call with its answer), ``repeats`` (how often calls came again that change
           nothing) and ``memory`` (``bytes`` of guest memory at the end)
``end``    ``outcome`` (:data:`OUTCOMES`), ``status`` (exit status of the run), ``kind`` (a short stable name such as
           ``exit``, ``trap``, ``invalid-module``, ``link-error``, ``memory-limit``, ``golden-mismatch``), ``message``,
           ``remedy``
========== ===========================================================================================================

The current phase is also kept in one byte of a shared file (``--phase FD``, optional), so that whoever kills a runner
can say what it was doing: :data:`PHASES` gives the codes.
"""

from __future__ import annotations

from typing import Final, Tuple

OUTCOMES: Final[Tuple[str, ...]] = ("exit", "trap", "host-crash", "link-error", "not-loadable", "failed")
"""``exit``: the guest ended by itself. ``failed``: the host ended the run (a limit, an interpreter that crashed)."""

PHASES: Final[Tuple[str, ...]] = (
    "start",
    "guest",
    "load",
    "init",
    "set_input",
    "compute",
    "get_output",
    "golden",
    "end",
)
"""The byte at offset 0 of the phase file is an index into this tuple."""
