"""Completions and fill-in-the-middle: reads the request, says a script as `text_completion` or its chunks.

Below `/fim/` each choice also carries the chat form (`delta`, `message`), which some clients of that path read instead.
Source: OpenAI API reference, "Completions (legacy)"; Mistral API reference, "FIM".
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from twospeed.upstream.script import Ask, Event, Origin, Part, Script, batches
from twospeed.upstream.script.chat import DONE, error_body, head_of, usage_of, whole_body

SUFFIX_TOKEN = re.compile(r"<\|?fim[_▁-]suffix\|?>|<｜fim▁hole｜>|\[SUFFIX\]|<SUF>", re.I)
PREFIX_TOKEN = re.compile(r"<\|?fim[_▁-]prefix\|?>|<｜fim▁begin｜>|\[PREFIX\]|<PRE>", re.I)
_json = msgspec.json.encode


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str
    prompt: str | list[str | int | list[int]] | None = None
    suffix: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None


_decode_body = msgspec.json.Decoder(_Body).decode


class CompletionVoice:
    """`/completions`, `/fim/completions`, `/beta/completions`."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request. Raises: msgspec.MsgspecError for what is not a completion request."""
        asked = _decode_body(body)
        prompt = _prompt(asked.prompt)
        marked = SUFFIX_TOKEN.search(prompt)
        before, after = (prompt[: marked.start()], prompt[marked.end() :]) if marked else (prompt, asked.suffix or "")
        return Ask(
            path=path,
            model=asked.model,
            stream=bool(asked.stream),
            wants_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            prompt=PREFIX_TOKEN.sub("", before),
            suffix=after,
            fill="/fim/" in path or bool(asked.suffix) or marked is not None,
            max_tokens=asked.max_tokens,
            stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop or (),
            input_bytes=len(prompt) + len(asked.suffix or ""),
        )

    def stream(self, ask: Ask, script: Script, origin: Origin, batch: int) -> Iterator[Event]:
        """Say it in chunks: text, the finish reason, usage where asked for, [DONE]."""
        head = b"data: " + _json(head_of("text_completion", "cmpl", ask, origin))[:-1] + b',"choices":['
        tail = b',"usage":null}\n\n' if ask.wants_usage else b"}\n\n"
        for piece, tokens in batches(script.text, batch):
            yield Event(Part.CONTENT, head + _json(_choice(ask, piece, None, "delta")) + b"]" + tail, tokens)
        yield Event(Part.FINISH, head + _json(_choice(ask, "", script.finish, "delta")) + b"]" + tail)
        if ask.wants_usage:
            yield Event(Part.FINISH, head + b'],"usage":' + _json(usage_of(script)) + b"}\n\n")
        yield DONE

    def whole(self, ask: Ask, script: Script, origin: Origin) -> bytes:
        """Say it as one `text_completion`."""
        choice = _choice(ask, "".join(script.text), script.finish, "message")
        return whole_body("text_completion", "cmpl", ask, script, origin, choice)

    def error(self, status: int, message: str) -> bytes:
        """Return an OpenAI error body."""
        return error_body(status, message)

    def error_event(self, message: str) -> bytes:
        """Return an OpenAI error as one event."""
        return b"data: " + error_body(500, message) + b"\n\n"


def _prompt(prompt: str | list[str | int | list[int]] | None) -> str:
    """Return the prompt as text; token numbers count four characters each."""
    if isinstance(prompt, list):
        return "\n".join(item if isinstance(item, str) else "...." * _numbers(item) for item in prompt)
    return prompt or ""


def _numbers(item: int | list[int]) -> int:
    return len(item) if isinstance(item, list) else 1


def _choice(ask: Ask, text: str, finish: str | None, chat_form: str) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    if "/fim/" in ask.path:
        choice[chat_form] = {"role": "assistant", "content": text}
    return choice
