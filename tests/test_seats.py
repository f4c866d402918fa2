"""Seats in one process."""

import asyncio

import pytest

from tests.fakes import Clock
from twospeed.errors import Fault, Kind
from twospeed.policy.overload import caps
from twospeed.seats import Seats


def seats(total: int = 2, share: float = 0.5, line: int = 2, wait: float = 10.0) -> tuple[Seats, Clock]:
    """A small house whose clock stands still."""
    clock = Clock()
    return Seats(caps(total, None, None, share, line, wait), clock), clock


async def busy(house: Seats, clock: Clock, tier: str = "fast", gap: float = 0.01) -> None:
    """Let a few requests come and go, so that the pace is known, then fill the tier."""
    for _ in range(3):
        house.give(await house.take(tier, 1e9))
        clock.now += gap


async def test_a_full_house_says_so_at_once():
    """503 with a time to come back, nothing waited for, nothing held."""
    house, _ = seats(share=0.5)
    await house.take("deep", 1e9)
    with pytest.raises(Fault) as told:
        await house.take("deep", 1e9)
    assert told.value.kind is Kind.OVERLOADED
    assert told.value.retry_after
    assert house.refused == {"deep": 1}
    assert house.lanes["deep"].under_way == 1
    await house.take("fast", 1e9)  # its share is there


async def test_whoever_leaves_makes_room_in_the_order_of_coming():
    """Seats go to those who wait, first come first served; a newcomer does not overtake."""
    house, clock = seats(total=1)
    await busy(house, clock)
    seat = await house.take("fast", 1e9)
    order: list[int] = []

    async def wait(number: int) -> None:
        mine = await house.take("fast", 1e9)
        order.append(number)
        house.give(mine)

    tasks = [asyncio.create_task(wait(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    assert house.lanes["fast"].waiting == 2
    house.give(seat)
    tasks.append(asyncio.create_task(wait(3)))  # comes while the seat is held for the first in line
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert order == [1, 2, 3]
    assert house.lanes["fast"].under_way == house.lanes["fast"].waiting == 0


async def test_fast_goes_before_deep():
    """Of those who wait, fast requests are called first."""
    house, clock = seats(total=1, share=0.0)
    await busy(house, clock, "deep")
    await busy(house, clock, "fast")
    seat = await house.take("fast", 1e9)
    order: list[str] = []

    async def wait(tier: str) -> None:
        mine = await house.take(tier, 1e9)
        order.append(tier)
        house.give(mine)

    tasks = [asyncio.create_task(wait(tier)) for tier in ("deep", "fast")]
    await asyncio.sleep(0)
    house.give(seat)
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert order == ["fast", "deep"]


async def test_a_wait_that_was_in_vain_ends():
    """Nobody stands in line for longer than allowed; the place in line is free again."""
    house, clock = seats(total=1, wait=0.02)
    await busy(house, clock)
    await house.take("fast", 1e9)
    async with asyncio.timeout(10):
        with pytest.raises(Fault) as told:
            await house.take("fast", 1e9)
    assert told.value.kind is Kind.OVERLOADED
    assert house.lanes["fast"].waiting == 0


async def test_a_client_that_leaves_the_line_takes_nothing_along():
    """Neither the place in line nor a seat that was just called out is lost."""
    house, clock = seats(total=1)
    await busy(house, clock)
    seat = await house.take("fast", 1e9)
    first, second = (asyncio.create_task(house.take("fast", 1e9)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert house.lanes["fast"].waiting == 1
    house.give(seat)
    second.cancel()  # in the moment it is called
    await asyncio.gather(first, second, return_exceptions=True)
    assert house.lanes["fast"].under_way == 0
    assert house.full is False


async def test_how_full_a_tier_is():
    """The fuller of the tier's own cap and the whole house counts."""
    house, _ = seats(total=10, share=0.5)
    await house.take("deep", 1e9)
    assert (house.use("deep"), house.use("fast")) == (0.2, 0.1)
    await house.take("fast", 1e9)
    assert (house.use("deep"), house.use("fast")) == (0.2, 0.2)
