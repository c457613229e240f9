"""``tessy score``: what the miniature student says of runs, held against its raw logits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from math import exp
from pathlib import Path
from typing import Any

import pytest

from cli.shell import MODELS, PAIR, rows, tessy
from tessy.scoring import read_scores

pytestmark = pytest.mark.engine
STUDENT = f"llamacpp:{MODELS / 'student.gguf'}?n_ctx=1024"
PROMPTS = MODELS.parent / "prompts.jsonl"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "tessy"
    tessy("run", PROMPTS, "-n", 6, "-o", folder, *PAIR)
    return folder


@pytest.fixture
def run(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "run"))


def scored(*args: object) -> Any:
    return json.loads(tessy("score", *args, "--student", STUDENT, "--json").stdout)


@pytest.fixture(scope="module")
def llama() -> Iterator[Any]:
    """The student in llama-cpp-python's own class: its tokenizer and its logits, nothing of tessy's."""
    from llama_cpp import Llama

    model = Llama(str(MODELS / "student.gguf"), n_ctx=1024, logits_all=True, verbose=False)
    yield model
    model.close()


def direct(llama: Any, row: dict[str, Any]) -> dict[str, list[tuple[int, float, int]]]:
    """For each phase its tokens: the character at which each begins, its NLL and its rank."""
    import numpy as np

    def plain(text: str) -> list[int]:
        return list(llama.tokenize(text.encode(), add_bos=False, special=False))

    def control(text: str) -> list[int]:
        return list(llama.tokenize(text.encode(), add_bos=False, special=True))

    content = row["messages"][-1]["content"]
    assert content.startswith("<think>\n")
    thinking, answer = content.removeprefix("<think>\n").split("\n</think>\n\n")
    prompt = row["messages"][0]["content"]
    head = control(f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n<think>\n")
    parts = [(thinking, plain(thinking)), (answer, plain(answer))]
    ids = [*head, *parts[0][1], *control("\n</think>\n\n"), *parts[1][1]]
    llama.reset()
    llama.eval(ids)
    logits = np.array(llama.scores[: len(ids)], dtype=np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    found: dict[str, list[tuple[int, float, int]]] = {}
    for name, first, (text, tokens) in zip(
        ("think", "answer"), (len(head), len(ids) - len(parts[1][1])), parts, strict=True
    ):
        at, found[name] = 0, []
        for i, token in enumerate(tokens, first):
            own = logprobs[i - 1, token]
            found[name].append((at, -own, int((logprobs[i - 1] > own).sum()) + 1))
            at += len(llama.detokenize([token]).decode())
        assert at == len(text)
    return found


def test_figures_are_those_of_the_raw_logits(run: Path, llama: Any) -> None:
    figures = scored(run)["runs"][0]["figures"]
    header, found = read_scores(run)
    scores = dict(found)
    data = rows(run)
    assert list(scores) == [row["id"] for row in data]
    assert header["rows"] == len(data)
    sums: dict[str, list[float]] = {}
    for row in data:
        mine: dict[str, list[float]] = {}
        tokens = direct(llama, row)
        for phase, rated in tokens.items():
            spans = [span for span in row["tessy"]["spans"] if span["phase"] == phase]
            base = spans[0]["start"]
            for at, nll, _ in rated:
                span = next(s for s in spans if s["start"] - base <= at < s["end"] - base)
                for name in ("nll", f"nll_{phase}", f"nll_{span['author']}", f"nll_{span['kind']}"):
                    mine.setdefault(name, []).append(nll)
        every = [one for rated in tokens.values() for one in rated]
        for name, values in mine.items():
            sums.setdefault(name, []).extend(values)
            if name != "nll_None":
                assert scores[row["id"]][name] == pytest.approx(sum(values) / len(values), abs=1e-3)
        mean = sum(mine["nll"]) / len(mine["nll"])
        assert scores[row["id"]]["grape"] == pytest.approx(exp(-mean), abs=1e-3)
        ratio = sum(min(rank, 100) for _, _, rank in every) / sum(nll for _, nll, _ in every)
        assert scores[row["id"]]["rank_surprisal"] == pytest.approx(ratio, rel=1e-2)
    for name in ("nll", "nll_teacher", "nll_student", "nll_style", "nll_capability", "nll_think"):
        assert figures[name]["value"] == pytest.approx(sum(sums[name]) / len(sums[name]), abs=1e-3)
        assert figures[name]["low"] < figures[name]["value"] < figures[name]["high"]


def test_rated_rows_are_not_rated_again(run: Path) -> None:
    first = scored(run, "-n", 2)["runs"][0]
    assert (first["rows"], first["rated"]) == (2, 2)
    second = scored(run)["runs"][0]
    assert (second["rows"], second["rated"]) == (6, 4)
    third = scored(run)["runs"][0]
    assert (third["rows"], third["rated"]) == (6, 0)
    assert third["figures"] == second["figures"]
