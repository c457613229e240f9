"""What a new package is to be called, and whether it can be."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from packaging.version import Version

from tessy._version import __version__
from tessy.errors import ConfigError
from tessy.plugins import Entry, Kind
from tessy.plugins.entry import OURS

__all__ = ["Blueprint"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*")
_LONGEST = {"plugin": 40, "package": 50}
"""Characters of a name; lines of the templates are laid out for that."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The names of a new package; all follow from ``name``, ``kind`` and ``package``.

    Attributes:
        name: what users write, as in ``--policy NAME``.
        kind: what it is.
        package: the distribution, as in ``pip install PACKAGE``.
    """

    name: str
    kind: Kind
    package: str

    @classmethod
    def of(
        cls, name: str, kind: Kind, package: str | None = None, installed: Iterable[Entry] = ()
    ) -> Blueprint:
        """A checked one.

        Args:
            name: the plugin's name.
            kind: its kind.
            package: the distribution's name; ``None``: ``tessy-NAME``.
            installed: the plugins that there are.

        Raises:
            ConfigError: a name cannot be used; says why and what could be.
        """
        _check("plugin", name)
        package = package or f"tessy-{name.lower()}"
        _check("package", package)
        for entry in installed:
            if entry.name == name and entry.kind is not None:
                raise ConfigError(
                    f"plugin {name!r}: there is a {entry.kind} of that name, of package {entry.package} "
                    f"{entry.version}; choose another"
                )
        made = cls(name, kind, package)
        if made.module in sys.stdlib_module_names or find_spec(made.module) is not None:
            raise ConfigError(
                f"package {package!r}: a module {made.module!r} is installed already; choose another with "
                "--package"
            )
        return made

    @property
    def module(self) -> str:
        """The package that Python imports."""
        return self.package.lower().replace("-", "_")

    @property
    def stem(self) -> str:
        """What its classes' names begin with."""
        words = self.name.split("-")
        if len(words) > 1 and words[-1].lower() == self.kind:
            words.pop()
        return "".join(word[0].upper() + word[1:] for word in words)

    @property
    def cls(self) -> str:
        """The plugin's class."""
        return f"{self.stem}{self.kind.capitalize()}"

    @property
    def options(self) -> str:
        """The class of its options."""
        return f"{self.stem}Options"

    @property
    def requirement(self) -> str:
        """From the tessy that runs to the next one that may break plugins."""
        now = Version(__version__)
        following = f"{now.major + 1}" if now.major else f"0.{now.minor + 1}"
        return f"{OURS}>={now.public},<{following}"


def _check(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r}: a name begins with a letter and has letters, digits and single '-' between "
            f"them{_suggestion(name)}"
        )
    most = _LONGEST[what]
    if len(name) > most:
        raise ConfigError(f"{what} {name!r}: has {len(name)} characters, at most {most} are allowed")
    if keyword.iskeyword(name) or keyword.iskeyword(name.lower()):
        raise ConfigError(f"{what} {name!r}: is a keyword of Python; choose another, say {f'my-{name}'!r}")


def _suggestion(name: str) -> str:
    near = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-0123456789")
    return f"; how about {near!r}?" if _NAME.fullmatch(near) else ""
