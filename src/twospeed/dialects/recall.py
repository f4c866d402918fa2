"""Conversations come whole with each turn, and grow at their end: what was read of one before is not read again.

A body that begins with the same bytes as an earlier one, up to the end of some message, is read without the messages up
to there: from the first content on they make room for a stub, what is left is read like any body, and the messages of
before take their place again. So do long values beside them, such as the offered tools, that are the same bytes.

This is exact. What is left out is whole JSON values that were read and checked before; what is left is read and checked
anew; and where the stubs are found in it says that they stand where those values stood. Whatever goes wrong, the body is
read whole, and what is refused is refused in the usual words. Only equality of bytes decides, and what is held is bounded.
Whose body it was makes no difference: nothing shows in what is read of one but what stands in it.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from twospeed.dialects.body import Span, start
from twospeed.errors import Fault
from twospeed.types import NULL

LONG = 16_384  # bytes from which on a body is worth being remembered: a shorter one is read in no more time
_WORTH = 4_096  # bytes that must be saved
_VALUE_BYTES = 512  # of a value that is worth being looked for
_HELD = 1 << 23  # bytes of all that is held
_MESSAGE = 512  # bytes that a message takes besides its text
_BESIDE = 64  # bytes of JSON around the content of a message; what they are decoded to is within `_MESSAGE`
_STEP, _SAMPLE = 4_096, 64  # a body is filed under a sample of it, taken at the last step within its messages
_TRIED = 8  # messages whose end is looked for
_TURNS, _VALUE = b"0}", b"[]"  # stubs: for messages from the first content on, for a value of its own
# Plain members behind the last text of a message, and the end of it.
_REST = re.compile(rb'(?:\s*+,\s*+"[^"\\]*+"\s*+:\s*+(?:"[^"\\]*+"|[-+.\w]++))*+\s*+\}')


class Said(Protocol):
    """A message, a struct whose texts are views into the body."""

    content: msgspec.Raw


V = TypeVar("V")
M = TypeVar("M", bound=Said)
Cut = tuple[int, int, bytes, str]  # a stretch of a body that is known, its stub, and the field it is, "" for messages
Read = tuple[V, list[M], str, Span]  # a dialect's view, its messages (empty where there is a text), model and its place


class Told(NamedTuple, Generic[M]):
    """A body that was read.

    `begin`: where its first content begins, `end`: where the last of the messages ends. `values`: long values of its view
    by field, and where they begin: from the start of the body, or from its end where that is behind the messages.
    `weight`: bytes that are held with it, about.
    """

    body: bytes
    begin: int
    end: int
    messages: Sequence[M]
    values: Mapping[str, tuple[int, msgspec.Raw]]
    weight: int

    def cuts(self, body: bytes, end: int) -> list[Cut]:
        """Return what is known of a body that begins like this one up to `end`, in order."""
        cuts = [(self.begin, end, _TURNS, "")]
        for field, (place, value) in self.values.items():
            at = place if place >= 0 else len(body) + place
            if place >= 0 or (at >= end and body.startswith(value, at)):
                cuts.append((at, at + len(value), _VALUE, field))
        cuts.sort()
        return cuts

    def shared(self, body: bytes) -> tuple[int, int]:
        """Return how many of the messages another body begins with, and where the last of them ends; 0 for none."""
        held = memoryview(self.body)
        if body.startswith(held[: self.end]):
            return len(self.messages), self.end
        low, high, same = 0, len(self.messages) - 1, 0
        while low < high:
            middle = (low + high + 1) // 2
            at = _end(self.body, self.messages[middle - 1])
            if at > same and body.startswith(held[same:at], same):
                low, same = middle, at
            else:
                high = middle - 1
        return low, same


class Recall(Generic[V, M]):
    """Reads the bodies of one dialect.

    `parse` reads one in full and raises Fault BAD_REQUEST. `fields`: of its view, with values that are often long.
    `bare`: makes of a message one that holds texts only, for a dialect whose messages hold more.
    """

    def __init__(
        self,
        parse: Callable[[bytes], Read[V, M]],
        fields: Sequence[str] = (),
        held: int = _HELD,
        bare: Callable[[M], M] | None = None,
    ) -> None:
        self._parse = parse
        self._fields = fields
        self._bare = bare
        self._held = held
        self._room = held
        self._told: dict[bytes, Told[M]] = {}

    def read(self, body: bytes) -> Read[V, M]:
        """Read a body. Raises: Fault BAD_REQUEST."""
        if len(body) < LONG:
            return self._parse(body)
        return self._again(body) or self._anew(body)

    def _again(self, body: bytes) -> Read[V, M] | None:
        """Read a body that is known in good part; None for any other, and for one that is wrong."""
        key = self._filed(body)
        told = self._told.get(key)
        if told is None:
            return None
        count, end = told.shared(body)
        if not count:
            return None
        if 4 * (len(body) - end - len(told.body) + told.end) > end:
            if end == told.end:
                self._forget(key)  # what is held instead begins the same way
            return None
        self._told[key] = self._told.pop(key)  # the youngest again
        return self._without(body, told, count, end)

    def _without(self, body: bytes, told: Told[M], count: int, end: int) -> Read[V, M] | None:
        cuts = told.cuts(body, end)
        text = _shortened(body, cuts)
        try:
            view, messages, model, (at, until) = self._parse(text)
        except Fault:  # said by who reads it whole
            return None
        first = messages[0].content if messages else NULL
        gone = moved = 0
        for begin, stop, stub, field in cuts:
            left = begin - gone
            if start(text, getattr(view, field) if field else first) != left:
                return None
            gone += stop - begin - len(stub)
            if at > left:
                moved = gone
            if field:
                setattr(view, field, told.values[field][1])
        return view, [*told.messages[:count], *messages[1:]], model, (at + moved, until + moved)

    def _anew(self, body: bytes) -> Read[V, M]:
        read = self._parse(body)
        told = _told(body, read[0], read[1], self._fields, self._bare)
        if told is not None:
            at = _step(told.end)
            self._keep(body[at : at + _SAMPLE], told)
        return read

    def _filed(self, body: bytes) -> bytes:
        """Return the last sample of the body that something is filed under, b"" for none."""
        for at in range(_step(len(body)), -1, -_STEP):
            if (key := body[at : at + _SAMPLE]) in self._told:
                return key
        return b""

    def _keep(self, key: bytes, told: Told[M]) -> None:
        """Hold a body, unless it alone would crowd out the others; of those the oldest go."""
        if key in self._told:
            self._forget(key)
        if told.weight > self._held // 4:
            return
        self._told[key] = told
        self._room -= told.weight
        while self._room < 0:
            self._forget(next(iter(self._told)))

    def _forget(self, key: bytes) -> None:
        self._room += self._told.pop(key).weight


def _told(
    body: bytes, view: object, messages: Sequence[M], fields: Sequence[str], bare: Callable[[M], M] | None
) -> Told[M] | None:
    """Return what is worth being held of a body, None for nothing."""
    begin = start(body, messages[0].content) if messages else -1
    count, end = _last(body, messages)
    if not 0 <= begin < end:
        return None
    values, saved = {}, end - begin
    for field in fields:
        value = getattr(view, field)
        at = start(body, value)
        if at >= 0 and len(value) >= _VALUE_BYTES:
            values[field] = (at if at < begin else at - len(body), value)
            saved += len(value)
    if saved < _WORTH:
        return None
    beside = end - sum([len(value) for at, value in values.values() if at >= 0])
    kept, weight = _weighed(messages[:count], beside, bare)
    return Told(body, begin, end, kept, values, len(body) + weight)


def _weighed(messages: Sequence[M], beside: int, bare: Callable[[M], M] | None) -> tuple[Sequence[M], int]:
    """Return messages as they are held, and the bytes that they take besides the body, about.

    Decoded objects take many times the bytes of their JSON, and a text with one emoji four times: where there may be long
    ones, the former are not held and the latter are counted. `beside`: bytes of the body that hold the messages, at most.
    """
    weight = _MESSAGE * len(messages)
    if beside - sum([len(message.content) for message in messages]) <= _BESIDE * len(messages):
        return messages, weight
    kept = [bare(message) for message in messages] if bare else messages
    return kept, weight + sum([_texts(message) for message in kept])


def _texts(message: Any) -> int:
    return sum([sys.getsizeof(value) for value in msgspec.structs.astuple(message) if type(value) is str])


def _last(body: bytes, messages: Sequence[M]) -> tuple[int, int]:
    """Return up to which of the last few messages the end is seen, and where that is; -1 for none."""
    for count in range(len(messages), max(0, len(messages) - _TRIED), -1):
        if (end := _end(body, messages[count - 1])) >= 0:
            return count, end
    return 0, -1


def _shortened(body: bytes, cuts: Sequence[Cut]) -> bytes:
    parts: list[bytes] = []
    at = 0
    for begin, end, stub, _ in cuts:
        parts += body[at:begin], stub
        at = end
    parts.append(body[at:])
    return b"".join(parts)


def _step(end: int) -> int:
    return max(0, end - _SAMPLE) // _STEP * _STEP


def _end(body: bytes, message: Any) -> int:
    """Return where a message of this body ends, -1 where that is not seen at once."""
    texts = [value for value in msgspec.structs.astuple(message) if type(value) is msgspec.Raw]
    last = max([at + len(text) for text in texts if (at := start(body, text)) >= 0], default=len(body))
    rest = _REST.match(body, last)
    return rest.end() if rest else -1
