"""Entry points of the group ``tessy``, read so that one bad package spoils nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points

from tessy._version import __version__
from tessy.hooks import GROUP
from tessy.plugins.entry import NO_PACKAGE, OURS, Entry

__all__ = ["DISABLE", "LOAD", "Selection", "Source", "find"]

DISABLE = "TESSY_DISABLE_PLUGINS"
LOAD = "TESSY_LOAD_PLUGINS"
_BUILTIN = "tessy.builtin"


@dataclass(frozen=True, slots=True)
class Source:
    """An entry point and the package that it comes from."""

    entry_point: EntryPoint
    package: str
    version: str
    distribution: Distribution | None = None

    @property
    def name(self) -> str:
        """The entry point's name."""
        return self.entry_point.name

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip()


@dataclass(slots=True)
class Selection:
    """Which packages the environment variables leave in; names are of packages or entry points."""

    disable: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    _used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Selection:
        """``TESSY_DISABLE_PLUGINS`` and ``TESSY_LOAD_PLUGINS``; an empty one counts as unset."""
        return cls(_names(environ.get(DISABLE, "")), _names(environ.get(LOAD, "")) or None)

    def excludes(self, source: Source) -> str | None:
        """Why a package stays out; ``None`` if it does not."""
        names = {_normal(source.name), _normal(source.package)}
        disabled = names.intersection(self.disable)
        wanted = names.intersection(self.only or ())
        self._used |= disabled | wanted
        if disabled:
            return f"disabled by {DISABLE}"
        if self.only is not None and not wanted and source.package != OURS:
            return f"not among {LOAD}"
        return None

    def unknown(self) -> dict[str, list[str]]:
        """Names that no package or entry point has, by variable; complete once all were asked about."""
        given = {DISABLE: self.disable, LOAD: self.only or ()}
        return {
            variable: missing
            for variable, names in given.items()
            if (missing := [name for name in names if name not in self._used])
        }


def find() -> tuple[list[Source], list[Entry]]:
    """All plugin packages, ours first, and rows for those whose metadata cannot be read."""
    broken: list[Entry] = []
    try:
        found = list(entry_points(group=GROUP))
    except Exception:
        # One unreadable file makes the whole look-up fail: go from package to package instead.
        found = list(_one_by_one(broken))
    # Ours does not depend on how tessy was installed, or whether its metadata is up to date.
    builtin = EntryPoint(GROUP, _BUILTIN, GROUP)
    sources = [Source(builtin, OURS, __version__)]
    sources += sorted(
        (_source(point) for point in found if point.value != _BUILTIN),
        key=lambda source: (source.package != OURS, source.package, source.name),
    )
    return sources, broken


def _one_by_one(broken: list[Entry]) -> Iterator[EntryPoint]:
    for distribution in distributions():
        try:
            yield from distribution.entry_points.select(group=GROUP)
        except Exception as error:
            name, version = _identity(distribution)
            reason = f"its entry_points.txt cannot be read: {type(error).__name__}: {error}"
            broken.append(Entry(None, name, name, version, "broken", reason))


def _source(point: EntryPoint) -> Source:
    distribution = getattr(point, "dist", None)
    if distribution is None:
        return Source(point, NO_PACKAGE, "")
    name, version = _identity(distribution)
    return Source(point, OURS if _normal(name) == OURS else name, version, distribution)


def _identity(distribution: Distribution) -> tuple[str, str]:
    try:
        return str(distribution.name or NO_PACKAGE), str(distribution.version or "")
    except Exception:  # METADATA is missing or cannot be read
        return NO_PACKAGE, ""


def _names(text: str) -> tuple[str, ...]:
    return tuple(_normal(name.strip()) for name in text.split(",") if name.strip())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
