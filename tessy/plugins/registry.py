"""The registry: which plugins there are, and the one place that loads their classes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, Literal, overload

from tessy import hooks
from tessy.abc import Backend, StyleDetector, SwitchPolicy
from tessy.boundary import Origin
from tessy.errors import (
    PluginConflict,
    PluginError,
    PluginIncompatible,
    PluginLoadError,
    PluginNotFound,
    TessyError,
)
from tessy.hooks import GROUP, Plugin
from tessy.plugins.collect import Registered, collect, row
from tessy.plugins.contract import breach
from tessy.plugins.discovery import DISABLE, Selection, Source, find
from tessy.plugins.entry import HERE, Entry, Kind

__all__ = ["Registry"]

_BASES: Mapping[Kind, type[Any]] = {"backend": Backend, "detector": StyleDetector, "policy": SwitchPolicy}
_ERRORS: Mapping[str, type[PluginError]] = {
    "broken": PluginLoadError,
    "incompatible": PluginIncompatible,
    "disabled": PluginNotFound,
}


class Registry:
    """All plugins of this environment.

    Args:
        registered: what packages registered.
        faults: rows about what is wrong with packages.
        warnings: what the user should know besides, a sentence each.
    """

    def __init__(
        self,
        registered: Iterable[Registered] = (),
        faults: Iterable[Entry] = (),
        warnings: Iterable[str] = (),
    ) -> None:
        self._plugins: dict[tuple[Kind, str], list[Registered]] = defaultdict(list)
        for item in registered:
            self._plugins[item.kind, item.plugin.name].append(item)
        self._faults = tuple(faults)
        self._objects: dict[tuple[Kind, str], Any] = {}
        self.warnings: tuple[str, ...] = tuple(warnings)

    @classmethod
    def discover(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        specs: Any = hooks,
        arguments: Mapping[str, Any] | None = None,
    ) -> Registry:
        """Import the thin module of every plugin package that the environment variables leave in.

        Never raises: what is wrong with a package stands in `entries`.

        Args:
            environ: where the variables are looked up.
            specs: the hooks, with the arguments that they have.
            arguments: what hooks are called with, by name. An implementation is given those that it declares,
                so that a hook can gain arguments without breaking plugins that know nothing of them.
        """
        selection = Selection.read(environ)
        sources, faults = find()
        registered: list[Registered] = []
        seen: dict[ModuleType, Any] = {}
        for source in sources:
            excluded = selection.excludes(source)
            if excluded is not None:
                faults.append(row(source, "disabled", excluded))
                continue
            for item in collect(source, seen, specs, arguments or {}):
                if isinstance(item, Entry):
                    faults.append(item)
                else:
                    registered.append(item)
        warnings = [
            f"{variable} names {', '.join(map(repr, names))}: no such package or entry point is installed"
            for variable, names in selection.unknown().items()
        ]
        return cls(registered, faults, warnings)

    def add(self, kind: Kind, name: str, given: Any) -> None:
        """Register a class of this program's own, or one object of it, which is then what gets used.

        Raises:
            PluginConflict: the name is taken.
        """
        cls = given if isinstance(given, type) else type(given)
        if (kind, name) in self._plugins:
            raise PluginConflict(f"{kind} {name!r}: the name is taken")
        source = Source(EntryPoint(name, cls.__module__, GROUP), HERE, "")
        self._plugins[kind, name].append(Registered(kind, Plugin(name, "", lambda: cls), source))
        if cls is not given:
            self._objects[kind, name] = given

    def object(self, kind: Kind, name: str) -> Any | None:
        """The object that was added under that name, if it was an object."""
        return self._objects.get((kind, name))

    def is_own(self, kind: Kind, name: str) -> bool:
        """Whether it was added by this program: another process would not have it."""
        return any(item.source.package == HERE for item in self._plugins.get((kind, name), ()))

    def entries(self) -> list[Entry]:
        """A row for each plugin and each fault, by kind and name; faults of whole packages last."""
        rows = list(self._faults)
        for items in self._plugins.values():
            for item in items:
                plugin, source = item.plugin, item.source
                reason = self._conflict(items) if len(items) > 1 else ""
                rows.append(
                    Entry(
                        item.kind,
                        plugin.name,
                        source.package,
                        source.version,
                        "broken" if reason else "ok",
                        reason,
                        plugin.summary,
                    )
                )
        return sorted(rows, key=lambda entry: (entry.kind or "~", entry.name, entry.package))

    def names(self, kind: Kind) -> list[str]:
        """The names of a kind that exist, those in conflict included."""
        return sorted(name for of, name in self._plugins if of == kind)

    def entry(self, kind: Kind, name: str) -> Entry:
        """The row of a plugin that can be loaded. Raises as `load` does."""
        item = self._find(kind, name)
        return Entry(kind, name, item.source.package, item.source.version, summary=item.plugin.summary)

    def origin(self, kind: Kind, name: str) -> Origin:
        """Which package a plugin comes from. Raises as `load` does."""
        return Origin(kind, name, self._find(kind, name).source.package)

    @overload
    def load(self, kind: Literal["backend"], name: str) -> type[Backend]: ...
    @overload
    def load(self, kind: Literal["detector"], name: str) -> type[StyleDetector]: ...
    @overload
    def load(self, kind: Literal["policy"], name: str) -> type[SwitchPolicy]: ...
    @overload
    def load(self, kind: Kind, name: str) -> type[Backend] | type[StyleDetector] | type[SwitchPolicy]: ...

    def load(self, kind: Kind, name: str) -> type[Any]:
        """Import a plugin's class.

        Raises:
            PluginNotFound: there is none of that name; says which exist.
            PluginConflict: several packages claim the name.
            PluginIncompatible: its package is for another tessy.
            PluginLoadError: it cannot be imported, or is not what its kind asks for.
            TessyError: what the plugin itself raised on purpose, for instance that an extra is missing.
        """
        item = self._find(kind, name)
        try:
            loaded = item.plugin.load()
        except TessyError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginLoadError(f"{item} could not be loaded: {type(error).__name__}: {error}") from error
        reason = breach(loaded, _BASES[kind])
        if reason is not None:
            raise PluginLoadError(f"{item} cannot be used: {reason}")
        cls: type[Any] = loaded
        return cls

    def _find(self, kind: Kind, name: str) -> Registered:
        items = self._plugins.get((kind, name), [])
        if len(items) == 1:
            return items[0]
        if items:
            raise PluginConflict(f"{kind} {name!r}: {self._conflict(items)}")
        for fault in self._faults:
            # A package that did not load cannot say what it registers; its name is a good guess.
            if fault.kind in (None, kind) and name in (fault.name, fault.package.removeprefix("tessy-")):
                package = f"{fault.package} {fault.version}".strip()
                raise _ERRORS[fault.status](
                    f"{kind} {name!r}: package {package} is {fault.status}: {fault.reason}"
                )
        raise PluginNotFound(self._missing(kind, name))

    def _missing(self, kind: Kind, name: str) -> str:
        names = self.names(kind)
        text = f"no {kind} {name!r}"
        near = get_close_matches(name, names, 1)
        if near:
            text += f"; did you mean {near[0]!r}?"
        elsewhere = [of for of, other in self._plugins if other == name]
        if elsewhere:
            text += f"; {name!r} is a {elsewhere[0]}"
        text += f"\ninstalled: {', '.join(names) or 'none'}"
        for fault in () if near else self._faults:
            if fault.kind in (None, kind):
                text += f"\n{fault.name} (package {fault.package}) may have it, "
                text += f"but is {fault.status}: {fault.reason}"
        return text

    @staticmethod
    def _conflict(items: Iterable[Registered]) -> str:
        packages = [str(other.source) for other in items]
        if len(set(packages)) == 1:
            return f"package {packages[0]} registers it {len(packages)} times"
        claim = f"packages {' and '.join(sorted(set(packages)))} both register it"
        return f"{claim}; leave one out with {DISABLE}=PACKAGE"
