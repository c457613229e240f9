from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessy.builtin import ARCHITECTURES, DEFAULT_ARCHITECTURE
from tessy.errors import ConfigError
from tessy.labelling.segments import Segment
from tessy.labelling.training import Recipe, train


@pytest.mark.parametrize(
    ("architecture", "settings", "says"),
    [
        ("crf", {}, "no architecture 'crf'; there are boundary, token-classifier"),
        (
            "boundary",
            {"batch": 8, "device": "cpu"},
            "batch, device: not for architecture boundary; it has epochs, base",
        ),
        (
            "token-classifier",
            {"base": None},
            "architecture token-classifier cannot start from nothing; name a base",
        ),
        ("token-classifier", {"width": 8}, "width: not for architecture token-classifier; it has batch"),
    ],
)
def test_what_an_architecture_does_not_know_is_refused(
    tmp_path: Path, architecture: str, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(Recipe(architecture, settings), [Segment("a", "Hmm.")], tmp_path / "out")
    assert says in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT_ARCHITECTURE in ARCHITECTURES
