"""Made bodies: what a server takes for the traffic of editors and agents, the same for the same seed."""

import json

import pytest

from twospeed.dialects.openai_chat import DIALECT
from twospeed.drill.bench_bodies import body, conversation


@pytest.mark.parametrize("size", [2_000, 8_000, 30_000, 90_000, 200_000])
def test_a_body_has_about_the_size_asked_for(size: int):
    """Within three percent."""
    assert abs(len(body(size, 1, "auto", True)) - size) < 0.03 * size


@pytest.mark.parametrize("size", [1_000, 2_000, 30_000, 90_000])
def test_a_body_is_a_good_request(size: int):
    """The chat dialect takes it, with model and stream as asked."""
    request = DIALECT.decode(body(size, 5, "fast", True), "/v1/chat/completions")
    assert (request.model, request.stream) == ("fast", True)
    assert DIALECT.opening(request)


def test_the_same_seed_gives_the_same_bytes():
    """Another seed gives others."""
    assert body(30_000, 1, "auto", False) == body(30_000, 1, "auto", False)
    assert body(30_000, 1, "auto", False) != body(30_000, 2, "auto", False)


def test_large_ones_are_agent_runs():
    """Tools are offered and called, and every call has its result."""
    agent = conversation(30_000, 1)
    calls = [call["id"] for message in agent["messages"] for call in message.get("tool_calls") or ()]
    results = [message["tool_call_id"] for message in agent["messages"] if message["role"] == "tool"]
    assert agent["tools"]
    assert calls == results != []
    assert all(json.loads(c["function"]["arguments"]) for m in agent["messages"] for c in m.get("tool_calls") or ())


def test_small_ones_are_questions():
    """No tools, and the user has the last word."""
    chat = conversation(2_000, 1)
    assert "tools" not in chat
    assert [message["role"] for message in chat["messages"]] == ["system", "user", "assistant", "user"]
