"""Does a plugin package's declared requirement on tessy admit the tessy that runs?"""

from __future__ import annotations

from importlib.metadata import Distribution

from tessy._version import __version__
from tessy.plugins.entry import OURS

__all__ = ["unmet"]


def unmet(distribution: Distribution, version: str = __version__) -> str | None:
    """The requirement on tessy that ``version`` does not meet, as it is written; ``None`` if all is well.

    Requirements of extras, and those that are not PEP 508, say nothing about the plugin itself.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != OURS:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return f"{OURS}{requirement.specifier}"
    return None
