"""Keep-alives while a model thinks."""

from collections.abc import Callable

from tests.fakes import Reply
from twospeed.heartbeat import EVERY, Heartbeat

SIGN = b": keep-alive\n\n"


class Timers:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now, self.due = 0.0, []

    def later(self, delay: float, call: Callable[[], None]):
        timers, entry = self, [self.now + delay, call]
        self.due.append(entry)

        class Handle:
            def cancel(self) -> None:
                if entry in timers.due:
                    timers.due.remove(entry)

        return Handle()

    def advance(self, seconds: float) -> None:
        self.now += seconds
        while ready := [entry for entry in self.due if entry[0] <= self.now]:
            self.due.remove(ready[0])
            ready[0][1]()


def beating(after: float = 30.0) -> tuple[Heartbeat, Reply, Timers]:
    timers, reply = Timers(), Reply()
    return Heartbeat(reply, lambda: [(b"x-request-id", b"r")], SIGN, after, timers.later), reply, timers


def test_a_patient_model_is_not_disturbed():
    """Before the time is up nothing goes out, and a fallback can still choose the status."""
    _, reply, timers = beating()
    timers.advance(29.0)
    assert not reply.started


def test_the_head_goes_out_early_with_a_sign_of_life():
    """Status 200, an event stream, no backend named; then a sign every ten seconds."""
    _, reply, timers = beating()
    timers.advance(30.0)
    assert reply.status == 200
    assert reply.headers == {b"content-type": b"text/event-stream; charset=utf-8", b"x-request-id": b"r"}
    timers.advance(EVERY)
    assert reply.body == SIGN * 2


def test_nothing_after_it_was_stopped():
    """Once content comes there are no more."""
    heartbeat, reply, timers = beating()
    timers.advance(30.0)
    heartbeat.stop()
    timers.advance(100.0)
    assert reply.body == SIGN


def test_nobody_there_nothing_said():
    """A client that left gets nothing, and the timer ends."""
    _, reply, timers = beating()
    reply.gone = True
    timers.advance(30.0)
    assert not reply.started
    assert timers.due == []
