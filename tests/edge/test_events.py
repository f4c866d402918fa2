"""The event feed over a real connection."""

import asyncio
import json

from tests.edge.controlled import controlled

from twospeed.edge import events
from twospeed.policy.rollout import Phase


async def heard(served, path="/admin/events", count=1, **headers):
    """The first events of a feed: (id, data)."""
    found, number = [], 0
    async with served.http.get(f"{served.url}{path}", headers=headers) as feed:
        assert feed.headers["content-type"].startswith("text/event-stream")
        assert feed.headers["x-content-type-options"] == "nosniff"
        async for line in feed.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                found.append((number, json.loads(value)))
                if len(found) == count:
                    return found
    return found


async def test_a_client_hears_of_what_happens(tmp_path):
    """From the moment it comes, with whose key it was."""
    async with controlled(tmp_path) as served:
        await served.do("start", "monday")
        while served.rollouts.held["deep"].state.phase is not Phase.BAKING:
            await asyncio.sleep(0.01)
        assert await served.ledger.written()
        listening = asyncio.create_task(heard(served, count=1))
        await asyncio.sleep(0.3)
        await served.do("pause", "lunch")
        [(_, event)] = await listening
        assert (event["subject"], event["event"], event["after"]) == ("deep", "pause", "paused")
        assert (event["actor"], event["reason"]) == ("ann", "lunch")


async def test_a_client_that_comes_back_misses_nothing(tmp_path):
    """It says which event was its last."""
    async with controlled(tmp_path) as served:
        await served.do("start")
        await served.do("pause")
        assert await served.ledger.written()
        everything = await heard(served, count=4, **{"last-event-id": "0"})
        assert [number for number, _ in everything] == [1, 2, 3, 4]
        assert await heard(served, count=2, **{"last-event-id": "2"}) == everything[2:]


async def test_a_ledger_made_anew_is_told_from_its_beginning(tmp_path):
    """Numbers begin anew with the file; whoever waits for higher ones would wait for long."""
    async with controlled(tmp_path) as served:
        listening = asyncio.create_task(heard(served, count=2, **{"last-event-id": "99"}))
        await served.do("start")
        async with asyncio.timeout(10):
            assert [number for number, _ in await listening] == [1, 2]


async def test_a_feed_of_one_rollout_has_no_other(tmp_path):
    """The path says which."""
    async with controlled(tmp_path) as served:
        listening = asyncio.create_task(heard(served, "/admin/rollouts/other/events"))
        await served.do("start")
        done, _ = await asyncio.wait([listening], timeout=0.5)
        assert not done
        listening.cancel()


async def test_a_quiet_line_says_that_it_lives(tmp_path, monkeypatch):
    """A comment now and then keeps what is in between from hanging up."""
    monkeypatch.setattr(events, "HEARTBEAT", 0.01)
    monkeypatch.setattr(events.Events.__init__, "__defaults__", (0.01,))
    async with controlled(tmp_path) as served, served.http.get(f"{served.url}/admin/events") as feed:
        while await feed.content.readline() != b": alive\n":
            pass


async def test_no_more_clients_than_there_is_room_for(tmp_path, monkeypatch):
    """The next one is told so; when one leaves there is room again."""
    monkeypatch.setattr(events, "MOST", 1)
    async with controlled(tmp_path) as served:
        async with served.http.get(f"{served.url}/admin/events") as feed:
            assert feed.status == 200
            assert (await served.ask("/admin/events"))[0] == 503
        while True:
            async with served.http.get(f"{served.url}/admin/events") as feed:
                if feed.status == 200:
                    break


async def test_closing_does_not_wait_for_listeners(tmp_path):
    """A server that stops lets them go."""
    async with controlled(tmp_path) as served:
        feed = await served.http.get(f"{served.url}/admin/events")
    feed.close()
