"""Server-sent events in bulk: how the bytes are cut on their way changes nothing."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import BackendRejected
from tessy.remote import sse
from tessy.remote.sse import EventBuffer

values = st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers(-9, 9), max_size=3)
noise = st.sampled_from(["", ": ping", "event: token", "id: 7", "retry: 10", "data:", "nonsense"])
ends = st.sampled_from(["\n", "\r\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Any]]:
    """A server's bytes, with all that the standard allows between events, and what they say."""
    end = draw(ends)
    text, events = "", []
    for value in draw(st.lists(values, max_size=6)):
        for line in draw(st.lists(noise, max_size=3)):
            text += line + end
        space = draw(st.sampled_from(["", " "]))
        text += f"data:{space}{json.dumps(value, ensure_ascii=draw(st.booleans()))}{end}{end}"
        events.append(value)
    return (text + f"data: [DONE]{end}{end}").encode(), events


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(streams(), st.lists(st.integers(0, 1 << 16), max_size=12), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_events_are_the_same_wherever_the_bytes_are_cut(
    stream: tuple[bytes, list[Any]], at: list[int], mark: bytes
) -> None:
    data, events = stream
    data = mark + data
    buffer = EventBuffer()
    assert [event for part in cut(data, at) for event in buffer.feed(part)] == events
    assert buffer.done
    assert buffer.error is None


def test_a_last_event_may_lack_its_lines_end_but_nothing_else() -> None:
    for data, events in ((b'data: {"a": 1}', [{"a": 1}]), (b'data: {"a": 1', []), (b"", []), (b"dat", [])):
        buffer = EventBuffer()
        assert buffer.feed(b"data: {}\n\n" + data) == [{}]
        assert buffer.end() == events
        assert buffer.error is None


@given(streams(), st.lists(st.integers(0, 1 << 16), max_size=12))
def test_what_came_before_a_broken_event_is_given_out(stream: tuple[bytes, list[Any]], at: list[int]) -> None:
    data, events = stream
    broken = data.replace(b"[DONE]", b"{broken")
    buffer = EventBuffer()
    assert [event for part in cut(broken, at) for event in buffer.feed(part)] == events
    assert not buffer.done
    assert isinstance(buffer.error, ValueError)


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_LINE", 1 << 20)
    buffer = EventBuffer()
    with pytest.raises(BackendRejected, match="more than 1 MiB"):
        for _ in range(20):
            buffer.feed(b"x" * (1 << 16))
