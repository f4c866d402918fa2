"""One request on its way through the hub: reads for one side, writes for the other, and keeps the answer's facts true."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from twospeed.dialects import Answer, Dialect, Reader, sse
from twospeed.dialects.anthropic_messages import DIALECT as MESSAGES
from twospeed.dialects.openai_chat import DIALECT as CHAT
from twospeed.dialects.openai_responses import DIALECT as RESPONSES
from twospeed.dialects.openai_stream import StreamReader
from twospeed.dialects.quirks import Quirks
from twospeed.dialects.translation import (
    chat_hear,
    chat_read,
    chat_write,
    messages_hear,
    messages_read,
    messages_write,
    responses_hear,
    responses_read,
    responses_write,
)
from twospeed.dialects.translation.chat_say import ChatSpeaker
from twospeed.dialects.translation.hub import Ask, Begin, CallBegin, Drop, End, Event, Finish, Head
from twospeed.dialects.translation.messages_say import MessagesSpeaker
from twospeed.dialects.translation.responses_say import ResponsesSpeaker
from twospeed.dialects.translation.sequencer import Sequencer
from twospeed.errors import Fault, Kind
from twospeed.types import Request, Usage

_PREFIX = re.compile(r"^(?:chatcmpl-|resp_|msg_|req_|gen-|cmpl-)|[^A-Za-z0-9_-]")
_LONGEST_ID = 64  # characters


class Hearer(Protocol):
    """Listens to a provider's answer. `stop`: the stop sequence that ended it."""

    stop: str | None

    def hear(self, text: bytes) -> Iterator[Event]:
        """Read the data of one event of a stream."""

    def whole(self, body: bytes) -> Iterator[Event]:
        """Read an unstreamed answer."""


class Speaker(Protocol):
    """Says an answer to the client."""

    def begin(self, head: Head) -> bytes:
        """Begin it."""

    def say(self, event: Event) -> bytes:
        """Say one event."""

    def end(self, end: End) -> bytes:
        """End the stream."""

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say that the stream broke."""

    def whole(self, end: End) -> bytes:
        """Say in one body all that was said."""


class Near(NamedTuple):
    """The client's side of a dialect."""

    read: Callable[[bytes], Ask]
    speaker: Callable[[Ask, str, bool], Speaker]


class Far(NamedTuple):
    """The provider's side of a dialect."""

    dialect: Dialect
    write: Callable[[Ask, str, str, Quirks, bool], bytes]
    hearer: Callable[[], Hearer]
    finish: dict[str, Finish]


NEAR = {
    CHAT.name: Near(chat_read.read, ChatSpeaker),
    RESPONSES.name: Near(responses_read.read, ResponsesSpeaker),
    MESSAGES.name: Near(messages_read.read, MessagesSpeaker),
}
FAR = {
    CHAT.name: Far(CHAT, chat_write.write, chat_hear.ChatHearer, chat_hear.FINISH),
    RESPONSES.name: Far(RESPONSES, responses_write.write, responses_hear.ResponsesHearer, responses_hear.FINISH),
    MESSAGES.name: Far(MESSAGES, messages_write.write, messages_hear.MessagesHearer, messages_hear.FINISH),
}


class Translation:
    """How one request is put to a provider of another dialect; see `dialects.Spoken`. `dropped` grows as it goes.

    Args:
        target: Name of the provider's dialect.
        provider: Whose signed reasoning may go back to it.
        seed: What answers are named after when the provider names none.
        wall: When the request came, seconds since the epoch.

    Raises: Fault BAD_REQUEST for what cannot be said in another dialect.
    """

    def __init__(
        self, dialect: Dialect, request: Request, target: str, provider: str, quirks: Quirks, seed: str, wall: float
    ) -> None:
        self._near, self._far = NEAR[dialect.name], FAR[target]
        self._ask = self._near.read(request.body)
        self._provider, self._quirks, self._seed, self._wall = provider, quirks, seed, wall
        self._model = request.model
        self.upstream_path = self._far.dialect.upstream_path
        self.dropped = self._ask.dropped

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body for the provider."""
        self._model = model
        return self._far.write(self._ask, model, self._provider, self._quirks, account)

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader that hears the provider and says what the client understands."""
        return TranslatedReader(self._native(request), self._answering(request.wants_usage))

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer and say it anew. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        usage, finish, _ = self._far.dialect.answer(body)
        answering = self._answering(usage=True)
        try:
            for event in answering.hearer.whole(body):
                answering.take(event)
        except (AttributeError, KeyError, TypeError):
            raise _unreadable() from None
        return Answer(usage, finish, answering.whole(finish, usage))

    def _native(self, request: Request) -> Reader:
        return StreamReader(keep_usage=True) if self._far.dialect is CHAT else self._far.dialect.reader(request)

    def _answering(self, usage: bool) -> "Answering":
        speaker = self._near.speaker(self._ask, self._provider, usage)
        return Answering(self._ask, self._far, speaker, self._seed, self._model, int(self._wall))


class Answering:
    """One answer, heard and said."""

    def __init__(self, ask: Ask, far: Far, speaker: Speaker, seed: str, model: str, created: int) -> None:
        self.hearer = far.hearer()
        self.speaker = speaker
        self._ask, self._finish = ask, far.finish
        self._seed, self._model, self._created = seed, model, created
        self._sequencer = Sequencer()
        self._head: Head | None = None
        self._calls = 0

    def take(self, event: Event) -> bytes:
        """Say one event."""
        if isinstance(event, Begin):
            return self._begin(event) if self._head is None else b""
        begun = b"" if self._head else self._begin(Begin(""))
        if isinstance(event, Drop):
            self._ask.drop(event.what)
            return begun
        if isinstance(event, CallBegin):
            self._calls += 1
            event = event if event.id else event._replace(id=f"call_{self._name()}_{event.at}")
        return begun + b"".join(map(self.speaker.say, self._sequencer.take(event)))

    def end(self, finish: str, usage: Usage | None) -> bytes:
        """End the stream."""
        return self._flush() + self.speaker.end(self._ending(finish, usage))

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say that the stream broke."""
        begun = b"" if self._head else self._begin(Begin(""))
        return begun + self.speaker.interrupt(fault, request_id)

    def whole(self, finish: str, usage: Usage | None) -> bytes:
        """Say all of it in one body."""
        self._flush()
        return self.speaker.whole(self._ending(finish, usage))

    def _flush(self) -> bytes:
        begun = b"" if self._head else self._begin(Begin(""))
        return begun + b"".join(map(self.speaker.say, self._sequencer.flush()))

    def _ending(self, finish: str, usage: Usage | None) -> End:
        ended = self._finish.get(finish, "stop")
        return End("tool_calls" if self._calls and ended == "stop" else ended, usage, self.hearer.stop)

    def _begin(self, event: Begin) -> bytes:
        identity = _PREFIX.sub("", event.id)[:_LONGEST_ID]
        self._head = Head(identity or _PREFIX.sub("", self._seed), event.model or self._model, self._created)
        return self.speaker.begin(self._head)

    def _name(self) -> str:
        return self._head.id if self._head else self._seed


class TranslatedReader:
    """Reads a stream of the provider with its own dialect's reader and says it anew; see `dialects.Reader`."""

    __slots__ = ("_answering", "_good", "_native")

    def __init__(self, native: Reader, answering: Answering) -> None:
        self._native = native
        self._answering = answering
        self._good = b""

    @property
    def committed(self) -> bool:
        """A first content event has been read."""
        return self._native.committed

    @property
    def ended(self) -> bool:
        """The provider finished properly."""
        return self._native.ended

    @property
    def usage(self) -> Usage | None:
        """Usage as far as read."""
        return self._native.usage

    @property
    def finish(self) -> str:
        """Why it ended, in the provider's word."""
        return self._native.finish

    @property
    def output_events(self) -> int:
        """Content events of the provider."""
        return self._native.output_events

    @property
    def output_bytes(self) -> int:
        """Bytes of the provider."""
        return self._native.output_bytes

    @property
    def good(self) -> bytes:
        """What was said of the feed that raised, before what was wrong."""
        return self._good

    def feed(self, data: bytes) -> bytes:
        """Take the provider's bytes, return the client's. Raises: Fault, as the provider's dialect does."""
        if self._native.ended:
            return b""
        try:
            return self._said(self._native.feed(data))
        except Fault:
            self._good = self._heard(self._native.good)
            raise

    def end(self) -> bytes:
        """Return what is still owed to the client at the end of the body. Raises: Fault TRUNCATED."""
        if self._native.ended:
            return b""
        try:
            return self._said(self._native.end())
        except Fault:
            self._good = self._heard(self._native.good)
            raise

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends this stream."""
        return self._answering.interrupt(fault, request_id)

    def _said(self, block: bytes) -> bytes:
        said = self._heard(block)
        native = self._native
        return said + self._answering.end(native.finish, native.usage) if native.ended else said

    def _heard(self, block: bytes) -> bytes:
        said: list[bytes] = []
        try:
            for event in sse.events(block):
                text = event.data.strip() if event.data else b""
                if text and text != b"[DONE]":
                    said += map(self._answering.take, self._answering.hearer.hear(text))
        except (AttributeError, KeyError, TypeError):
            raise _unreadable() from None
        return b"".join(said)


def _unreadable() -> Fault:
    """Return the fault of an answer that is JSON of the right API and still of another shape."""
    message = "The provider's answer could not be read."
    return Fault(Kind.BAD_ANSWER, message, detail="translation: an answer of a wrong shape")
