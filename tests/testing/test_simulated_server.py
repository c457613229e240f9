"""The simulated server over a real socket: what it answers, and whole runs of our backends against it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from cli.shell import tessy
from helpers import check_row, rows
from tessy.testing.simulated import Record, account, simulated_servers
from tessy.tokens.files import load_model_files

PAIR = ("teacher", "student")
QUICK = {"thinking": 60, "answer": 9, "token": 0.002, "first": 0.004, "context": 4096}


@pytest.fixture(scope="module")
def urls() -> Iterator[Mapping[str, str]]:
    with simulated_servers(PAIR, **QUICK) as urls:
        yield urls


@pytest.fixture
def url(urls: Mapping[str, str]) -> str:
    """The student's, with an empty log."""
    for one in urls.values():
        urllib.request.urlopen(urllib.request.Request(f"{one}/log", method="DELETE")).close()
    return urls["student"]


def get(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return str(answer.read().decode())


def send(url: str, body: Any) -> HTTPResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer: HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, data))
    return answer


def post(url: str, body: Any) -> dict[str, Any]:
    with send(url, body) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def events(url: str, body: Any) -> list[dict[str, Any]]:
    with send(url, {**body, "stream": True}) as answer:
        assert answer.headers.get_content_type() == "text/event-stream"
        lines = [line.removeprefix(b"data: ") for line in answer.read().split(b"\n\n") if line]
    assert lines[-1] == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def refused(url: str, body: Any) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        send(url, body)
    with closing(caught.value) as error:
        return error.code, json.loads(error.read())["error"]["message"]


def records(url: str) -> list[Record]:
    return [Record.read(line) for line in get(f"{url}/log").splitlines()]


def prompt(url: str, text: str = "Why?", begun: str = "<think>\n") -> str:
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{begun}"


# --- answers -----------------------------------------------------------------------------------------


def test_what_it_says_of_its_model(url: str) -> None:
    (entry,) = json.loads(get(f"{url}/v1/models"))["data"]
    assert (entry["id"], entry["owned_by"], entry["max_model_len"]) == ("student", "vllm", 4096)
    codec = load_model_files(entry["root"]).codec
    text = "Hmm, naïve </think>"
    found = post(f"{url}/tokenize", {"model": "student", "prompt": text})
    assert found["tokens"] == codec.encode_control(text)
    messages = [{"role": "user", "content": "Hello."}]
    found = post(f"{url}/tokenize", {"model": "student", "messages": messages})
    assert found["tokens"] == codec.encode_control(prompt(url, "Hello.", ""))
    assert 'vllm:num_requests_running{engine="0",model_name="student"} 0.0\n' in get(f"{url}/metrics")
    figures = json.loads(get(f"{url}/figures"))
    assert figures["speed"]["token"] == 0.002
    assert figures["lengths"]["thinking"] == 60


def test_a_stream_gives_a_token_an_event_and_its_usage(url: str) -> None:
    body = {"model": "student", "prompt": prompt(url), "max_tokens": 7, "return_token_ids": True}
    *tokens, last = events(f"{url}/v1/completions", {**body, "stream_options": {"include_usage": True}})
    assert [len(one["choices"][0]["token_ids"]) for one in tokens] == [1] * 7
    assert [one["choices"][0]["finish_reason"] for one in tokens] == [None] * 6 + ["length"]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 7
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    whole = post(f"{url}/v1/completions", body)
    assert whole["choices"][0]["text"] == "".join(one["choices"][0]["text"] for one in tokens)
    assert whole["choices"][0]["token_ids"] == [one["choices"][0]["token_ids"][0] for one in tokens]


def test_text_and_token_prompts_are_the_same(url: str) -> None:
    ids = post(f"{url}/tokenize", {"prompt": prompt(url)})["tokens"]
    answers = [
        post(f"{url}/v1/completions", {"model": "student", "prompt": p, "max_tokens": 2000})["choices"][0]
        for p in (prompt(url), ids)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["finish_reason"] == "stop"
    thinking, _, answer = answers[0]["text"].partition("\n</think>\n\n")
    assert re.fullmatch(r"(\S+ ?)+", thinking)
    assert re.fullmatch(r"a\d+( a\d+)*", answer)


def test_where_it_stops(url: str) -> None:
    model = {"model": "student", "prompt": prompt(url), "max_tokens": 2000}
    (close,) = post(f"{url}/tokenize", {"prompt": "</think>"})["tokens"]
    stops = {"stop_token_ids": [close], "return_token_ids": True}
    choice = post(f"{url}/v1/completions", {**model, **stops})["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["token_ids"][-1] == close
    assert choice["text"].endswith("\n"), "a token that stops adds no text"
    choice = post(f"{url}/v1/completions", {**model, "stop": ["</think>", "no such"]})["choices"][0]
    assert choice["text"].endswith("\n")
    whole = post(f"{url}/v1/completions", model)["choices"][0]["text"]
    inside = whole[5:9]
    choice = post(f"{url}/v1/completions", {**model, "stop": inside})["choices"][0]
    assert choice["text"] == whole[: whole.index(inside)]


def test_log_probabilities(url: str) -> None:
    body = {"model": "student", "prompt": prompt(url), "max_tokens": 4, "logprobs": 3}
    for event in events(f"{url}/v1/completions", body):
        found = event["choices"][0]["logprobs"]
        assert len(found["token_logprobs"]) == len(found["tokens"]) == 1
        assert found["top_logprobs"][0][found["tokens"][0]] == found["token_logprobs"][0] < 0
    ids = post(f"{url}/tokenize", {"prompt": prompt(url)})["tokens"]
    scored = post(f"{url}/v1/completions", {"prompt": ids, "max_tokens": 1, "prompt_logprobs": 2})
    first, *rest = scored["choices"][0]["prompt_logprobs"]
    assert first is None
    assert [entry[str(token)]["rank"] for token, entry in zip(ids[1:], rest, strict=True)] == [1] * len(rest)


def test_chat_begins_and_goes_on(url: str) -> None:
    body = {"model": "student", "messages": [{"role": "user", "content": "Why?"}]}
    deltas = events(f"{url}/v1/chat/completions", body)
    whole = "".join(one["choices"][0]["delta"].get("content", "") for one in deltas)
    assert deltas[-1]["choices"][0]["finish_reason"] == "stop"
    assert whole.startswith("<think>\n")
    assert post(f"{url}/v1/chat/completions", body)["choices"][0]["message"]["content"] == whole
    begun = whole[: whole.index(" ", 40)]
    body["messages"].append({"role": "assistant", "content": begun})  # type: ignore[attr-defined]
    body |= {"continue_final_message": True, "add_generation_prompt": False}
    assert begun + post(f"{url}/v1/chat/completions", body)["choices"][0]["message"]["content"] == whole


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{nonsense", 400, "the body is not JSON"),
        (b"[]", 400, "the body is no object"),
        ({"model": "other", "prompt": "x"}, 404, "The model `other` does not exist"),
        ({"prompt": "x" * 5000}, 400, "the prompt has 5000 tokens, the model's context 4096"),
        ({"prompt": ""}, 400, "none is left"),
        ({"prompt": [1, -1]}, 400, "prompt must be a string or a list of token ids below"),
        ({"prompt": [1, 10**6]}, 400, "prompt must be"),
        ({"prompt": [[1]]}, 400, "prompt must be"),
        ({"prompt": "x", "max_tokens": 0}, 400, "max_tokens must be at least 1, it is 0"),
        ({"prompt": "x", "n": 2}, 400, "n: not simulated"),
        ({"prompt": "x", "echo": True}, 400, "echo: not simulated"),
    ],
)
def test_what_it_refuses(url: str, body: Any, code: int, message: str) -> None:
    found = refused(f"{url}/v1/completions", body)
    assert found[0] == code
    assert message in found[1]


def test_conversations_that_are_none(url: str) -> None:
    for messages in (None, [1], [{"role": "user"}], [{"role": "user", "content": [1]}]):
        code, message = refused(f"{url}/v1/chat/completions", {"messages": messages})
        assert (code, message[:8]) == (400, "messages")


# --- what it knows of its clients --------------------------------------------------------------------


def test_a_client_that_goes_away_aborts_its_generation() -> None:
    with simulated_servers(["slow"], thinking=5000, spread=0.01) as urls:
        url = urls["slow"]
        body = {"prompt": prompt(url, "Long?"), "max_tokens": 2000, "stream": True}
        answer = send(f"{url}/v1/completions", body)
        assert answer.readline().startswith(b"data: ")
        assert json.loads(get(f"{url}/figures"))["running"] == 1
        answer.close()
        until = time.monotonic() + 60
        while json.loads(get(f"{url}/figures"))["running"] and time.monotonic() < until:
            time.sleep(0.01)  # it hears of a closed connection when it does
        (record,) = records(url)
    assert record.finish == "aborted"
    assert 1 <= record.tokens < 2000
    assert list(record.times) == sorted(record.times)


def test_a_prefix_that_is_there_is_not_computed_again(url: str) -> None:
    text = prompt(url, "Cached? " * 100)
    for _ in range(2):
        post(f"{url}/v1/completions", {"prompt": text, "max_tokens": 3})
    first, second = records(url)
    assert first.cached == 0
    assert second.cached == (second.prompt - 1) // 16 * 16
    assert second.prefill == pytest.approx((second.prompt - second.cached) / 20_000, abs=1e-5)
    assert first.first == second.first, "drawn from where the request stands"
    assert first.times[0] >= first.first + first.prefill


# --- whole runs --------------------------------------------------------------------------------------


def write(folder: Path, urls: Mapping[str, str], backend: str, options: str = "") -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    prompts = folder / "prompts.jsonl"
    prompts.write_text(
        "".join(json.dumps({"id": f"p{i}", "prompt": f"Question {i}?"}) + "\n" for i in range(4))
    )
    root = "/v1" if backend == "openai" else ""
    specs = {role: f"{backend}:{role}@{urls[role]}{root}{options}" for role in PAIR}
    flags = ["--teacher", specs["teacher"], "--student", specs["student"], "--detector", "lexicon"]
    tessy("run", prompts, "-o", folder / "run", *flags)
    return rows(folder / "run")


def test_a_run_in_token_ids_and_its_books(url: str, urls: Mapping[str, str], tmp_path: Path) -> None:
    data = write(tmp_path, urls, "vllm")
    assert len(data) == 4
    for row in data:
        check_row(row)
        assert {span["author"] for span in row["tessy"]["spans"]} == set(PAIR)
    found = [record for one in urls.values() for record in records(one)]
    books = account(found)
    assert len(books) == 4
    # Every token of every row was written by these servers, and nothing else was kept.
    lengths = sorted(sum(row["tessy"]["tokens"].values()) for row in data)
    assert sorted(one.kept for one in books.values()) == lengths
    assert sum(one.generated for one in books.values()) == sum(record.tokens for record in found)
    assert all(one.marks == 3 for one in books.values()), "the thinking's line break and mark, and the end"
    assert all(record.cached > 0 for record in found if record.position > 40)


@pytest.mark.parametrize("mode", ["auto", "text", "continue-final-message"])
def test_a_run_through_the_openai_sdk(urls: Mapping[str, str], tmp_path: Path, mode: str) -> None:
    options = "" if mode == "auto" else f"?continuation={mode}&template=chatml-think"
    data = write(tmp_path, urls, "openai", options)
    assert len(data) == 4
    for row in data:
        check_row(row)
        assert {span["author"] for span in row["tessy"]["spans"]} == set(PAIR)


def test_the_same_again(urls: Mapping[str, str], tmp_path: Path) -> None:
    """In another process too: texts follow from the seed, nothing depends on when they were asked for."""
    first = write(tmp_path / "a", urls, "vllm")
    with simulated_servers(PAIR, **QUICK, scale=0.5) as others:
        second = write(tmp_path / "b", others, "vllm")
    with simulated_servers(PAIR, **QUICK, seed=1) as others:
        third = write(tmp_path / "c", others, "vllm")
    texts = [[row["messages"][-1]["content"] for row in data] for data in (first, second, third)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


# --- the process -------------------------------------------------------------------------------------


def test_a_process_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(RuntimeError, match="unrecognized arguments: --no-such-option=1"),
        simulated_servers(no_such_option=1),
    ):
        pass


def test_it_cleans_up_and_writes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with simulated_servers(["one"], log=log, thinking=5, answer=2, token=0.001) as urls:
        folder = Path(json.loads(get(f"{urls['one']}/v1/models"))["data"][0]["root"])
        assert (folder / "tokenizer.json").is_file()
        post(f"{urls['one']}/v1/completions", {"prompt": "x", "max_tokens": 3})
    assert not folder.exists()
    assert len(log.read_text().splitlines()) == 1


def test_it_does_not_outlive_who_started_it() -> None:
    starter = (
        "import os\nfrom tessy.testing.simulated import simulated_servers\n"
        "with simulated_servers() as urls:\n    print(urls['simulated'], flush=True)\n    os._exit(1)\n"
    )
    made = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, check=False)
    url, until = made.stdout.strip(), time.monotonic() + 60
    with pytest.raises((urllib.error.URLError, ConnectionError)):  # refused, or reset while it ends
        while time.monotonic() < until:
            get(f"{url}/figures")
            time.sleep(0.05)  # no child of ours, so there is nothing to wait for


def test_its_help_states_the_model() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "tessy.testing.simulated", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in ("--thinking", "--first-spread", "--cache-tokens", "--scale", "--log"):
        assert option in made.stdout
