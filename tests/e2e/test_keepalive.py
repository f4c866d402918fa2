"""Long waits for the first token, through the door."""

import pytest
from tests.e2e.test_faults import events
from tests.serving import TWO_FAST, serving

IMPATIENT = TWO_FAST.replace("fast: {", "fast: {keepalive_after: 20ms, ").replace(
    "first_token: 200ms", "first_token: 1s"
)


async def test_a_thinking_model_keeps_its_client():
    """The head goes out early with comments every client passes over; the answer follows whole."""
    async with serving(IMPATIENT) as server:
        answer = await server.chat(model="pair", stream=True, headers={"x-twospeed-simulate": "slow:300ms@one"})
        text = await answer.text()
    assert answer.status == 200
    assert text.startswith(": keep-alive\n\n")
    assert events(text)[-1] == "[DONE]"
    assert "x-twospeed-backend" not in answer.headers
    assert answer.headers["x-twospeed-tier"] == "fast"
    assert server.records[0].backend == "one/m@default"


async def test_a_fallback_is_still_possible_after_the_early_head():
    """A keep-alive commits to nothing: the next backend's answer follows in the same stream."""
    async with serving(IMPATIENT) as server:
        answer = await server.chat(model="pair", stream=True, headers={"x-twospeed-simulate": "hang@one"})
        text = await answer.text()
    assert text.startswith(": keep-alive\n\n")
    assert events(text)[-1] == "[DONE]"
    assert server.records[0].backend == "two/m@default"


async def test_an_exhausted_plan_ends_in_the_stream():
    """When everything failed after the early head, the stream says so, once, and has no [DONE]."""
    async with serving(IMPATIENT) as server:
        answer = await server.chat(model="lone", stream=True, headers={"x-twospeed-simulate": "hang"})
        text = await answer.text()
    assert answer.status == 200
    assert [event for event in events(text) if "error" in event] == events(text)
    assert "[DONE]" not in text
    assert server.records[0].fault == "first_token_timeout"


@pytest.mark.parametrize("stream", [True, False])
async def test_quick_answers_and_unstreamed_ones_have_none(stream: bool):
    """Keep-alives are for streams that wait."""
    async with serving(TWO_FAST) as server:
        text = await (await server.chat(stream=stream)).text()
    assert "keep-alive" not in text
