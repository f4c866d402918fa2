"""Streams whose events carry `choices`: how chat and completions answers are read on their way through (R1, R11-R13).

After the commit point what holds nothing but pieces of content passes by the block: by its bytes where they are those
of the pieces before, else by one decode call and one comparison. Everything else is read event by event. Bytes are forwarded
as they came, except for the usage event that the client did not ask for.
"""

from typing import Generic, TypeVar

import msgspec

from twospeed.dialects import sse
from twospeed.dialects.mould import Mould
from twospeed.dialects.openai_answer import EMPTY, UNREADABLE, Tokens, tokens
from twospeed.dialects.openai_errors import interrupt, provider_error
from twospeed.errors import Fault, Kind
from twospeed.types import NULL, Usage

_OBJECTS = (b'"chat.completion', b'"text_completion')


class Extra(msgspec.Struct, gc=False):
    """`x_groq`: usage outside its usual place."""

    usage: Tokens | None = None


class Delta(msgspec.Struct, gc=False):
    """The parts of a delta that are content when they are not empty (R1)."""

    content: msgspec.Raw = NULL
    tool_calls: msgspec.Raw = NULL
    reasoning_content: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL
    reasoning_details: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    function_call: msgspec.Raw = NULL
    audio: msgspec.Raw = NULL

    def says(self) -> bool:
        """Say whether there is any content."""
        return any(value is not NULL and bytes(value) not in EMPTY for value in msgspec.structs.astuple(self))


class Opening(msgspec.Struct, gc=False):
    """A choice as read before the commit point. `text`: where completions keep their delta."""

    finish_reason: str | None = None
    delta: Delta | None = None
    text: msgspec.Raw = NULL

    def says(self) -> bool:
        """Say whether there is any content."""
        return bytes(self.text) not in EMPTY or (self.delta is not None and self.delta.says())


class Choice(msgspec.Struct, gc=False):
    """A choice as read after the commit point: what it says no longer matters."""

    finish_reason: str | None = None


C = TypeVar("C")


class Chunk(msgspec.Struct, Generic[C], gc=False):
    """One event. `error` is NULL where there is none."""

    choices: list[C] | None = None
    usage: Tokens | None = None
    error: msgspec.Raw = NULL
    x_groq: Extra | None = None

    def tokens(self) -> Tokens | None:
        """Return the usage from wherever it is."""
        return self.usage or (self.x_groq.usage if self.x_groq else None)


class Members(msgspec.Struct, gc=False):
    """One event as read when it is not usual; NULL where a member is absent."""

    choices: msgspec.Raw = NULL
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    x_groq: msgspec.Raw = NULL
    object: msgspec.Raw = NULL


_decode = msgspec.json.Decoder(Chunk[Choice])
_decode_members = msgspec.json.Decoder(Members).decode
_decode_openings = msgspec.json.Decoder(list[Opening] | None).decode
_decode_choices = msgspec.json.Decoder(list[Choice] | None).decode
_decode_extra = msgspec.json.Decoder(Extra | None).decode

_USUAL = Chunk(choices=[Choice()])  # one more piece of text, and nothing else to know


class StreamReader:
    """Reads one streamed answer; see `dialects.Reader`. `keep_usage`: the client asked for the usage event itself."""

    __slots__ = (
        "_blocks",
        "_good",
        "_keep_usage",
        "_mould",
        "committed",
        "ended",
        "finish",
        "output_bytes",
        "output_events",
        "usage",
    )

    def __init__(self, keep_usage: bool) -> None:
        self._blocks = sse.Blocks()
        self._good = b""
        self._keep_usage = keep_usage
        self._mould = Mould()
        self.committed = False
        self.ended = False
        self.usage: Usage | None = None
        self.finish = ""
        self.output_events = 0
        self.output_bytes = 0

    @property
    def good(self) -> bytes:
        """Whole events of the feed that raised, before what was wrong."""
        return self._good

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return whole events. Raises: Fault ERROR_EVENT, BAD_ANSWER, ANSWER_TOO_LARGE."""
        if self.ended:
            return b""  # R12: nothing follows the end
        block = self._blocks.feed(data)
        return self._read(block) if block else block

    def end(self) -> bytes:
        """Return what is still owed to the client at the end of the body. Raises: Fault TRUNCATED."""
        rest = b"" if self.ended else self._read(self._blocks.close())
        if self.ended:
            return rest
        if not self.finish:
            self._good = rest
            raise Fault(Kind.TRUNCATED, "The provider's answer ended before it was complete.")
        self.ended = True
        return rest + sse.DONE

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as an error event; see `dialects.Reader`."""
        return interrupt(fault)

    def _read(self, block: bytes) -> bytes:
        if not self.committed or len(block) > sse.LIMIT:
            return self._one_by_one(block, 0)
        count, end = self._mould.pieces(block, _usual)
        self.output_events += count
        self.output_bytes += end
        return block if end == len(block) else self._one_by_one(block, end)

    def _one_by_one(self, block: bytes, start: int) -> bytes:
        """Read what follows `start` exactly, up to the first content; what follows that is more of it."""
        kept, opening = [block[:start]], not self.committed
        try:
            for event in sse.events(block[start:], first=self.output_bytes == 0):
                start += len(event.raw)
                if not self._dropped(event):
                    self.output_bytes += len(event.raw)
                    kept.append(event.raw)
                if self.ended:
                    break
                if opening and self.committed:
                    kept.append(self._read(block[start:]))
                    break
        except Fault:
            self._good = b"".join(kept) + self._good
            raise
        return b"".join(kept)

    def _dropped(self, event: sse.Event) -> bool:
        text = event.data.strip() if event.data else b""
        if not text:
            return False
        if text == b"[DONE]":
            self.ended = True
            return False
        return self._unasked(_chunk(event, text, self.committed))

    def _unasked(self, chunk: Chunk[Opening] | Chunk[Choice]) -> bool:
        """Note what a chunk says and return whether it is only the usage that we asked for, not the client."""
        for choice in chunk.choices or ():
            self.finish = choice.finish_reason or self.finish
            if not self.committed and isinstance(choice, Opening):
                self.committed = choice.says()
        if chunk.choices and self.committed and not chunk.choices[0].finish_reason:
            self.output_events += 1
        tokens = chunk.tokens()
        if tokens is not None:
            self.usage = tokens.usage()
        return not chunk.choices and chunk.usage is not None and not self._keep_usage


def _usual(block: bytes) -> int:
    """Return how many events a block of nothing but pieces of content holds, 0 for any other block."""
    plain = sse.plain(block)
    if plain is None:
        return 0
    lines, total = plain
    try:
        chunks = _decode.decode_lines(lines)
    except UNREADABLE:
        return 0
    return total if len(chunks) == total and chunks.count(_USUAL) == total else 0


def _chunk(event: sse.Event, text: bytes, committed: bool) -> Chunk[Opening] | Chunk[Choice]:
    """Read one event exactly. Raises: Fault ERROR_EVENT, BAD_ANSWER."""
    if event.name == b"error":
        named = _members(text)
        raise provider_error(msgspec.Raw(text) if named is None or named.error is NULL else named.error)
    members = _members(text)
    if members is None:
        raise _foreign("not a JSON object")
    if bytes(members.error) not in EMPTY:
        raise provider_error(members.error)
    kind = bytes(members.object)
    if kind == b'"error"':
        raise provider_error(msgspec.Raw(text))
    known = (members.choices, members.usage, members.error, members.x_groq)
    if all(value is NULL for value in known) and not kind.startswith(_OBJECTS):
        raise _foreign("no key of this API")
    try:
        if committed:
            return Chunk(_decode_choices(members.choices), _usage(members))
        return Chunk(_decode_openings(members.choices), _usage(members))
    except UNREADABLE:
        raise _foreign("choices of a wrong shape") from None


def _usage(members: Members) -> Tokens | None:
    try:
        extra = _decode_extra(members.x_groq)
    except UNREADABLE:
        extra = None
    return tokens(members.usage) or (extra.usage if extra else None)


def _members(text: bytes) -> Members | None:
    try:
        return _decode_members(text)
    except UNREADABLE:
        return None


def _foreign(why: str) -> Fault:
    message = "The provider's answer could not be read."
    return Fault(Kind.BAD_ANSWER, message, detail=f"stream event: {why}")
