"""``tessy score``: what the miniature student says of runs, held against its raw logits."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from math import exp
from pathlib import Path
from typing import Any

import pytest

from cli.shell import MODELS, PAIR, begin, rows, tessy
from tessy.errors import ConfigError, DataError
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
    figures = scored(run, "--recorded-kinds")["runs"][0]["figures"]
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
    assert not (run / ".scores.lock").exists()


def test_a_row_that_has_changed_is_rated_again(run: Path) -> None:
    scored(run)
    lines = (run / "data.jsonl").read_text().splitlines()
    row = json.loads(lines[0])
    row["messages"][0]["content"] += " Be brief."
    (run / "data.jsonl").write_text("\n".join([json.dumps(row), *lines[2:]]) + "\n")
    again = scored(run)["runs"][0]
    assert (again["rows"], again["rated"]) == (5, 1)
    _, found = read_scores(run)
    assert [id for id, _ in found] == [row["id"] for row in rows(run)]


def test_kinds_are_those_of_one_detector(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    tessy("run", PROMPTS, "-n", 6, "-o", alone, "--policy", "student-only", *PAIR[2:])
    assert {span["kind"] for row in rows(alone) for span in row["tessy"]["spans"]} == {None}
    figures = scored(alone)["runs"][0]["figures"]
    # The student's phrases are what it is least sure of.
    assert figures["nll_style"]["value"] > 2 * figures["nll_capability"]["value"]
    assert figures["onset_style"]["value"] > 2 * figures["onset_around_style"]["value"]
    recorded = scored(alone, "--recorded-kinds", "--anew")["runs"][0]["figures"]
    assert "nll_style" not in recorded
    assert recorded["nll"]["value"] == pytest.approx(figures["nll"]["value"], rel=1e-2)


def test_runs_side_by_side_with_the_students_own(tmp_path: Path) -> None:
    both, own = tmp_path / "both", tmp_path / "own"
    tessy("run", PROMPTS, "-n", 6, "-o", both, "--policy", "student-only", "--policy", "teacher-only", *PAIR)
    tessy("run", PROMPTS, "-n", 6, "--seed", 1, "-o", own, "--policy", "student-only", *PAIR[2:])
    student, teacher = scored(both, "--reference", own)["runs"]
    assert (student["policies"], teacher["policies"]) == (["student-only"], ["teacher-only"])
    ours, theirs = student["figures"], teacher["figures"]
    assert ours["nll"]["high"] < theirs["nll"]["low"]
    assert ours["similarity"]["value"] > theirs["similarity"]["value"]
    assert ours["style_divergence"]["high"] < theirs["style_divergence"]["low"]
    header, found = read_scores(both / "teacher-only")
    assert header["scorer"]["references"] == ["own"]
    similar = [scores["similarity"] for _, scores in found]
    assert sum(similar) / 6 == pytest.approx(theirs["similarity"]["value"])
    # The reference itself is scored, too; held against itself it would say nothing.
    assert (own / "scores.jsonl").exists()
    itself = scored(own, "--reference", own)["runs"][0]
    assert itself["rated"] == 0
    assert not {"similarity", "style_divergence"} & itself["figures"].keys()
    table = tessy("score", both, "--reference", own, "--student", STUDENT).stdout
    (line,) = [line for line in table.splitlines() if "similarity to the reference" in line]
    assert f"{ours['similarity']['value']:.3f} ±" in line
    assert f"{theirs['similarity']['value']:.3f} ±" in line


def test_another_student_and_another_detector_are_refused(run: Path) -> None:
    teacher = f"llamacpp:{MODELS / 'teacher.gguf'}?n_ctx=1024"
    found = tessy("score", run, "--student", teacher, code=2)
    assert "its student had another tokenizer than llamacpp:" in found.stderr
    assert "--any-tokenizer" in found.stderr
    assert not (run / "scores.jsonl").exists()
    tessy("score", run, "--student", teacher, "--any-tokenizer")
    before = (run / "scores.jsonl").read_bytes()
    found = tessy("score", run, "--student", STUDENT, code=2)
    assert "holds scores that were made otherwise" in found.stderr
    assert "model: was 'teacher.gguf', is now 'student.gguf'" in found.stderr
    assert (run / "scores.jsonl").read_bytes() == before
    assert scored(run, "--anew")["runs"][0]["rated"] == 6
    found = tessy("score", run, "--student", STUDENT, "--detector", "lexicon", code=2)
    assert "kinds: was" in found.stderr


def test_sampling_is_no_part_of_who_scores(run: Path) -> None:
    scored(run)
    found = tessy("score", run, "--student", f"{STUDENT}&temperature=0&parallel=4", "--json")
    assert json.loads(found.stdout)["runs"][0]["rated"] == 0


def test_what_cannot_be_scored_is_said_first(run: Path, tmp_path: Path) -> None:
    def refused(*args: object) -> str:
        return tessy("score", *args, code=2).stderr

    assert "no run here" in refused(tmp_path / "nothing", "--student", STUDENT)
    assert "cannot score" in refused(run, "--student", "scripted:s")
    assert "names role 'teacher'" in refused(run, "--student", f"teacher={STUDENT}")
    assert "no.gguf: no such file" in refused(run, "--student", "llamacpp:no.gguf")
    assert "either --detector or" in refused(
        run, "--student", STUDENT, "--recorded-kinds", "--detector", "lexicon"
    )
    other = tmp_path / "other"
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "What is 1 + 2 + 3?"}\n')
    tessy("run", prompts, "-o", other, "--policy", "student-only", *PAIR[2:])
    said = refused(run, "--reference", other, "--student", STUDENT)
    assert "has no prompt in common" in said
    (other / "data.jsonl").write_bytes(b"")
    assert "has no finished row to score; finish it" in refused(other, "--student", STUDENT)


def test_a_row_edited_by_hand_is_named(run: Path) -> None:
    lines = (run / "data.jsonl").read_text().splitlines()
    row = json.loads(lines[2])
    row["messages"][-1]["content"] += " More."
    lines[2] = json.dumps(row)
    (run / "data.jsonl").write_text("\n".join(lines) + "\n")
    found = tessy("score", run, "--student", STUDENT, "--concurrency", 1, code=2)
    assert "data.jsonl:3: row" in found.stderr
    assert "do not add up" in found.stderr
    assert "Traceback" not in found.stderr
    # What was rated before it is kept.
    header, _ = read_scores(run)
    assert header["rows"] == 2
    # A line more goes wrong, and the file is no shorter for it.
    (run / "data.jsonl").write_text("\n".join([lines[0], "rubbish", *lines[1:]]) + "\n")
    assert "data.jsonl:2: not JSON" in tessy("score", run, "--student", STUDENT, code=2).stderr
    assert read_scores(run)[0]["rows"] == 2


def test_a_run_that_is_going_is_scored_as_far_as_it_is(run: Path) -> None:
    lines = (run / "data.jsonl").read_bytes().splitlines(keepends=True)
    # The last row is being written.
    (run / "data.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:100])
    with (run / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = tessy("score", run, "--student", STUDENT, "--json")
    assert "is still going" in found.stderr
    (one,) = json.loads(found.stdout)["runs"]
    assert (one["rows"], one["going"]) == (3, True)
    (run / "data.jsonl").write_bytes(b"".join(lines))
    assert scored(run)["runs"][0]["rated"] == 3


def test_rows_that_the_engine_refuses_cost_themselves_only(run: Path) -> None:
    lengths = sorted(sum(row["tessy"]["tokens"].values()) for row in rows(run))
    small = f"llamacpp:{MODELS / 'student.gguf'}?n_ctx={lengths[3] + 60}"
    found = tessy("score", run, "--student", small, "--json", code=3)
    (one,) = json.loads(found.stdout)["runs"]
    assert 0 < len(one["failed"]) < 6
    assert one["rows"] == 6 - len(one["failed"])
    assert all("raise n_ctx=" in why for why in one["failed"].values())
    assert "could not be rated; the next call tries again" in found.stderr
    assert scored(run)["runs"][0]["rated"] == len(one["failed"])


def test_two_at_a_time_are_refused(run: Path) -> None:
    with (run / ".scores.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = tessy("score", run, "--student", STUDENT, code=2)
    assert "another process scores this run" in found.stderr


def test_a_full_disk_loses_nothing(run: Path) -> None:
    (run / "journal.sqlite").unlink()  # to open it takes room, too
    before = scored(run, "-n", 3)["runs"][0]
    size = os.path.getsize(run / "scores.sqlite")
    published = (run / "scores.jsonl").read_bytes()

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    found = tessy("score", run, "--student", STUDENT, code=1, cwd=run, preexec_fn=full)
    assert "scores.sqlite: cannot be written" in found.stderr
    assert "goes on with it" in found.stderr
    assert "Traceback" not in found.stderr
    assert (run / "scores.jsonl").read_bytes() == published
    after = scored(run)["runs"][0]
    assert (after["rows"], after["rated"]) == (6, 3)
    assert before["figures"]["nll"]["rows"] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_it_goes_on(tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    tessy("run", PROMPTS, "-n", 80, "-o", run, "--policy", "student-only", *PAIR[2:])
    process = begin("score", run, "--student", STUDENT, "--concurrency", 1)
    code = stop_when(process, lambda: rated(run) > 0, number)
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL)
    done = rated(run)
    assert 0 < done < 80
    if number == signal.SIGINT:
        assert read_scores(run)[0]["rows"] == done
    after = scored(run)["runs"][0]
    assert (after["rows"], after["rated"]) == (80, 80 - done)


def rated(run: Path) -> int:
    """How many rows are committed; 0 while there is no file."""
    try:
        with closing(sqlite3.connect(f"file:{run / 'scores.sqlite'}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM rows").fetchone()[0])
    except sqlite3.Error:
        return 0


def stop_when(process: subprocess.Popen[str], ready: Callable[[], bool], number: int) -> int:
    deadline = time.monotonic() + 60
    while process.poll() is None and not ready() and time.monotonic() < deadline:
        time.sleep(0.005)  # another process writes; there is nothing of it to wait for
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


def test_files_are_private(run: Path) -> None:
    scored(run)
    for name in ("scores.sqlite", "scores.jsonl"):
        assert (run / name).stat().st_mode & 0o777 == 0o600


def test_a_broken_or_foreign_file_is_named(run: Path) -> None:
    (run / "scores.sqlite").write_bytes(b"no database" * 100)
    found = tessy("score", run, "--student", STUDENT, code=2)
    assert "scores.sqlite: cannot be used" in found.stderr
    (run / "scores.sqlite").unlink()
    (run / "scores.jsonl").write_text("rubbish\n")
    with pytest.raises(DataError, match="not JSON"):
        read_scores(run)
    scored(run)
    assert read_scores(run)[0]["rows"] == 6
    (run / "scores.jsonl").unlink()
    with pytest.raises(ConfigError, match="was not scored"):
        read_scores(run)
