"""Every fault of the simulated provider, through the real door: before the commit point and after it."""

import asyncio
import gc
import json

import pytest
from tests.serving import serving

from twospeed.errors import Fault
from twospeed.policy.race import Race
from twospeed.upstream.client import Try

BEFORE = {
    "refuse": "connect_failed",
    "hang": "first_token_timeout",
    "slow:5s": "first_token_timeout",
    "reset:0": "reset",
    "truncate:0": "truncated",
    "stall:0": "first_token_timeout",
    "http_429:2": "provider_rate_limited",
    "http_500": "provider_error",
    "http_502": "provider_error",
    "http_503": "provider_error",
    "http_504": "provider_error",
    "http_529": "provider_error",
    "html": "provider_error",
    "malformed:0": "bad_answer",
    "error_event:0": "error_event",
    "empty": "truncated",
    "wrong_type": "bad_answer",
    "bad_chunk:0": "protocol_error",
}
AFTER = {
    "reset:3": "truncated",
    "truncate:3": "truncated",
    "stall:3": "idle_timeout",
    "malformed:3": "bad_answer",
    "error_event:3": "error_event",
    "bad_chunk:3": "protocol_error",
}


def events(text: str) -> list[str]:
    """The data of every event of a stream."""
    return [event.removeprefix("data: ") for event in text.split("\n\n") if event.startswith("data: ")]


@pytest.mark.parametrize("fault", BEFORE)
async def test_fault_before_the_commit_point_falls_back(fault: str):
    """The client gets the next backend's whole answer and never hears of the first one's trouble."""
    async with serving() as server:
        answer = await server.chat(model="pair", stream=True, headers={"x-twospeed-simulate": f"{fault}@one"})
        text = await answer.text()
    assert answer.status == 200, text
    assert answer.headers["x-twospeed-backend"] == "two/m@default"
    assert answer.headers["x-twospeed-attempts"] == "2"
    assert events(text)[-1] == "[DONE]"
    assert not any("error" in event for event in events(text))
    (record,) = server.records
    assert [attempt.kind for attempt in record.attempts] == [BEFORE[fault], None]
    assert record.fault is None


@pytest.mark.parametrize("fault", AFTER)
async def test_fault_after_the_commit_point_is_told_once(fault: str):
    """A broken stream ends with one error event, without a finish reason and without [DONE]; nobody else is asked."""
    async with serving() as server:
        answer = await server.chat(model="pair", stream=True, headers={"x-twospeed-simulate": f"{fault}@one"})
        text = await answer.text()
    parsed = [json.loads(event) for event in events(text)]
    assert answer.status == 200
    assert [("error" in event) for event in parsed].count(True) == 1
    assert set(parsed[-1]["error"]) >= {"message", "type", "code"}
    assert not any(choice.get("finish_reason") for event in parsed[:-1] for choice in event["choices"])
    (record,) = server.records
    assert [attempt.kind for attempt in record.attempts] == [AFTER[fault]]
    assert record.fault == AFTER[fault]
    assert server.transport("two").served == 0


@pytest.mark.parametrize(
    "fault", ["refuse", "reset:0", "http_500", "http_429:2", "malformed:0", "wrong_type", "truncate:0"]
)
async def test_unstreamed_fault_falls_back(fault: str):
    """An unstreamed answer that is not whole and right is never shown."""
    async with serving() as server:
        answer = await server.chat(model="pair", headers={"x-twospeed-simulate": f"{fault}@one"})
        body = await answer.json()
    assert answer.status == 200
    assert answer.headers["x-twospeed-backend"] == "two/m@default"
    assert body["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("http_400", 400, None),
        ("http_404", 404, None),
        ("http_401", 502, "upstream_auth_error"),
        ("http_403", 502, "upstream_auth_error"),
    ],
)
async def test_what_is_the_requests_or_the_operators_fault_does_not_fall_back(
    fault: str, status: int, code: str | None
):
    """A refusal that another provider would repeat is told at once."""
    async with serving() as server:
        answer = await server.chat(model="pair", headers={"x-twospeed-simulate": f"{fault}@one"})
        body = await answer.json()
    assert answer.status == status
    assert code is None or body["error"]["code"] == code
    assert server.transport("two").served == 0


async def test_finish_reason_without_done_is_completed():
    """A provider that forgets [DONE] after its finish reason is completed, not punished."""
    async with serving() as server:
        answer = await server.chat(model="pair", stream=True, headers={"x-twospeed-simulate": "no_done@one"})
        text = await answer.text()
    assert events(text)[-1] == "[DONE]"
    assert server.records[0].fault is None


async def test_everything_down_is_told_with_a_true_status():
    """When no backend is left the client hears the last failure, in its own dialect."""
    async with serving() as server:
        answer = await server.chat(model="pair", headers={"x-twospeed-simulate": "http_500"})
        body = await answer.json()
    assert answer.status == 502
    assert body["error"]["code"] == "provider_error"
    assert "x-request-id" in answer.headers
    assert answer.headers["x-twospeed-attempts"] == "2"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", ["lone", "pair"])
@pytest.mark.parametrize("fault", ["http_500", "http_429:2", "reset:0", "malformed:0", "truncate:3", "error_event:3"])
async def test_a_request_that_failed_is_forgotten(fault: str, model: str, stream: bool):
    """Nothing holds a fault once its request is over, so that all the request had goes at once and waits for no collector."""
    async with serving() as server:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                answer = await server.chat(model=model, stream=stream, headers={"x-twospeed-simulate": f"{fault}@one"})
                await answer.read()
            await asyncio.sleep(0)
            held = [held for held in gc.get_objects() if isinstance(held, Fault | Race | Try)]
        finally:
            gc.enable()
        assert held == []
