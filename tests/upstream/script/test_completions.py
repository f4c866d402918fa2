"""Completions and fill-in-the-middle in OpenAI's and Mistral's shapes."""

import json
from typing import Any

import msgspec
import pytest

from twospeed.upstream.script import Ask, Origin, Part, Script
from twospeed.upstream.script.completions import CompletionVoice

VOICE = CompletionVoice()
ORIGIN = Origin("sim1", 1_700_000_000)
SCRIPT = Script(text=["return", " a"], input_tokens=4)


def read(path: str = "/v1/completions", **body: Any) -> Ask:
    return VOICE.read(path, json.dumps({"model": "m", **body}).encode())


@pytest.mark.parametrize(
    "asked",
    [
        read("/v1/fim/completions", prompt="def f():", suffix="x"),
        read("/beta/completions", prompt="def f():", suffix="x"),
        read(prompt="<|fim_prefix|>def f():<|fim_suffix|>x"),
        read(prompt="<PRE>def f():<SUF>x"),
    ],
)
def test_fill_in_the_middle_is_recognised(asked: Ask):
    """The middle is asked for by a suffix, by the path, or by the marks of a model family in the prompt."""
    assert (asked.fill, asked.prompt, asked.suffix[:1]) == (True, "def f():", "x")


def test_plain_completions_continue_the_prompt():
    """A prompt alone is continued; lists and token numbers are taken too."""
    assert not read(prompt="Once").fill
    assert read(prompt=["a", "b"]).prompt == "a\nb"
    assert read(prompt=[1, 2, 3]).input_bytes == 14
    assert read(prompt=[[1, 2]]).input_bytes == 8
    assert read().prompt == ""
    with pytest.raises(msgspec.MsgspecError):
        read(prompt={"a": 1})


def test_text_completions_have_text():
    """Both forms carry choices[].text and end with a finish reason."""
    ask = Ask("/v1/completions", model="m", wants_usage=True)
    body = json.loads(VOICE.whole(ask, SCRIPT, ORIGIN))
    assert (body["object"], body["choices"][0]["text"], body["usage"]["total_tokens"]) == (
        "text_completion",
        "return a",
        6,
    )
    made = list(VOICE.stream(ask, SCRIPT, ORIGIN, 1))
    assert [event.part for event in made] == [Part.CONTENT, Part.CONTENT, Part.FINISH, Part.FINISH, Part.DONE]
    chunks = [json.loads(event.data[6:]) for event in made[:-1]]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1]) == "return a"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 2


def test_fim_answers_both_kinds_of_clients():
    """Below /fim/ each choice also has the chat form, because clients of that path read either."""
    ask = Ask("/v1/fim/completions", model="m")
    first = json.loads(next(VOICE.stream(ask, SCRIPT, ORIGIN, 1)).data[6:])["choices"][0]
    assert (first["text"], first["delta"]["content"]) == ("return", "return")
    assert json.loads(VOICE.whole(ask, SCRIPT, ORIGIN))["choices"][0]["message"]["content"] == "return a"


def test_errors_have_openai_shape():
    """Errors carry message and type, as a body and as an event."""
    assert json.loads(VOICE.error(500, "oh"))["error"]["type"] == "server_error"
    assert json.loads(VOICE.error_event("oh")[6:])["error"]["message"] == "oh"
