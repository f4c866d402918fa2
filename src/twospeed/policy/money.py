"""What a request cost, in US dollars: tokens by the dated prices of the backends that were tried.

A price that nobody wrote is unknown, and so is the sum that needs it; it is never 0. What reached a provider and was
cut off or failed half way counts too, by what is known or estimated of it.
"""

from collections.abc import Sequence

from twospeed.types import Attempt, Price, Usage

PER = 1_000_000  # tokens of a price


def cost(usage: Usage, price: Price) -> float:
    """Return what one answer cost.

    >>> round(cost(Usage(100_000, 1_000, cached_tokens=90_000), Price(3.0, 15.0, 0.3, 3.75)), 6)
    0.072
    """
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    fresh = max(0, usage.input_tokens - cached - written)
    read = fresh * price.input + cached * price.cached_input + written * price.cache_write
    return (read + usage.output_tokens * price.output) / PER


def bill(attempts: Sequence[Attempt]) -> float | None:
    """Return what all attempts of a request cost, None when that is unknown or nothing was used."""
    total: float | None = None
    for attempt in attempts:
        usage = attempt.usage
        if usage is None:
            continue
        price = attempt.backend.price
        if price is None:
            return None
        total = (total or 0.0) + cost(usage, price)
    return total


def lost(tokens: int, price: Price) -> float:
    """Return what it costs beyond a cached read to have so many tokens read anew, and written to the cache where that
    is charged.

    >>> round(lost(60_000, Price(3.0, 15.0, 0.3, 3.75, caches=True)), 4)
    0.207
    """
    return tokens * max(0.0, max(price.input, price.cache_write) - price.cached_input) / PER
