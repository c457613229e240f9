"""What the page says is what the journal says; what cannot be reported is refused."""

from __future__ import annotations

import html.parser
import json
import random
import resource
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cli.shell import tessy
from report.conftest import HOSTILE
from tessy.budget import Price
from tessy.errors import ConfigError, DataError
from tessy.report import report
from tessy.report.queries import QUERIES
from tessy.report.reading import POSITIONS, _Sample, read
from tessy.rundata import RunData
from tessy.scoring.published import FORMAT


class Scripts(html.parser.HTMLParser):
    """The scripts of a page, as a parser of HTML finds them; and every tag there is."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"]:
            self.scripts[-1] += data


def data_of(page: Path) -> dict[str, Any]:
    parser = Scripts()
    parser.feed(page.read_text("utf-8"))
    assert len(parser.scripts) == 2
    found: dict[str, Any] = json.loads(parser.scripts[0])
    return found


@pytest.fixture(scope="session")
def page(runs: list[RunData], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "report.html"
    report(runs, target)
    return target


def test_every_sum_is_what_its_statement_gives(runs: list[RunData], page: Path) -> None:
    shown = data_of(page)["runs"]
    for run, of in zip(runs, shown, strict=True):
        db = sqlite3.connect(f"file:{run.folder / 'journal.sqlite'}?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        for query in QUERIES:
            found = [dict(row) for row in db.execute(query.sql)]
            assert of["figures"][query.name] == found, query.name
        db.close()


def test_the_journal_and_the_rows_say_the_same(runs: list[RunData], page: Path) -> None:
    for run, of in zip(runs, data_of(page)["runs"], strict=True):
        rows, table, figures = list(run.rows()), of["table"], of["figures"]
        assert table["id"] == [row.id for row in rows]
        assert {x["status"]: x["rows"] for x in figures["rows"]}.get("done", 0) == len(rows)
        assert figures["switches"][0]["switches"] == sum(table["switches"])
        assert sum(x["rows"] for x in figures["finish"]) == len(rows)
        for author in ("teacher", "student"):
            by_rows = sum(row.tessy["tokens"][author] for row in rows)
            by_journal = sum(x["tokens"] for x in figures["tokens"] if x["author"] == author)
            assert by_rows == by_journal == sum(table[author])
        characters = sum(len(row.text(span)) for row in rows for span in row.spans)
        assert sum(x["characters"] for x in figures["tokens"]) == characters
        assert sum(sum(counts) for counts in of["lengths"].values()) == sum(table["spans"])
        thinking = sum(len(row.thinking) for row in rows)
        assert sum(sum(part.values()) for part in of["positions"]) == thinking


def test_failures_are_there_with_what_was_written(runs: list[RunData], page: Path) -> None:
    short = data_of(page)["runs"][2]
    assert len(short["failures"]) == 5
    assert short["figures"]["failures"] == [{"reason": "length", "rows": 5}]
    assert all(failure["thinking"] for failure in short["failures"])


def test_no_text_of_a_model_is_markup(page: Path) -> None:
    parser = Scripts()
    parser.feed(page.read_text("utf-8"))
    assert parser.tags.count("script") == 2
    assert "img" not in parser.tags
    assert "b" not in parser.tags
    texts = data_of(page)["runs"][0]["texts"]
    assert any(text["prompt"][0]["content"] == HOSTILE for text in texts)
    assert b"<script>window.pwned" not in page.read_bytes()


def test_the_page_asks_the_network_for_nothing(page: Path) -> None:
    text = page.read_text("utf-8")
    policy = text.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for word in ("http:", "https:", "connect-src"):
        assert word not in policy
    head = text.split('id="data">')[0]
    assert "src=" not in head.replace('http-equiv="Content', "")


def test_the_same_runs_give_the_same_bytes(runs: list[RunData], page: Path, tmp_path: Path) -> None:
    report(runs, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_runs_are_compared_on_the_prompts_that_both_answered(page: Path) -> None:
    compared = data_of(page)["compared"]
    assert [len(cloud) for cloud in compared["points"]] == [8, 8, 0]
    similarity = compared["similarity"]
    assert similarity[0][1] == similarity[1][0]
    assert 0 < similarity[0][1] < 1
    assert similarity[0][0] is None
    assert similarity[0][2] is None
    assert compared["centroids"][2] is None
    assert compared["explained"][0] >= compared["explained"][1] > 0


def test_frequent_words_are_for_a_thousand_of_the_author(runs: list[RunData], page: Path) -> None:
    import re

    frequent = data_of(page)["runs"][0]["frequent"]
    said: dict[str, list[str]] = {"teacher": [], "student": []}
    for row in runs[0].rows():
        for span in row.spans:
            said[span["author"]] += re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", row.text(span).lower())
    for author, words in said.items():
        assert frequent["totals"].get(author, 0) == len(words)
        for word, rate in zip(frequent["words"], frequent["rates"].get(author, []), strict=False):
            assert rate == pytest.approx(1000 * words.count(word) / max(1, len(words)), abs=0.01)


def test_positions_split_a_span_exactly(tmp_path: Path) -> None:
    begin, text = "<think>\n", "a" * 70 + "b" * 30
    spans = [
        {"author": "student", "phase": "think", "kind": None, "start": 8, "end": 78, "tokens": 7},
        {"author": "teacher", "phase": "think", "kind": None, "start": 78, "end": 108, "tokens": 3},
    ]
    tessy = {
        "spans": spans,
        "tokens": {"student": 7, "teacher": 3},
        "switches": 1,
        "finish": "x",
        "policy": "p",
    }
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": begin + text}]
    row = {"id": "a", "messages": messages, "tessy": tessy}
    (tmp_path / "data.jsonl").write_text(json.dumps(row) + "\n")
    found = read(RunData(tmp_path))
    assert [dict(part) for part in found.positions] == [{"student": 5}] * 14 + [{"teacher": 5}] * 6
    assert len(found.positions) == POSITIONS


def test_a_sample_depends_on_the_ids_alone() -> None:
    def drawn(ids: list[str], size: int = 1 << 60) -> set[str]:
        sample: _Sample[str] = _Sample(10, size, lambda text: 100)
        for n, id in enumerate(ids):
            sample.offer(id, n, id)
        return set(sample.kept())

    ids = [f"row-{n}" for n in range(500)]
    assert drawn(ids) == drawn(ids[::-1])
    assert len(drawn(ids)) == 10
    assert drawn(ids, 450) < drawn(ids)
    assert len(drawn(ids, 450)) == 4
    assert len(drawn(ids, 1)) == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_sample_of_unequal_texts_does_not_depend_on_their_order(seed: int) -> None:
    rows = [(f"row-{n}", random.Random(n).randrange(1, 100)) for n in range(200)]

    def drawn(offered: list[tuple[str, int]]) -> set[tuple[str, int]]:
        sample: _Sample[tuple[str, int]] = _Sample(20, 500, lambda row: row[1])
        for n, row in enumerate(offered):
            sample.offer(row[0], n, row)
        return set(sample.kept())

    found = drawn(rows)
    assert len(found) > 3
    assert sum(size for _, size in found) <= 500
    assert drawn(random.Random(seed).sample(rows, len(rows))) == found


def test_costs_follow_the_prices(runs: list[RunData], tmp_path: Path) -> None:
    prices = {"teacher": Price.of(10.0, 20.0), "student": Price.of(0.0, 1.0)}
    report(runs[:1], tmp_path / "r.html", prices=prices)
    run = data_of(tmp_path / "r.html")["runs"][0]
    by = {x["role"]: x for x in run["figures"]["usage"]}
    teacher, student = by["teacher"], by["student"]
    wanted = (10 * teacher["prompt"] + 20 * teacher["generated"] + student["generated"]) / 1e6
    assert run["cost"] == pytest.approx(wanted, abs=1e-6)
    found = tessy("report", runs[0].folder, "-o", tmp_path / "c.html", "--price", "all=1,2")
    assert "8 rows, 8 with their text" in found.stdout
    assert data_of(tmp_path / "c.html")["runs"][0]["cost"] > 0
    for wrong in ("teacher", "teacher=1", "=1,2"):
        assert "--price" in tessy("report", runs[0].folder, "--price", wrong, code=2).stderr


def test_a_run_without_its_journal_is_shown_by_its_rows(runs: list[RunData], tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes((runs[0].folder / "data.jsonl").read_bytes())
    report([RunData(tmp_path)], tmp_path / "r.html")
    (run,) = data_of(tmp_path / "r.html")["runs"]
    assert run["figures"] is None
    assert len(run["table"]["id"]) == 8


def test_scores_are_shown_in_the_tables_order(runs: list[RunData], tmp_path: Path) -> None:
    lines = (runs[0].folder / "data.jsonl").read_bytes()
    (tmp_path / "data.jsonl").write_bytes(lines)
    scores = [
        {"id": json.loads(line)["id"], "scores": {"nll": n / 2}} for n, line in enumerate(lines.splitlines())
    ]
    text = "".join(json.dumps(line) + "\n" for line in [{"scores": FORMAT}, *reversed(scores[1:])])
    (tmp_path / "scores.jsonl").write_text(text)
    report([RunData(tmp_path)], tmp_path / "r.html")
    (run,) = data_of(tmp_path / "r.html")["runs"]
    assert run["scores"]["values"] == {"nll": [None, *(n / 2 for n in range(1, 8))]}


def test_bad_input(runs: list[RunData], tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").touch()
    with pytest.raises(ConfigError, match="no row has ended yet"):
        report([RunData(tmp_path)], tmp_path / "r.html")
    row = json.loads((runs[0].folder / "data.jsonl").read_text().splitlines()[0])
    row["messages"][-1]["content"] = "Edited."
    (tmp_path / "data.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"data\.jsonl:1: row .* do not add up"):
        report([RunData(tmp_path)], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
    assert "no run here" in tessy("report", tmp_path / "nothing", code=2).stderr


def test_a_full_disk_leaves_the_page_that_was_there(runs: list[RunData], tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("before")

    def little_room() -> None:
        # A reader of the journal takes 32 KiB, the page is larger.
        resource.setrlimit(resource.RLIMIT_FSIZE, (33_000, 33_000))

    found = tessy("report", runs[0].folder, "-o", tmp_path / "r.html", code=2, preexec_fn=little_room)
    assert "cannot be written" in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert (tmp_path / "r.html").read_text() == "before"


def test_the_documentation_has_every_statement() -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text("utf-8")
    documented = [" ".join(block.split("```")[0].split()) for block in page.split("```sql\n")[1:]]
    assert sorted(documented) == sorted(f"{' '.join(query.sql.split())};" for query in QUERIES)
