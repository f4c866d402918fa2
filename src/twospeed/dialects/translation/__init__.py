"""Translation: a request of one dialect put to a provider that speaks another, and its answer brought back.

    read (client's body) -> Ask -> write (provider's body)      hear (provider's answer) -> events -> say (client's answer)

Loaded with the first request that needs it. Same dialect on both sides never comes here. What cannot be carried over
is noted in `dropped` and otherwise left out; what would change the meaning of the request is refused.
"""

from twospeed.dialects import Dialect
from twospeed.dialects.quirks import Quirks
from twospeed.dialects.translation.bridge import Translation
from twospeed.types import Request


def translate(
    dialect: Dialect, request: Request, spoken: frozenset[str], provider: str, quirks: Quirks, seed: str, wall: float
) -> Translation:
    """Return how a request is put to a provider that speaks only these dialects. Raises: Fault BAD_REQUEST."""
    target = next(name for name in dialect.served_by if name in spoken)
    return Translation(dialect, request, target, provider, quirks, seed, wall)
