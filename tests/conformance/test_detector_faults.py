"""Detectors with one fault each, and the test of the suite that must fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from conformance.faults import FAILURES, named
from tessy.abc import StyleDetector
from tessy.errors import PluginError
from tessy.testing import ScriptedDetector
from tessy.testing.suites import StyleDetectorSuite
from tessy.types import (
    Label,
    Window,
)


class Gaps(ScriptedDetector):
    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return [labels[1:] for labels in await super().label(windows)]


class Late(ScriptedDetector):
    """Labels up to its lookahead and no further, also at the very end."""

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return await super().label([replace(window, final=False) for window in windows])


class Hasty(ScriptedDetector):
    """Labels what it has, before it is sure."""

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        return await super().label([replace(window, final=True) for window in windows])

    def _one(self, window: Window) -> list[Label]:
        style = not window.text.endswith((".", "e", "i"))
        return [Label(window.new_from, len(window.text), style)]


class Chunky(ScriptedDetector):
    """The first word of each call is style."""

    def _one(self, window: Window) -> list[Label]:
        labels = super()._one(window)
        return (
            [replace(labels[0], style=True), *(replace(i, style=False) for i in labels[1:])] if labels else []
        )


class Mixed(ScriptedDetector):
    """What the first of a batch is, all are."""

    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        first = len(windows[0].text) % 2 == 0 if windows else True
        return [[replace(i, style=first) for i in labels] for labels in await super().label(windows)]


class Stubborn(ScriptedDetector):
    """Never forgets what it has read under a key, and takes it for what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[str, str] = {}

    def _one(self, window: Window) -> list[Label]:
        known = self.read.get(window.key, "")
        self.read[window.key] = known if len(known) > len(window.text) else window.text
        style = not known
        return [replace(label, style=style) for label in super()._one(window)]


class Crashing(ScriptedDetector):
    async def label(self, windows: Sequence[Window]) -> list[list[Label]]:
        assert windows[0].text.strip(), "nothing to read"
        return await super().label(windows)

    def forget(self, key: str) -> None:
        raise KeyError(key)


class Farsighted(ScriptedDetector):
    lookahead = 5000


class Nearsighted(ScriptedDetector):
    """Looks further than it says."""

    lookahead = 2

    def _one(self, window: Window) -> list[Label]:
        return [
            replace(label, style=len(window.text[label.end :].split()) % 2 == 0)
            for label in super()._one(window)
        ]


DETECTORS: Sequence[tuple[str, StyleDetector]] = [
    ("test_labels_tile_the_new_text", Gaps()),
    ("test_labels_tile_the_new_text", Late()),
    ("test_labels_never_change", Hasty()),
    ("test_chunks_do_not_matter", Chunky()),
    ("test_labels_do_not_depend_on_where_they_are_asked_from", Chunky()),
    ("test_batches_equal_singles", Mixed()),
    ("test_trajectories_do_not_mix", Mixed()),
    ("test_a_rollback_is_forgotten", Stubborn()),
    ("test_left_of_the_anchor_nothing_matters", Stubborn()),
    ("test_forget", Crashing()),
    ("test_forget", Stubborn()),
    ("test_empty_text", Crashing()),
    ("test_lookahead_is_sane", Farsighted()),
    ("test_nothing_beyond_the_lookahead_matters", Nearsighted()),
]


@pytest.mark.parametrize(("name", "detector"), DETECTORS, ids=named)
def test_detectors(name: str, detector: StyleDetector) -> None:
    with pytest.raises((*FAILURES, KeyError, PluginError)):
        getattr(type("TestIt", (StyleDetectorSuite,), {})(), name)(detector)
