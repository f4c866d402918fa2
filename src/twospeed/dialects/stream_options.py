"""`stream_options`: how OpenAI's streams are asked to tell their usage, which accounting needs."""

import msgspec

from twospeed.dialects.body import Span, spans, splice
from twospeed.types import NULL

_ASK = b',"stream_options":{"include_usage":true}'
_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_encode = msgspec.json.Encoder().encode


class StreamOptions(msgspec.Struct, gc=False):
    """`stream_options`, as far as we read it."""

    include_usage: bool | None = None


def asking(body: bytes, model_at: Span, name: bytes, given: bool) -> bytes:
    """Return a body with another model that asks for usage; all other bytes stay.

    Args:
        model_at: Where the value of `model` is.
        name: The new one, as JSON text.
        given: The body has stream options of its own; they are kept.
    """
    if not given:
        return splice(body, model_at, name + _ASK)
    at = spans(body, "stream_options")[-1]
    changes = [(model_at, name), (at, with_usage(body[at[0] : at[1]]))]
    for span, value in sorted(changes, reverse=True):  # from the back, so that offsets stay true
        body = splice(body, span, value)
    return body


def with_usage(options: bytes | msgspec.Raw = NULL) -> bytes:
    """Return stream options, as JSON text, that ask for usage besides what they ask already.

    >>> with_usage(b'{"include_usage": false, "x": 1.0}')
    b'{"include_usage":true,"x":1.0}'
    """
    return _encode((_members(options) or {}) | {"include_usage": True})
