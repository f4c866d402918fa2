"""Tool calls one after the other, whole before the next begins: what some APIs interleave and others cannot say at all.

A call that begins while another is unfinished waits; the first one's JSON being complete shows that it is finished.
"""

import msgspec

from twospeed.dialects.translation.hub import CallBegin, CallEnd, CallMore, Event


class Sequencer:
    """Orders the events of one answer."""

    __slots__ = ("_open", "_said", "_waiting")

    def __init__(self) -> None:
        self._open: int | None = None
        self._said: list[str] = []
        self._waiting: dict[int, tuple[CallBegin, list[str]]] = {}

    def take(self, event: Event) -> list[Event]:
        """Return what can be said now."""
        if isinstance(event, CallMore):
            return self._more(event)
        if isinstance(event, CallBegin):
            return self._begin(event)
        return [*self.flush(), event]

    def flush(self) -> list[Event]:
        """End the call under way and say those that waited."""
        found = self._end()
        for begin, said in self._waiting.values():
            found += [begin, *(CallMore(begin.at, text) for text in said), CallEnd(begin.at)]
        self._waiting = {}
        return found

    def _begin(self, event: CallBegin) -> list[Event]:
        if self._open is not None and (self._waiting or not _complete("".join(self._said))):
            self._waiting[event.at] = (event, [])
            return []
        found = self._end()
        self._open, self._said = event.at, []
        return [*found, event]

    def _more(self, event: CallMore) -> list[Event]:
        if event.at == self._open:
            self._said.append(event.text)
            return [event]
        if event.at in self._waiting:
            self._waiting[event.at][1].append(event.text)
        return []

    def _end(self) -> list[Event]:
        if self._open is None:
            return []
        found: list[Event] = [CallEnd(self._open)]
        self._open, self._said = None, []
        return found


def _complete(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
