"""Scripts: which answer a request gets."""

import json
from random import Random
from typing import Any

import jsonschema
import msgspec
import pytest

from twospeed.upstream.script import Ask, Script, Tool
from twospeed.upstream.script.writer import write

LIST = Tool("list_files", msgspec.Raw(b'{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}'))


def script(tokens: int = 60, tools: bool = True, reasoning: int = 0, **fields: Any) -> Script:
    return write(Ask("/chat/completions", **fields), Random(1), tokens, reasoning, tools)


def text(answer: Script) -> str:
    return "".join(answer.text)


def test_questions_are_answered_at_the_length_drawn():
    """A question gets prose and code of the length that was drawn."""
    answer = script(prompt="How do I parse this in Rust?", input_bytes=400)
    assert (len(answer.text), answer.finish, answer.input_tokens, answer.output_tokens) == (60, "stop", 100, 60)


def test_max_tokens_cuts():
    """An answer beyond max_tokens is cut there and says so."""
    answer = script(max_tokens=10, reasoning=4)
    assert (len(answer.text), len(answer.reasoning), answer.finish) == (6, 4, "length")
    assert script(max_tokens=0).text == []


def test_stop_words_end_the_text():
    """Text ends before the first stop word."""
    whole = text(script(tokens=80))
    word = whole.split()[5]
    assert text(script(tokens=80, stop=[word, "never there"])) == whole[: whole.index(word)]


def test_tools_are_called_first():
    """Tools offered are called, unless settings or the room left say no."""
    offered = Ask("/chat/completions", tools=[LIST])
    answer = write(offered, Random(1), 60)
    assert (answer.finish, [call.name for call in answer.calls], answer.text) == ("tool_calls", ["list_files"], ())
    assert write(offered, Random(1), 60, tools=False).finish == "stop"
    cramped = write(Ask("/chat/completions", tools=[LIST], max_tokens=2), Random(1), 60)
    assert (cramped.calls, cramped.finish) == ([], "length")


def test_json_formats_are_met():
    """An answer format is met, titles included."""
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["title", "n"],
    }
    answer = json.loads(text(script(schema=msgspec.Raw(json.dumps(schema).encode()), prompt="Fix the retry loop")))
    jsonschema.validate(answer, schema)
    assert answer["title"] == "Fix retry loop"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"instructions": "You are a title generator.", "prompt": "Fix the retry loop"}, "Fix retry loop"),
        ({"fill": True, "prompt": "func f() {\n", "suffix": "}"}, "return nil"),
        ({"instructions": "finish with echo TASK_COMPLETE_NOW in ```bash"}, "THOUGHT"),
    ],
)
def test_side_calls_get_short_answers(fields: dict[str, Any], expected: str):
    """Titles, completions and fenced commands are short and to the point."""
    answer = text(script(**fields))
    assert answer.startswith(expected) or "\n" not in answer
    assert len(answer) < 120


def test_commit_messages_are_one_line():
    """A request for a commit message gets one line."""
    answer = text(script(instructions="Generate a commit message for this diff", prompt="+++ b/app.py\n"))
    assert "app.py" in answer
    assert "\n" not in answer


def test_no_listings_for_clients_that_edit_files_from_text():
    """A client that would write listings into files gets none."""
    assert "```" not in text(script(tokens=500, instructions="Use *SEARCH/REPLACE* blocks"))
    assert "```" in text(script(tokens=500))


def test_long_conversations_are_cached():
    """From the second turn on most of a long prompt is counted as cached, in whole blocks."""
    assert script(input_bytes=40_000).cached_tokens == 0
    cached = script(input_bytes=40_000, turns=1).cached_tokens
    assert 0 < cached < 10_000
    assert cached % 128 == 0
