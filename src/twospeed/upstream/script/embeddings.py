"""Embeddings: one vector for each input, drawn from the text itself. Source: OpenAI API reference, "Embeddings"."""

import base64
import struct
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from twospeed.upstream.script import Ask, Event, Origin, Script
from twospeed.upstream.script.chat import error_body

DIMENSIONS = 64
MOST_INPUTS = 2_048
_json = msgspec.json.encode


class _Body(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str = "float"
    dimensions: int | None = None


_decode_body = msgspec.json.Decoder(_Body).decode


class EmbeddingVoice:
    """`/embeddings`. The inputs travel in `prompt`, as JSON; `suffix` says how vectors are written."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request. Raises: msgspec.MsgspecError, ValueError for what is refused."""
        asked = _decode_body(body)
        inputs = asked.input if isinstance(asked.input, list) else [asked.input]
        if inputs and all(isinstance(item, int) for item in inputs):
            inputs = [" ".join(map(str, inputs))]
        if not inputs or len(inputs) > MOST_INPUTS:
            raise ValueError(f"'input' needs 1 to {MOST_INPUTS} entries")
        texts = [item if isinstance(item, str) else " ".join(map(str, [item])) for item in inputs]
        size = min(asked.dimensions or DIMENSIONS, 3_072)
        return Ask(
            path=path,
            model=asked.model,
            prompt=_json(texts).decode(),
            suffix=f"{asked.encoding_format}:{size}",
            max_tokens=0,
            input_bytes=sum(map(len, texts)),
        )

    def stream(self, ask: Ask, script: Script, origin: Origin, batch: int) -> Iterator[Event]:
        """Say nothing: embeddings are never streamed."""
        return iter(())

    def whole(self, ask: Ask, script: Script, origin: Origin) -> bytes:
        """Say it as a list of vectors."""
        form, _, size = ask.suffix.partition(":")
        texts = msgspec.json.decode(ask.prompt, type=list[str])
        data = [
            {"object": "embedding", "index": place, "embedding": _written(_vector(text, int(size)), form)}
            for place, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": script.input_tokens, "total_tokens": script.input_tokens}
        return _json({"object": "list", "data": data, "model": ask.model, "usage": usage})

    def error(self, status: int, message: str) -> bytes:
        """Return an OpenAI error body."""
        return error_body(status, message)

    def error_event(self, message: str) -> bytes:
        """Return an OpenAI error as one event."""
        return b"data: " + error_body(500, message) + b"\n\n"


def _vector(text: str, size: int) -> list[float]:
    chance = Random(text)
    values = [chance.gauss(0.0, 1.0) for _ in range(size)]
    length = sum(value * value for value in values) ** 0.5 or 1.0
    return [round(value / length, 6) for value in values]


def _written(vector: list[float], form: str) -> Any:
    if form == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return vector
