"""JSON request bodies: decode once into a typed partial view, find `model`, replace its bytes and nothing else.

`msgspec.Raw` fields of the view point into the body, so positions come from pointers instead of a search, and the
long values (messages, tools) are never looked at twice. What remains outside them is short and is searched for a
second `model`. Every shortcut is checked and has an exact, slower way behind it.

What is refused (R29) becomes Fault BAD_REQUEST with `param` = the field and a message that quotes no value.
"""

import ctypes
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from twospeed.dialects import depth
from twospeed.errors import Fault, Kind
from twospeed.types import NULL

T = TypeVar("T")

Span = tuple[int, int]  # start and end offset in the body

_HIGH_BITS = np.uint64(0x8080808080808080)
_SMALL = 8192  # bytes up to which plain decoding is the fastest way to check UTF-8
_HEADER = bytes.__basicsize__ - 1  # bytes before the data of a bytes object
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_TYPE = re.compile(r"\b(str|int|bool)\b")
_TYPES = {"str": "string", "int": "integer", "bool": "boolean"}
_encode_name = msgspec.json.Encoder().encode
_decode_name = msgspec.json.Decoder(str).decode


def bad(field: str, problem: str) -> Fault:
    """Return the fault of a request with a wrong field."""
    return Fault(Kind.BAD_REQUEST, f"Invalid '{field}': {problem}.", param=field)


def missing(field: str) -> Fault:
    """Return the fault of a request without a field it needs."""
    return Fault(Kind.BAD_REQUEST, f"Missing required field '{field}'.", param=field)


def malformed(problem: str) -> Fault:
    """Return the fault of a request that is wrong as a whole."""
    return Fault(Kind.BAD_REQUEST, f"Invalid request body: {problem}.")


def too_deep() -> Fault:
    """Return the fault of a request nested beyond R29."""
    return malformed(f"nested more than {depth.LIMIT} levels deep")


def read(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, within: str = "") -> T:
    """Decode a body, or the value of its field `within`, into the decoder's type. Raises: Fault BAD_REQUEST."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _mistyped(str(error), within) from None
    except msgspec.DecodeError as error:
        raise malformed("not valid JSON" + _place(str(error))) from None
    except RecursionError:
        raise too_deep() from None


def lenient(decoder: msgspec.json.Decoder[T], value: msgspec.Raw) -> T | None:
    """Decode a value that is the provider's to judge; None when it is of another shape."""
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        return None


def check_utf8(body: bytes) -> None:
    """Refuse a body that is not UTF-8: the decoder does not look into strings it skips. Raises: Fault BAD_REQUEST.

    In long bodies only the eight-byte words around non-ASCII bytes are decoded. A word after each of them comes
    along, so that a cut sequence meets the ASCII that really follows it.
    """
    try:
        if len(body) <= _SMALL:
            body.decode()
            return
        if body.isascii():
            return
        words = np.frombuffer(body, np.uint64, len(body) >> 3)
        high = (words & _HIGH_BITS) != 0
        near = words[1:].take((high[1:] | high[:-1]).nonzero()[0])
        (body[:8] + near.tobytes() + body[words.size << 3 :]).decode()
    except UnicodeDecodeError:
        raise malformed("not valid UTF-8") from None


def model_name(raw: msgspec.Raw) -> str:
    """Return the value of the `model` field. Raises: Fault BAD_REQUEST unless it is a string that is not empty."""
    try:
        name = _decode_name(raw)
    except msgspec.ValidationError:
        raise bad("model", "expected a string") from None
    if not name:
        raise bad("model", "must not be empty")
    return name


def start(body: bytes, raw: msgspec.Raw) -> int:
    """Return the offset in `body` at which `raw` begins, -1 when `raw` is no view into it."""
    at = _address(raw) - id(body) - _HEADER
    return at if 0 <= at < len(body) else -1


def outside(body: bytes, long: Iterable[tuple[msgspec.Raw, msgspec.Raw]]) -> bytes:
    """Return the text of the body without its long values, each given by its first and last view.

    A value whose views are not in the body is not left out.
    """
    base, size = id(body) + _HEADER, len(body)
    found = []
    for first, last in long:
        begin = _address(first) - base
        end = (begin if last is first else _address(last) - base) + len(last)
        if 0 <= begin < end <= size:
            found.append((begin, end))
    found.sort()
    pieces, at = [], 0
    for begin, end in found:
        if begin >= at:
            pieces.append(body[at:begin])
            at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def shallow(body: bytes, text: bytes) -> bool:
    """Say whether the text outside long values keeps the body within depth.LIMIT; what is in these is not looked at."""
    room = depth.LIMIT - 3  # a long value may begin and end inside a message: body, messages, message
    return len(text) <= 2 * room or depth.openings(text) <= room or not depth.deeper(body, depth.LIMIT)


def model_at(body: bytes, model: msgspec.Raw, text: bytes) -> Span:
    r"""Return where the value of the one top-level `model` key is. Raises: Fault BAD_REQUEST when it is repeated.

    One `"model"` in the text outside long values and no escape that could spell another (`mod\u0065l`) is proof; else
    all top-level keys are read.
    """
    at = start(body, model)
    if at < 0 or text.count(b'"model"') != 1 or b"\\u006" in text:
        return _only(body, "model")
    return at, at + len(model)


def placed(body: bytes, model: msgspec.Raw, long: Iterable[tuple[msgspec.Raw, msgspec.Raw]]) -> Span:
    """Return where the one `model` is, once nothing outside long values nests too deep. Raises: Fault BAD_REQUEST."""
    if depth.flat(body):
        return model_at(body, model, body)
    text = outside(body, long)
    if not shallow(body, text):
        raise too_deep()
    return model_at(body, model, text)


def checked(
    body: bytes,
    model: msgspec.Raw,
    tools: msgspec.Raw,
    prompt: msgspec.Raw,
    said: list[msgspec.Raw],
    room: int,
    long: tuple[msgspec.Raw, msgspec.Raw],
) -> Span:
    """Return where the one `model` is, once nothing in the body nests too deep. Raises: Fault BAD_REQUEST.

    Args:
        prompt: What stands beside the conversation: system, instructions.
        said: The conversation, or all that may nest in it, `room` levels.
        long: First and last of it.
    """
    if tools is not NULL and memoryview(tools)[0] not in b"[n":
        raise bad("tools", "expected array")
    if depth.flat(body):
        return model_at(body, model, body)
    if not (depth.shallow(said, room) and depth.shallow((prompt,), depth.LIMIT - 1) and depth.shallow_again(tools)):
        raise too_deep()
    return placed(body, model, (long, (prompt, prompt), (tools, tools)))


def spans(body: bytes, name: str) -> list[Span]:
    """Return where the values of all top-level members of this name are, by reading every top-level key."""
    values = [value for key, value in read(_members, body).items() if key.name == name]
    return [(at := start(body, value), at + len(value)) for value in values]


def splice(body: bytes, span: Span, value: bytes) -> bytes:
    """Return the body with the bytes of one span replaced."""
    view, (begin, end) = memoryview(body), span
    return b"".join((view[:begin], value, view[end:]))


def without(body: bytes, names: Sequence[str]) -> bytes:
    """Return the body without its top-level members of these names; all other bytes stay.

    >>> without(b'{"a": 1, "b": [2], "c": 3}', ("b", "c"))
    b'{"a": 1}'
    """
    members = [
        (key.name, at, at + len(value))
        for key, value in read(_members, body).items()
        if (at := start(body, value)) >= 0
    ]
    begin = body.index(b"{") + 1
    kept, end = b"", begin
    for name, _, stop in members:
        if name not in names:
            kept += body[end:stop] if kept else body[end:stop].lstrip(b", \t\r\n")
        end = stop
    return body[:begin] + kept + body[end:]


def encode_name(model: str) -> bytes:
    """Return a model name as JSON text."""
    return _encode_name(model)


class _Key:
    """A member's name that equals only itself, so that a dict keeps repeated ones."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def _key(_: type, name: Any) -> _Key:
    return _Key(name)


_members = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=_key)


def _only(body: bytes, name: str) -> Span:
    found = spans(body, name)
    if len(found) != 1:
        raise bad(name, "given more than once")
    return found[0]


def _pointer_offset() -> int | None:
    """Find where a Raw keeps the address of its text, by looking for a known one within the object's own memory."""
    text = b'{"a": 1.5}'
    raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])["a"]
    for at in range(object.__basicsize__, msgspec.Raw.__basicsize__, ctypes.sizeof(ctypes.c_void_p)):
        if ctypes.c_ssize_t.from_address(id(raw) + at).value == id(text) + _HEADER + 6:
            return at
    return None


def _address_by_array(raw: msgspec.Raw) -> int:
    address: int = np.frombuffer(raw, np.uint8).__array_interface__["data"][0]
    return address


_OFFSET = _pointer_offset()


def _address_by_pointer(raw: msgspec.Raw, _word: Any = ctypes.c_ssize_t.from_address, _at: int = _OFFSET or 0) -> int:
    address: int = _word(id(raw) + _at).value
    return address


# numpy tells the address as well, but at ten times the cost of reading the pointer.
_address = _address_by_array if _OFFSET is None else _address_by_pointer


def _place(error: str) -> str:
    place = re.search(r"\(byte \d+\)$", error)
    return f" {place[0]}" if place else ""


def _mistyped(error: str, within: str) -> Fault:
    absent = _MISSING.match(error)
    if absent:
        return missing(absent[1])
    reason, _, place = error.replace("`", "").partition(" - at ")
    problem = _TYPE.sub(lambda found: _TYPES[found[0]], reason[:1].lower() + reason[1:])
    path = (within + place.removeprefix("key in ").removeprefix("$")).removeprefix(".")
    if not path:
        return malformed(problem)
    fault = bad(path, problem)
    fault.param = re.split(r"[.\[]", path)[0]
    return fault
