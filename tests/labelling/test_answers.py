from __future__ import annotations

import pytest

from tessy.labelling.answers import Unusable, read_answer

TEXT = 'Hmm, it’s odd. So x = 2.\n\nWait,\nlet me check "f(x)". So y.'


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        ('["Hmm,", "So", "Wait,\\nlet me check"]', ["Hmm,", "So", "Wait,\nlet me check"]),
        ('```json\n["Hmm,", "So"]\n```', ["Hmm,", "So"]),
        ('Here they are: ["Wait, let me check"] as asked.', ["Wait,\nlet me check"]),
        ('{"spans": ["Hmm,", "it\'s odd."]}', ["Hmm,", "it’s odd."]),
        ("[]", []),
    ],
)
def test_what_can_be_used_is_found_in_the_text(answer: str, pieces: list[str]) -> None:
    spans = read_answer(TEXT, answer).spans
    # Neighbours across a space may be given as one span.
    assert "".join(TEXT[a:b] for a, b in spans).replace(" ", "") == "".join(pieces).replace(" ", "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I cannot do that.", "no_array"),
        ('["Hmm,", "So', "cut_off"),
        ('["Hmm,", "Perhaps"]', "not_verbatim"),
        ('["Wait,", "Hmm,"]', "not_verbatim"),
    ],
)
def test_what_cannot_is_refused_with_its_reason(answer: str, reason: str) -> None:
    with pytest.raises(Unusable) as caught:
        read_answer(TEXT, answer)
    assert caught.value.reason == reason


def test_single_strings_are_left_out_if_that_is_allowed() -> None:
    found = read_answer(TEXT, '["Hmm,", "Perhaps", "Wait,"]', lenient=True)
    assert ([TEXT[a:b] for a, b in found.spans], found.left_out) == (["Hmm,", "Wait,"], 1)


def test_an_answer_that_was_cut_off_is_never_used() -> None:
    with pytest.raises(Unusable):
        read_answer(TEXT, '["Hmm,"', cut_off=True)
