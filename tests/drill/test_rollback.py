"""A drill from its begin to its verdict, with a server that is made up."""

import pytest

from twospeed.drill import rollback
from twospeed.drill.rollback import Unfinished, figures, hold
from twospeed.drill.rollback_traffic import Traffic, clock
from twospeed.policy import drilling
from twospeed.policy.drilling import Seen

SERVER = "http://s/v1"


class Made(Traffic):
    """Requests that need no network: they meet the candidate until it is taken back, or never."""

    def __init__(self, meets=True, ok=True):
        super().__init__([SERVER], "m", [], "salt", rate=500.0)
        self.arm, self.good = "candidate" if meets else "stable", ok

    async def _ask(self, transport, server, number):
        self.seen.append(Seen(clock(), clock(), server, self.arm, self.good))


class Told:
    """A server that obeys, or whose judge finds the fault."""

    def __init__(self, traffic, obeys=True):
        self.traffic, self.obeys, self.looks = traffic, obeys, 0

    async def abort(self):
        if self.obeys:
            self.traffic.arm = "stable"

    async def phase(self):
        self.looks += 1
        if self.traffic.also and self.looks > 3 and self.obeys:
            self.traffic.arm = "stable"
            return "rolling_back"
        return "baking"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nobody waits for seconds here."""
    for name, seconds in {"MET_WITHIN": 0.2, "FOUND_WITHIN": 0.3, "AFTER": 0.2, "LOOK_EVERY": 0.01}.items():
        monkeypatch.setattr(rollback, name, seconds)
    for room in (rollback, drilling):
        monkeypatch.setattr(room, "WITHIN", 0.1)


@pytest.mark.parametrize("fault", [b"", b"http_500@x"])
async def test_a_server_that_obeys_passes(fault):
    """Told by hand, or found by the judge; the fault is ordered until then only."""
    traffic = Made()
    finding = await hold(traffic, Told(traffic), fault)
    assert finding.passed, finding.reason
    assert traffic.also == ()
    assert figures(finding, {"by": "abort"})["met"] == finding.met


async def test_a_server_that_does_not_obey_fails():
    """Its candidate is still met afterwards."""
    traffic = Made()
    finding = await hold(traffic, Told(traffic, obeys=False))
    assert not finding.passed
    assert "met the candidate later than" in finding.reason


@pytest.mark.parametrize(
    ("traffic", "fault", "why"),
    [
        (Made(meets=False), b"", "the candidate was not met"),
        (Made(meets=False, ok=False), b"", "no request to http://s/v1 was answered well"),
        (Made(), b"http_500@x", "the judge did not find the fault"),
    ],
)
async def test_a_drill_that_cannot_be_held_says_why(traffic, fault, why):
    """And shows nothing."""
    with pytest.raises(Unfinished, match=why):
        await hold(traffic, Told(traffic, obeys=False), fault)
