"""No answer can be longer than what is read of one."""

import pytest
from tests.fakes import Transport, plain

from twospeed.errors import Fault, Kind
from twospeed.mirror.bounded import BoundedTransport


async def test_an_answer_within_the_bound_is_as_it_was():
    """Status, headers and bytes come through; closing closes what is inside."""
    inner = plain(b"abc", b"de", headers=[(b"a", b"b")], reused=True)
    exchange = await BoundedTransport(Transport(inner), 5).connect(0.0)
    await exchange.send("/x", [], b"body", 0.0)
    assert inner.sent == [("/x", {}, b"body")]
    assert [await exchange.read(0.0) for _ in range(3)] == [b"abc", b"de", b""]
    assert (exchange.status, exchange.headers, exchange.reused, exchange.answered) == (200, [(b"a", b"b")], True, True)
    exchange.close()
    assert inner.closed


async def test_a_longer_answer_ends_in_a_fault():
    """The bytes beyond are not handed on."""
    exchange = await BoundedTransport(Transport(plain(b"abc", b"def")), 5).connect(0.0)
    assert await exchange.read(0.0) == b"abc"
    with pytest.raises(Fault) as found:
        await exchange.read(0.0)
    assert found.value.kind is Kind.ANSWER_TOO_LARGE
