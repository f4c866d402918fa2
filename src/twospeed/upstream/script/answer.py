"""An answer as a plan: what goes over the wire, when, and how it ends, faults included.

Instants are seconds after the request arrived. The player (in process or socket) owns the clock.
"""

from collections.abc import Iterable, Iterator
from enum import Enum, auto
from math import ceil, exp
from random import Random

import msgspec

from twospeed.upstream.script import Ask, Event, Origin, Part, Script, Voice
from twospeed.upstream.script.settings import FaultKind, FaultRule

Headers = tuple[tuple[bytes, bytes], ...]
Timed = tuple[float, bytes]
NEVER = float("inf")
NOISE_FROM = 0.0005  # seconds; noise on smaller gaps is below what timers can show
HTML = b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n"
BROKEN_EVENT = b'data: {"id":"broken","choices":[{"index":0,"delta":{"cont\n\n'
HEADLESS = (FaultKind.REFUSE, FaultKind.HANG)
STATUS_OF = {kind: int(kind.value[5:]) for kind in FaultKind if kind.value.startswith("http_")}


class Ending(Enum):
    """What comes after the last byte: the proper end, or one of the ways a connection goes wrong."""

    WHOLE = auto()
    CLOSED = auto()  # connection closed before the end of the body
    RESET = auto()
    SILENT = auto()  # nothing more ever comes
    GARBLED = auto()  # invalid chunk framing
    REFUSED = auto()  # never connected


ENDINGS = {
    FaultKind.REFUSE: Ending.REFUSED,
    FaultKind.HANG: Ending.SILENT,
    FaultKind.STALL: Ending.SILENT,
    FaultKind.RESET: Ending.RESET,
    FaultKind.TRUNCATE: Ending.CLOSED,
    FaultKind.BAD_CHUNK: Ending.GARBLED,
}


class Answer(msgspec.Struct):
    """One answer. `status` 0: no head is ever sent. `length`: bytes of the whole body, None for a stream.

    `body` is read once; each item is an instant and the bytes due then, instants never go back.
    """

    status: int
    headers: Headers = ()
    head_at: float = 0.0
    body: Iterator[Timed] = iter(())
    length: int | None = None
    ending: Ending = Ending.WHOLE


class Pace(msgspec.Struct):
    """How fast one answer is said: seconds to the first token and per token, sigma of the noise on each gap."""

    first: float
    gap: float
    jitter: float
    chance: Random

    def over(self, events: Iterable[Event]) -> Iterator[tuple[float, Event]]:
        """Give each event its instant: events without tokens come at once with what is before them."""
        at, begun = 0.0, False
        even = not self.jitter or self.gap < NOISE_FROM
        for event in events:
            if event.tokens:
                gap = self.gap if even else self._noisy()
                at += gap * event.tokens if begun else self.whole(event.tokens)
                begun = True
            yield at, event

    def _noisy(self) -> float:
        return self.gap * exp(self.chance.gauss(0.0, self.jitter) - self.jitter**2 / 2)

    def whole(self, tokens: int) -> float:
        """Return the instant at which the first so many tokens are there."""
        return self.first + self.gap * max(0, tokens - 1)


def streamed(
    voice: Voice, ask: Ask, script: Script, origin: Origin, pace: Pace, batch: int, rule: FaultRule | None
) -> Answer:
    """Return a stream, cut or spoilt as the rule says."""
    events = voice.stream(ask, script, origin, batch)
    timed = pace.over(events)
    body = _spoilt(timed, voice, rule) if rule else ((at, event.data) for at, event in timed)
    return Answer(200, _headers(b"text/event-stream; charset=utf-8", origin), body=body, ending=_ending(rule))


def plain(voice: Voice, ask: Ask, script: Script, origin: Origin, pace: Pace, rule: FaultRule | None) -> Answer:
    """Return an unstreamed answer, cut in the middle or spoilt as the rule says."""
    data = voice.whole(ask, script, origin)
    kind = rule.kind if rule else None
    if kind is FaultKind.ERROR_EVENT:
        data = voice.error(500, "simulated error under status 200")
    if kind in (FaultKind.MALFORMED, FaultKind.UNFINISHED):
        data = data[: len(data) // 2]
    at = pace.whole(script.output_tokens)
    answer = _bodied(200, data, b"application/json", at, origin)
    answer.ending = _ending(rule)
    if answer.ending is not Ending.WHOLE:
        answer.body = iter([(at, data[: len(data) // 2])])
    return answer


def instead(voice: Voice, origin: Origin, rule: FaultRule, stream: bool) -> Answer | None:
    """Return the answer of a fault that needs no script at all, None for all other faults."""
    if rule.kind in HEADLESS or (rule.kind is FaultKind.RESET and not rule.after_events):
        return Answer(0, head_at=rule.delay, ending=_ending(rule))
    if rule.kind is FaultKind.EMPTY:
        kind = b"text/event-stream; charset=utf-8" if stream else b"application/json"
        return Answer(200, _headers(kind, origin), head_at=rule.delay, length=None if stream else 0)
    if rule.kind is FaultKind.WRONG_TYPE:
        return _bodied(200, HTML, b"text/html", rule.delay, origin)
    if rule.kind is FaultKind.HTML:
        return _bodied(rule.status or 502, HTML, b"text/html", rule.delay, origin)
    status = rule.status or 500 if rule.kind is FaultKind.HTTP else STATUS_OF.get(rule.kind, 0)
    return failure(voice, origin, status, f"simulated error {status}", rule) if status else None


def failure(voice: Voice, origin: Origin, status: int, message: str, rule: FaultRule | None = None) -> Answer:
    """Return an error answer in the voice's shape."""
    answer = _bodied(status, voice.error(status, message), b"application/json", rule.delay if rule else 0.0, origin)
    wait = rule.retry_after if rule else None
    if wait is None and status == 429:
        wait = 1.0
    if wait is not None:
        later = (b"retry-after", b"%d" % ceil(wait)), (b"retry-after-ms", b"%d" % ceil(wait * 1000))
        answer.headers += later
    return answer


def document(data: bytes, origin: Origin) -> Answer:
    """Return a JSON document at once."""
    return _bodied(200, data, b"application/json", 0.0, origin)


def _bodied(status: int, data: bytes, kind: bytes, at: float, origin: Origin) -> Answer:
    headers = (*_headers(kind, origin), (b"content-length", b"%d" % len(data)))
    return Answer(status, headers, head_at=at, body=iter([(at, data)]), length=len(data))


def _headers(kind: bytes, origin: Origin) -> Headers:
    return (b"content-type", kind), (b"x-request-id", b"req_" + origin.id.encode())


def _ending(rule: FaultRule | None) -> Ending:
    return ENDINGS.get(rule.kind, Ending.WHOLE) if rule else Ending.WHOLE


def _spoilt(timed: Iterator[tuple[float, Event]], voice: Voice, rule: FaultRule) -> Iterator[Timed]:
    """Yield what comes through: a stream is always cut before its finish, so that no fault looks like success."""
    if rule.kind is FaultKind.SLOW:
        yield from ((at, event.data) for at, event in timed)
    elif rule.kind is FaultKind.NO_DONE:
        yield from ((at, event.data) for at, event in timed if event.part is not Part.DONE)
    else:
        yield from _cut(timed, voice, rule)


def _cut(timed: Iterator[tuple[float, Event]], voice: Voice, rule: FaultRule) -> Iterator[Timed]:
    at = 0.0
    last: list[bytes] = []
    for count, (at, event) in enumerate(timed):
        if count >= rule.after_events or event.part in (Part.FINISH, Part.DONE):
            last = [event.data]
            break
        yield at, event.data
    if rule.kind is FaultKind.ERROR_EVENT:
        yield at, voice.error_event("simulated error in the stream")
    elif rule.kind is FaultKind.MALFORMED:
        yield at, BROKEN_EVENT
        yield from ((at, data) for data in last)
        yield from ((at, event.data) for at, event in timed)
