"""The check: whether a guest with its models works on a firmware, foretold from one trace and the profile's data."""

from lading.check.judge import Place, judge
from lading.check.verdict import Verdict

__all__ = ["Place", "Verdict", "judge"]
