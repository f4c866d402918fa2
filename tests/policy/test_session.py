"""Session identity from what real clients send."""

import pytest

from twospeed.policy.session import NOBODY, identify
from twospeed.types import Declared


@pytest.mark.parametrize(
    ("headers", "source"),
    [
        ({b"x-claude-code-session-id": b"a", b"session-id": b"b"}, "x-claude-code-session-id"),
        ({b"session-id": b"a", b"thread-id": b"b", b"x-client-request-id": b"c"}, "session-id"),
        ({b"session_id": b"a"}, "session_id"),
        ({b"x-session-affinity": b"a"}, "x-session-affinity"),
        ({b"x-twospeed-session": b"mine", b"x-claude-code-session-id": b"a"}, "x-twospeed-session"),
    ],
)
def test_headers_in_order_of_trust(headers: dict[bytes, bytes], source: str):
    """The most trusted header that was sent names the session."""
    assert identify("ann", headers, Declared("prompt_cache_key", "z"), (b"hi",)).source == source


def test_body_comes_after_headers_and_before_guessing():
    """An id in the body is used when no header has one."""
    assert identify("ann", {}, Declared("prompt_cache_key", "z"), (b"hi",)).source == "prompt_cache_key"


def test_title_call_shares_its_session():
    """A title side call belongs to the conversation it names."""
    assert identify("a", {b"x-session-id": b"title-s1"}, None, ()) == identify("a", {b"x-session-id": b"s1"}, None, b"")


def test_sessions_are_scoped_by_caller():
    """Two callers that send the same id are two sessions."""
    headers = {b"x-twospeed-session": b"same"}
    assert identify("ann", headers, None, ()).key != identify("bob", headers, None, ()).key


def test_opening_tells_conversations_apart():
    """Clients that send no id are told apart by how the conversation starts and by their user agent."""
    first = identify("ann", {b"user-agent": b"cline"}, None, (b"system", b"fix it"))
    assert first.source == "opening"
    assert first == identify("ann", {b"user-agent": b"cline"}, None, (b"system", b"fix it"))
    assert first != identify("ann", {b"user-agent": b"aider"}, None, (b"system", b"fix it"))
    assert first != identify("ann", {b"user-agent": b"cline"}, None, (b"system", b"break it"))


def test_the_runtime_is_not_the_client():
    """Cline's session stays one when a run without a terminal is taken up again in one."""
    piped, shown = (
        identify("ann", {b"user-agent": b"ai-sdk/openai-compatible/3.0.37 runtime/" + runtime}, None, (b"", b"fix it"))
        for runtime in (b"bun/1.3.13", b"browser")
    )
    assert piped == shown


def test_nothing_known_is_nobody():
    """A request without any mark has no session, and nothing is pinned to it."""
    assert identify("ann", {}, None, ()) == NOBODY
