"""Shared fixtures, and which folders can be tested at all in this environment."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("vllm") else ["engines"]
"""The engines have an environment of their own: ``make test-vllm``."""
