"""Bringing the agent, the native runner and its engines onto a Linux device, and taking them away again.

Of the device it needs a way to start commands (``lading.links.host.Host``) and a Python of 3.9 or later, nothing else.
"""

from lading.bootstrap.link import agent_link
from lading.bootstrap.purge import Purged, purge
from lading.bootstrap.rollback import roll_back
from lading.bootstrap.stages import Stage

__all__ = ["Purged", "Stage", "agent_link", "purge", "roll_back"]
