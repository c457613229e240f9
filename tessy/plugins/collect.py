"""Asks one plugin package what it registers; whatever goes wrong there becomes a row, never an exception."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import pluggy

from tessy import hooks
from tessy._version import __version__
from tessy.plugins.discovery import Source
from tessy.plugins.entry import HOOKS, OURS, Entry, Kind, Status
from tessy.plugins.requirement import unmet

__all__ = ["Registered", "collect", "row"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Registered:
    """A plugin as its package registered it."""

    kind: Kind
    plugin: hooks.Plugin
    source: Source

    def __str__(self) -> str:
        return f"{self.kind} {self.plugin.name!r} (package {self.source})"


def row(
    source: Source, status: Status, reason: str, kind: Kind | None = None, name: str | None = None
) -> Entry:
    """A row that says what is wrong."""
    return Entry(kind, name or source.name, source.package, source.version, status, reason)


def collect(
    source: Source, seen: dict[ModuleType, Source], specs: Any, arguments: Mapping[str, Any]
) -> Iterator[Registered | Entry]:
    """What a package registers, and a row for each thing that is wrong with it.

    Args:
        source: the package.
        seen: the modules loaded so far: two packages that install a module of one name share it.
        specs: the hooks as this version of tessy declares them.
        arguments: what hooks are called with; an implementation gets those that it declares.
    """
    try:
        missing = unmet(source.distribution) if source.distribution is not None else None
    except Exception as error:  # an unreadable METADATA
        yield row(source, "broken", f"its metadata cannot be read: {_short(error)}")
        return
    if missing is not None:
        reason = f"needs {missing}, this is {OURS} {__version__}; "
        reason += f"install {missing}, or a version of {source.package} that is made for this one"
        yield row(source, "incompatible", reason)
        return
    try:
        module = source.entry_point.load()
        manager = _register(source, module, seen, specs)
    except (Exception, SystemExit) as error:
        yield row(source, "broken", f"entry point {source.entry_point.value!r}: {_short(error)}")
        return
    yield from _unknown_hooks(source, manager)
    for hook, kind in HOOKS.items():
        yield from _call(source, manager, hook, kind, arguments)


def _register(
    source: Source, module: Any, seen: dict[ModuleType, Source], specs: Any
) -> pluggy.PluginManager:
    if not isinstance(module, ModuleType):
        raise TypeError(f"must name a module with hook implementations, this is {type(module).__name__}")
    if module in seen:
        raise ImportError(f"module {module.__name__!r} belongs to package {seen[module]} already")
    seen[module] = source
    # A manager of its own for each package, so that nothing in one can reach another's hooks.
    manager = pluggy.PluginManager(hooks.GROUP)
    manager.add_hookspecs(specs)
    for hook in HOOKS:
        _check_arguments(hook, getattr(module, hook, None), getattr(specs, hook))
    manager.register(module, source.name)
    if not manager.get_hookcallers(module):
        bare = [name for name in HOOKS if hasattr(module, name)]
        hint = (
            f"{bare[0]} lacks the decorator @tessy.hookimpl" if bare else f"known hooks: {', '.join(HOOKS)}"
        )
        raise LookupError(f"implements no hook; {hint}")
    return manager


def _check_arguments(hook: str, implementation: Any, spec: Any) -> None:
    """What pluggy would check too, in words that say what to do."""
    if not inspect.isfunction(implementation):
        return
    given = inspect.signature(spec).parameters
    wanted = inspect.signature(implementation).parameters.values()
    # Those with a default pluggy leaves alone.
    needed = [p for p in wanted if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    unknown = [p.name for p in needed if p.name not in given]
    if unknown:
        raise TypeError(
            f"{hook} asks for {', '.join(unknown)}, {OURS} {__version__} passes it "
            f"{', '.join(given) or 'nothing'}; require the version of {OURS} that has it"
        )


def _unknown_hooks(source: Source, manager: pluggy.PluginManager) -> Iterator[Entry]:
    """The work of ``check_pending``, without stopping at the first."""
    for caller in manager.get_hookcallers(manager.get_plugin(source.name)) or ():
        if caller.has_spec() or all(impl.optionalhook for impl in caller.get_hookimpls()):
            continue
        near = get_close_matches(caller.name, HOOKS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known hooks: {', '.join(HOOKS)}"
        yield row(source, "broken", f"implements an unknown hook {caller.name}; {hint}")


def _call(
    source: Source, manager: pluggy.PluginManager, hook: str, kind: Kind, arguments: Mapping[str, Any]
) -> Iterator[Registered | Entry]:
    try:
        found = [plugin for result in getattr(manager.hook, hook)(**arguments) for plugin in _plugins(result)]
    except (Exception, SystemExit) as error:
        yield row(source, "broken", f"{hook}() failed: {_short(error)}", kind)
        return
    for plugin in found:
        if _NAME.fullmatch(plugin.name):
            yield Registered(kind, plugin, source)
        else:
            reason = f"{hook}(): a name begins with a letter and has letters, digits, '.', '_' and '-' only"
            yield row(source, "broken", reason, kind, plugin.name)


def _plugins(result: Any) -> list[hooks.Plugin]:
    if isinstance(result, hooks.Plugin):
        raise TypeError("must return a list of tessy.Plugin, this is a single one")
    found = list(result)
    for plugin in found:
        if not isinstance(plugin, hooks.Plugin):
            raise TypeError(f"must return a list of tessy.Plugin, {type(plugin).__name__} is in it")
        texts = isinstance(plugin.name, str) and isinstance(plugin.summary, str)
        if not texts or not callable(plugin.load):
            raise TypeError("a Plugin has a name and a summary, both strings, and a function load")
    return found


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
