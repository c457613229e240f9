"""Plugins for the commands around detectors: made from SPECs, not started."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tessy.abc import Backend, StyleDetector
from tessy.boundary import Origin, plugin
from tessy.config.resolve import _DETECTOR as DEFAULT_DETECTOR
from tessy.options import build
from tessy.plugins import Registry
from tessy.spec import Spec

__all__ = ["DEFAULT_DETECTOR", "make_backend", "make_detector"]


def make_detector(
    text: str | None, registry: Registry, environ: Mapping[str, str] = os.environ
) -> tuple[StyleDetector, Origin]:
    """A detector and where it comes from; ``None``: the default of a run.

    Raises:
        ConfigError: the SPEC, the plugin, an option or a variable is wrong.
    """
    spec = DEFAULT_DETECTOR if text is None else Spec.parse("detector", text)
    cls, origin = registry.load("detector", spec.name), registry.origin("detector", spec.name)
    expanded = spec.expand(f"detector {spec.name}", environ)
    options = build("detector", spec.name, origin.package, cls, spec.options, environ=environ)
    with plugin(origin, "__init__"):
        return cls(options, model=expanded.model), origin


def make_backend(
    role: str, text: str, registry: Registry, environ: Mapping[str, str] = os.environ
) -> tuple[Backend, Origin]:
    """A backend for a role of its own and where it comes from. Raises as `make_detector`."""
    spec = Spec.parse("backend", text)
    cls, origin = registry.load("backend", spec.name), registry.origin("backend", spec.name)
    expanded = spec.expand(f"backend {role} {spec.name}", environ)
    options = build(f"backend {role}", spec.name, origin.package, cls, spec.options, environ=environ)
    with plugin(origin, "__init__"):
        return cls(expanded.model or "", options, url=",".join(expanded.urls) or None), origin
