"""What the connections of one listener have in common."""

import asyncio

from tests.edge.engine import Stage, refusal

from twospeed.dialects import Refusal
from twospeed.edge.http import Head
from twospeed.edge.shared import Shared
from twospeed.errors import Fault, Kind
from twospeed.policy.listen import Listen


class Frank(Stage):
    """An app that says itself when to come back."""

    def refuse(self, head: Head | None, fault: Fault) -> Refusal:
        return refusal(fault)._replace(headers=((b"retry-after", b"7"),))


async def test_a_connection_too_many_is_told_when_to_come_back():
    """The answer carries Retry-After, the app's own or one second, and is rendered once."""
    app = Stage()
    shared = Shared(app, Listen(), asyncio.get_running_loop())
    assert shared.crowded().status == 503
    assert (b"retry-after", b"1") in shared.crowded().headers
    assert [fault.kind for fault in app.faults] == [Kind.OVERLOADED]
    frank = Shared(Frank(), Listen(), asyncio.get_running_loop())
    assert frank.crowded().headers == ((b"retry-after", b"7"),)
