"""Whether what an agent was started for is really there, before it says hello."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from lading_agent.engines import identity
from lading_agent.engines.identity import Identities
from lading_agent.engines.parts import EngineDamaged, EngineMissing
from lading_agent.engines.stored import StoredEngines
from lading_agent.store.ready import mark_unready

if TYPE_CHECKING:
    from lading_agent.store.layout import Layout


def what_is_wrong(layout: Layout) -> Optional[str]:
    """What is missing or damaged of the engines, in words; a damaged file is thrown away, so that it comes anew.

    Files that did not change since they were read last are not read again.
    """
    stored = StoredEngines(layout)
    parts = stored.default()
    if parts is None:
        if not stored.is_damaged:
            return None  # a device that has an installed runtime only
        mark_unready(layout)
        return "the list of the device's engines is damaged"
    wrong = ""
    try:
        identity.check(stored.files(parts), Identities(layout.cache))
    except EngineDamaged as error:
        wrong = str(error)
        error.file.path.unlink()
    except EngineMissing as error:
        wrong = str(error)
    except OSError as error:
        wrong = f"an engine cannot be read: {error}"
    if wrong:
        mark_unready(layout)
    return wrong or None
