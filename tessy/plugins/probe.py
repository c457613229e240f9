"""Loads one plugin package as a run would, for its author: what is wrong with it, and what it registers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, packages_distributions

from tessy import hooks
from tessy.errors import PluginError, TessyError
from tessy.hooks import GROUP
from tessy.plugins.collect import Registered, collect
from tessy.plugins.discovery import Source, find
from tessy.plugins.entry import HOOKS, Entry, Kind
from tessy.plugins.registry import Registry

__all__ = ["Found", "probe"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a run would find in a package.

    Attributes:
        faults: what is wrong with it, a sentence each.
        names: the plugins that it registers of the kind asked for.
        classes: what they load, as ``module:name``, each with its bases.
        unusable: those that say themselves that they cannot be used here (an extra is missing), with why.
    """

    faults: Sequence[str]
    names: Sequence[str]
    classes: Sequence[Sequence[str]]
    unusable: Sequence[str]


def probe(module: str, kind: Kind) -> Found:
    """Load what the package behind an entry point registers.

    An installed package is read with its metadata; one that is only on the path is taken to name ``module``.

    Args:
        module: what the entry point names.
        kind: the kind of plugin whose classes are loaded.
    """
    source, wrong = _source(module)
    if source is None:
        return Found([wrong], [], [], [])
    found = list(collect(source, {}, hooks, {}))
    faults = [entry.reason for entry in found if isinstance(entry, Entry)]
    registry = Registry(item for item in found if isinstance(item, Registered))
    names = registry.names(kind)
    if not names and not faults:
        hook = next(hook for hook, of in HOOKS.items() if of == kind)
        faults.append(f"{module} registers no {kind}: {hook}() is not there or returns an empty list")
    classes: list[Sequence[str]] = []
    unusable: list[str] = []
    for name in names:
        try:
            loaded = registry.load(kind, name)
        except PluginError as error:
            faults.append(str(error))
        except TessyError as error:  # said on purpose: what it runs on is not here
            unusable.append(f"{kind} {name!r}: {error}")
        else:
            classes.append([f"{base.__module__}:{base.__qualname__}" for base in loaded.__mro__])
    return Found(faults, names, classes, unusable)


def _source(module: str) -> tuple[Source | None, str]:
    """The package whose entry point names ``module``, or why no run would come to it."""
    top = module.partition(".")[0]
    sources, _ = find()
    near = [source for source in sources if source.entry_point.module.partition(".")[0] == top]
    for source in near:
        if source.entry_point.module == module:
            return source, ""
    if near:
        named = " and ".join(repr(source.entry_point.value) for source in near)
        return None, f"package {near[0]} names {named} in the entry-point group {GROUP}, not {module!r}"
    if owners := packages_distributions().get(top):
        return None, (
            f"package {owners[0]} names nothing in the entry-point group {GROUP}, so no run finds it: add to "
            f'pyproject.toml [project.entry-points.{GROUP}] {top} = "{module}", and install it again'
        )
    return Source(EntryPoint(top, module, GROUP), top, ""), ""


def main() -> None:
    """Print what `probe` finds for the arguments MODULE KIND, as the last line, in JSON."""
    module, kind = sys.argv[1:]
    found = probe(module, next(of for of in HOOKS.values() if of == kind))
    print(f"\n{json.dumps(asdict(found))}", flush=True)
