"""Shared fixtures, which folders can be tested in this environment, and how property tests search."""

from __future__ import annotations

import os
from importlib.util import find_spec

from hypothesis import HealthCheck, settings

# As the program does: threads that multiply small matrices only wait for each other. Before numpy comes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

collect_ignore = [] if find_spec("vllm") else ["engines"]
"""The engines have an environment of their own: ``make test-vllm``."""

# The same examples in every run, and no limit on the time of one: whether a change is good must depend
# neither on luck nor on how busy the machine is. New examples are what ``make fuzz`` is for.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile(
    "fuzz", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")
