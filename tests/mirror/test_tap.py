"""Somebody listens to a reply, and the client cannot tell."""

from dataclasses import dataclass, field

from tests.fakes import Clock

from twospeed.mirror.tap import Kept, Tap


@dataclass
class Client:
    """A reply that notes what it was told, and takes its time."""

    clock: Clock
    slow: float = 0.0
    started: bool = False
    status: int = 0
    gone: bool = False
    done: bool = False
    heard: list[object] = field(default_factory=list)

    def send(self, status, headers, body):
        self.heard.append((status, headers, body))

    def start(self, status, headers):
        self.started, self.status = True, status

    def put(self, data):
        self.heard.append(data)
        return not self.slow

    async def drained(self):
        self.clock.now += self.slow

    def finish(self, data=b""):
        self.done = True
        self.heard.append(data)

    def beat(self, data):
        self.heard.append(data)

    def abort(self):
        self.gone = True


async def test_the_client_gets_everything_as_it_is():
    """Head, pieces, keep-alives and the end pass untouched; the listener hears the pieces alone."""
    clock = Clock()
    client, kept = Client(clock, slow=0.5), Kept(100)
    tap = Tap(client, kept, clock)
    assert not tap.started
    tap.start(200, [])
    tap.beat(b": hi")
    for piece in (b"one", b"two", b""):
        assert not tap.put(piece)
        if piece:
            await tap.drained()
    tap.finish(b"end")
    assert client.heard == [b": hi", b"one", b"two", b"", b"end"]
    assert kept.parts == [b"one", b"two", b"end"]
    assert kept.streamed
    assert (tap.started, tap.status, tap.done, tap.gone) == (True, 200, True, False)
    assert tap.waited == 1.0
    assert tap.ended_at == clock.now
    tap.abort()
    assert tap.gone


def test_an_answer_in_one_piece_is_heard_when_it_is_good():
    """A refusal is no answer of the model."""
    clock = Clock()
    kept = Kept(100)
    tap = Tap(Client(clock), kept, clock)
    tap.send(502, [], b"sorry")
    assert kept.parts == []
    tap.send(200, [], b"fine")
    assert kept.parts == [b"fine"]
    assert not kept.streamed
    assert tap.ended_at == clock.now


def test_what_is_kept_is_bounded():
    """Beyond the bound nothing more is kept, and it is said so."""
    kept = Kept(5)
    kept.feed(b"abc")
    kept.feed(b"defg")
    kept.feed(b"h")
    assert kept.parts == [b"abc"]
    assert kept.over
    kept.clear()
    assert kept.parts == []
