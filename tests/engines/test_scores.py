"""``tessy score`` through each engine, held against transformers on the same weights."""

from __future__ import annotations

import json
from math import exp
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from cli.shell import PAIR, rows, tessy
from engines.conftest import ENGINE, MODELS, PROMPTS, Server
from tessy.scoring import read_scores

CLOSE = 1e-3
LOCAL = "&".join(f"{key}={value}" for key, value in ENGINE.items())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tessy"
    tessy("run", PROMPTS, "-n", 8, "-o", folder, *PAIR)
    return folder


@pytest.fixture(scope="module")
def direct(run: Path) -> dict[str, dict[str, float]]:
    """By transformers alone: each row's figures, its spans as the row records them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODELS / "student")
    model = AutoModelForCausalLM.from_pretrained(MODELS / "student", dtype=torch.float32).eval()
    found = {}
    for row in rows(run):
        content = row["messages"][-1]["content"]
        thinking, answer = content.removeprefix("<think>\n").split("\n</think>\n\n")
        prompt = tokenizer.apply_chat_template(
            row["messages"][:1], tokenize=False, add_generation_prompt=True
        )
        ids: list[int] = []
        where: list[int | None] = []
        for text, start in (
            (f"{prompt}<think>\n", None), (thinking, 8),
            ("\n</think>\n\n", None), (answer, len(content) - len(answer)),
        ):  # fmt: skip
            made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            ids += made["input_ids"]
            where += [None if start is None else start + a for a, _ in made["offset_mapping"]]
        with torch.inference_mode():
            logprobs = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        values: dict[str, list[float]] = {}
        ranks = 0
        for i, at in enumerate(where):
            if at is None:
                continue
            nll = -float(logprobs[i - 1, ids[i]])
            ranks += min(100, 1 + int((logprobs[i - 1] > -nll).sum()))
            span = next(s for s in row["tessy"]["spans"] if s["start"] <= at < s["end"])
            for name in ("", f"_{span['author']}", f"_{span['phase']}", f"_{span['kind']}"):
                values.setdefault(f"nll{name}", []).append(nll)
        figures = {name: sum(nlls) / len(nlls) for name, nlls in values.items() if name != "nll_None"}
        figures["grape"] = exp(-figures["nll"])
        figures["rank_surprisal"] = ranks / sum(values["nll"])
        found[row["id"]] = figures
    return found


def check(run: Path, student: str, direct: dict[str, dict[str, float]]) -> None:
    printed = tessy(
        "score", run, "--student", student, "--recorded-kinds", "--anew", "--resamples", 0, "--json"
    ).stdout
    found = dict(read_scores(run)[1])
    assert found.keys() == direct.keys()
    for id, figures in direct.items():
        for name, value in figures.items():
            # Ranks are whole numbers; tokens that are equally likely may change places.
            within = {"rel": 1e-2} if name == "rank_surprisal" else {"abs": CLOSE}
            assert found[id][name] == pytest.approx(value, **within), (id, name)
    mean = sum(one["grape"] for one in direct.values()) / len(direct)
    assert json.loads(printed)["runs"][0]["figures"]["grape"]["value"] == pytest.approx(mean, abs=CLOSE)


def test_llamacpp(run: Path, direct: dict[str, dict[str, float]]) -> None:
    check(run, f"llamacpp:{MODELS / 'student.gguf'}?n_ctx=1024", direct)


def test_vllm_in_process(run: Path, direct: dict[str, dict[str, float]]) -> None:
    check(run, f"vllm:{MODELS / 'student'}?{LOCAL}", direct)


def test_a_vllm_server(run: Path, direct: dict[str, dict[str, float]], servers: dict[str, Server]) -> None:
    url = servers["student"].url
    check(run, f"vllm:student@{url}?api_key_env=TESSY_TEST_KEY", direct)
