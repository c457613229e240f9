"""What only llama-server does: parts of a message by name, tokens beside their log-probabilities."""

from __future__ import annotations

import pytest

from openai_backend.asking import MODEL, QUESTION, make, read, request, span, text_of
from openai_standin import ANSWER, THINKING, Service, serving
from tessy.draft import Draft
from tessy.errors import BackendRejected, ContinuationUnsupported
from tessy.types import Turn


@pytest.mark.parametrize("parts", [True, False])
async def test_llama_server_is_told_which_part_goes_on(parts: bool) -> None:
    async with serving(Service("llama-server", parts=parts)) as service:
        backend = make(service)
        await backend.start()
        begun = span("So it is 42.")
        await read(backend.session(QUESTION, "k"), request("think", begun), 1)
        assert service.requests[-1]["continue_final_message"] == "reasoning_content"
        asked = request("answer", begun)
        if parts:
            assert text_of(await read(backend.session(QUESTION, "l"), asked)) == ANSWER
        else:
            with pytest.raises(ContinuationUnsupported, match="llama-server can since May 2026"):
                await read(backend.session(QUESTION, "l"), asked)
        assert service.requests[-1]["continue_final_message"] == "content"
        await backend.close()


async def test_llama_server_lists_tokens_beside_their_log_probabilities() -> None:
    answer = "Four 😂, 四."
    async with serving(Service("llama-server", answer=answer)) as service:
        backend = make(service, tokenizer=str(MODEL))
        await backend.start()
        assert backend.capabilities.top_logprobs >= 2
        thinking, codec = Draft(Turn("teacher", top_logprobs=2)), backend.running.codec
        assert codec is not None
        for chunk in await read(backend.session(QUESTION, "k"), request("think", top_logprobs=2)):
            thinking.extend(chunk)
        assert (thinking.text, thinking.finish, thinking.exact) == (THINKING, "end_of_thinking", True)
        assert thinking.ids[:-1] == codec.encode(THINKING + "\n")[: len(thinking.ids) - 1]
        assert {one.logprob for one in thinking.logprobs} == {-0.25}
        assert thinking.logprobs[0].top[1] == ("?", -2.0)
        draft = Draft(Turn("teacher", "answer", top_logprobs=2))
        asked = request("answer", span(THINKING), top_logprobs=2)
        for chunk in await read(backend.session(QUESTION, "l"), asked):
            draft.extend(chunk)
        assert (draft.text, draft.finish, draft.exact) == (answer, "end_of_turn", True)
        assert draft.ids[:-1] == codec.encode(answer)
        await backend.close()


async def test_text_without_the_log_probabilities_that_were_asked_for() -> None:
    async with serving(Service("llama-server", drafts=True)) as service:
        backend = make(service, tokenizer=str(MODEL))
        await backend.start()
        with pytest.raises(BackendRejected, match="switch speculative decoding off"):
            await read(backend.session(QUESTION, "k"), request("think", top_logprobs=2))
        assert text_of(await read(backend.session(QUESTION, "l"), request())) == THINKING
        await backend.close()
