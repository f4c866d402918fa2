"""The tools of a request, and whether answering it twice could do harm."""

import msgspec
import pytest

from twospeed.dialects.translation.offered import offered

SCHEMA = {"type": "object"}
PLAIN = {"type": "function", "function": {"name": "ls", "parameters": SCHEMA}}


def _offered(dialect: str, **body: object):
    return offered(dialect, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai_chat", {"tools": [PLAIN]}),
        ("openai_chat", {"functions": [{"name": "ls", "parameters": SCHEMA}]}),
        ("openai_responses", {"store": False, "tools": [{"type": "function", "name": "ls", "parameters": SCHEMA}]}),
        ("anthropic_messages", {"tools": [{"name": "ls", "input_schema": SCHEMA}]}),
        ("anthropic_messages", {"tools": [{"type": "custom", "name": "ls", "input_schema": SCHEMA}]}),
    ],
)
def test_tools_come_with_their_schemas(dialect, body):
    """Each dialect keeps them elsewhere."""
    offer = _offered(dialect, **body)
    assert msgspec.json.decode(offer.tools["ls"]) == SCHEMA
    assert not offer.acts


def test_free_tools_and_namespaces():
    """A custom tool takes any text; tools of a namespace are known by both names."""
    assert _offered("openai_chat", tools=[{"type": "custom", "custom": {"name": "patch"}}]).tools == {"patch": None}
    assert _offered("openai_responses", tools=[{"type": "custom", "name": "patch"}]).tools == {"patch": None}
    inner = {"type": "function", "name": "ls"}
    space = _offered("openai_responses", store=False, tools=[{"type": "namespace", "name": "mcp", "tools": [inner]}])
    assert space.tools.keys() == {"ls", "mcp__ls"}
    assert not space.acts


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai_responses", {}),
        ("openai_responses", {"store": True}),
        ("openai_responses", {"store": False, "tools": [{"type": "mcp"}]}),
        ("openai_responses", {"store": False, "tools": [{"type": "image_generation"}]}),
        ("anthropic_messages", {"mcp_servers": [{"url": "x"}]}),
        ("anthropic_messages", {"container": "c"}),
        ("anthropic_messages", {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}),
        ("openai_chat", {"tools": [{"type": "browser"}]}),
        ("openai_chat", {"tools": "what?"}),
    ],
)
def test_what_lasts_is_told(dialect, body):
    """An answer that the provider keeps, a tool that it runs itself, and what cannot be read may act."""
    assert _offered(dialect, **body).acts


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai_chat", {}),
        ("openai_completions", {"prompt": "x"}),
        ("openai_responses", {"store": False, "tools": [{"type": "web_search"}, {"type": "local_shell"}]}),
        ("anthropic_messages", {"tools": [{"type": "bash_20250124", "name": "bash"}]}),
    ],
)
def test_most_requests_do_not_act(dialect, body):
    """Tools that the client runs, or that only search, change nothing by themselves."""
    assert not _offered(dialect, **body).acts
