"""What every shelf promises; the tests of each inherit this and bring the fixture `shelf`, opened."""

from twospeed.policy.held import moved, opened
from twospeed.policy.rollout import Phase, Rollout, Signal

TARGET = {"alias": "coder", "stable": "sim/old", "candidate": "sim/new"}
ROLLOUT = Rollout(id="r", target=TARGET)


def story(*signals):
    """The moves of one rollout, the first of which names it."""
    moves = [opened(ROLLOUT, 0.0)]
    for at, signal in enumerate(signals, 1):
        moves.append(moved(moves[-1].held, signal, "ann", "because", float(at)))
    return moves


class Shelves:
    """Promises."""

    async def test_what_was_put_is_read(self, shelf):
        """The latest move says how a rollout stands."""
        for move in story(Signal.START, Signal.READY):
            assert await shelf.put(move)
        held = await shelf.read()
        assert {name: (one.version, one.state.phase) for name, one in held.items()} == {"r": (3, Phase.BAKING)}

    async def test_of_two_moves_from_one_place_one_counts(self, shelf):
        """Who comes second is told so and changes nothing."""
        first, second = story(Signal.START), story(Signal.ABORT)
        for move in first:
            assert await shelf.put(move)
        assert not await shelf.put(second[-1])
        assert (await shelf.read())["r"].state.phase is Phase.PREFLIGHT

    async def test_moves_are_followed_in_order(self, shelf):
        """From the first that is kept, each once."""
        moves = story(Signal.START, Signal.READY)
        await shelf.put(moves[0])
        await shelf.read()
        assert [move.held.version for move in await shelf.follow()] == [1]
        for move in moves[1:]:
            await shelf.put(move)
        assert await shelf.follow() == moves[1:]
        assert await shelf.follow() == []

    async def test_a_move_wakes(self, shelf, woken):
        """Nobody waits for the next look."""
        await shelf.put(story()[0])
        await woken.wait()

    async def test_what_was_seen_reaches_the_leader(self, shelf):
        """In order, each once."""
        await shelf.report([b"a", b"b"])
        place, seen, lost = await shelf.collect("")
        assert (seen, lost) == ([b"a", b"b"], 0)
        await shelf.report([b"c"])
        assert (await shelf.collect(place))[1] == [b"c"]

    async def test_the_judge_keeps_its_memory(self, shelf):
        """Its memory and what it says, each by itself."""
        token = await shelf.lead()
        await shelf.keep("r", b"memory", b"", token)
        await shelf.keep("r", b"", b"progress", token)
        assert (await shelf.kept("r"), await shelf.kept("other")) == (b"memory", b"")
        assert dict(await shelf.progress()) == {"r": b"progress"}

    async def test_what_is_served_is_known(self, shelf):
        """Each host says by which version it serves."""
        await shelf.serve({"r": 4})
        assert list(await shelf.served()) == [{"r": 4}]

    async def test_one_leads(self, shelf):
        """Who has the lease keeps it."""
        token = await shelf.lead()
        assert token > 0
        assert await shelf.lead() == token
