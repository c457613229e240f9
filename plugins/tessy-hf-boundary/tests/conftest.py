from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from tessy_hf_boundary.detector import HfBoundaryDetector
from tessy_hf_boundary.options import HfBoundaryOptions

Start = Callable[..., Awaitable[HfBoundaryDetector]]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Models by name, each made when it is first asked for."""
    base = tmp_path_factory.mktemp("models")
    makers: dict[str, Callable[[Path], Path]] = {
        "next": tiny.qwen,
        "inverse": lambda folder: tiny.qwen(folder, style=0),
        "own": lambda folder: tiny.qwen(folder, shift=0, steps=60),
        "bert": tiny.bert,
    }

    def folder(name: str) -> Path:
        path = base / name
        return path if path.is_dir() else makers[name](path)

    return folder


@pytest.fixture
async def start(folders: Callable[[str], Path]) -> AsyncIterator[Start]:
    """Starts detectors, and closes them when the test is over."""
    started = []

    async def begin(model: str | None = "next", **options: Any) -> HfBoundaryDetector:
        for author in {"student", "teacher"} & set(options):
            options[author] = str(folders(options[author]))
        path = None if model is None else str(folders(model))
        detector = HfBoundaryDetector(HfBoundaryOptions(**options), model=path)
        started.append(detector)
        await detector.start()
        return detector

    yield begin
    for detector in started:
        await detector.close()
