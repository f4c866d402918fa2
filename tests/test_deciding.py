"""What is decided of a request before anybody is asked: as the record and the headers say it."""

from tests.serving import serving


async def test_the_record_says_tier_and_reason():
    """A model's name pins the tier, and that is the reason."""
    async with serving() as server:
        await server.chat(model="lone")
        record = server.records[0]
        assert record.tier in ("fast", "deep")
        assert record.reasons[0].startswith("pinned:")


async def test_a_decision_is_explained_where_it_is_asked_for():
    """Sentences come with the header only; otherwise nobody pays for them."""
    async with serving() as server:
        told = await server.chat(headers={"x-twospeed-explain": "1"})
        assert told.headers["x-twospeed-explain"]
        silent = await server.chat()
        assert "x-twospeed-explain" not in silent.headers


async def test_nowhere_to_go_is_said_before_anybody_is_asked():
    """A model that nobody serves ends the decision, with no attempt on record."""
    async with serving() as server:
        answer = await server.chat(model="nope")
        assert answer.status == 404
        assert server.records[0].attempts == []
