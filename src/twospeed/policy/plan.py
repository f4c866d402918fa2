"""Plan: a verdict or a pin, and the health of backends, become ordered candidates with deadlines.

Names are resolved once, when the configuration is built (`Catalogue`); a request only looks up and orders.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from pydantic import Field

from twospeed.errors import Fault, Kind
from twospeed.policy.access import Caller
from twospeed.policy.breaker import Health
from twospeed.policy.rank import Ordering, Rank
from twospeed.policy.rank.ordered import Rank as Ordered
from twospeed.types import TIERS, Backend, Candidate, Plan, Request, Settings, Tier, Timeouts
from twospeed.units import PositiveDuration

AUTO = "auto"


class Deadlines(Settings):
    """`tiers.<tier>.timeouts` (R6). None is derived from another; a client may only lower them."""

    connect: PositiveDuration | None = None
    """TCP and TLS to the provider; fast 1s, deep 3s."""
    first_token: PositiveDuration | None = None
    """From connected to the first content of a stream; fast 2s, deep 300s."""
    idle: PositiveDuration | None = None
    """Between bytes of a stream; fast 15s, deep 120s."""
    total: PositiveDuration | None = None
    """The whole request, all attempts together; fast 60s, deep 900s."""


DEFAULT_TIMEOUTS: dict[Tier, Timeouts] = {
    "fast": Timeouts(connect=1.0, first_token=2.0, idle=15.0, total=60.0),
    "deep": Timeouts(connect=3.0, first_token=300.0, idle=120.0, total=900.0),
}


class TierSettings(Settings):
    """`tiers.fast` and `tiers.deep`."""

    models: Annotated[list[str], Field(min_length=1)]
    """Backends in order of preference: provider/model, or an alias from `models`."""
    timeouts: Deadlines = Deadlines()
    """Deadlines of requests in this tier."""
    rank: Annotated[Rank, Field(description="How to order the backends that can serve.")] = Ordered()


class Tiers(Settings):
    """`tiers`: both are needed."""

    fast: TierSettings
    """Low latency: completions, edits, small questions."""
    deep: TierSettings
    """Heavy reasoning: hard tasks, large contexts."""


class Route(msgspec.Struct, frozen=True):
    """What a model name leads to. `tier` None: classify; `backends` empty then and where the tier's own are meant.

    `names`: every name of the thing, for the allow-list of a caller.
    """

    tier: Tier | None
    backends: tuple[Backend, ...] = ()
    names: tuple[str, ...] = ()
    reason: str = ""


class Lane(msgspec.Struct, frozen=True):
    """One tier, resolved."""

    backends: tuple[Backend, ...]
    timeouts: Timeouts
    rank: Ordering
