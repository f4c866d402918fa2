"""Limits: what one admission asks and answers.

Contract only; the maths follows in this file.
"""

from typing import Protocol

import msgspec

from twospeed.types import Settings
from twospeed.units import PositiveCount


class Limit(Settings):
    """`providers.<name>.limits.<family>`: what may reach a provider. Absent: not limited."""

    rpm: PositiveCount | None = None
    """Requests in any 60 s."""
    tpm: PositiveCount | None = None
    """Tokens, in and out together, in any 60 s."""
    itpm: PositiveCount | None = None
    """Input tokens in any 60 s, where the provider meters them apart."""
    otpm: PositiveCount | None = None
    """Output tokens in any 60 s, where the provider meters them apart."""
    concurrency: PositiveCount | None = None
    """Requests under way at once."""


class Ask(msgspec.Struct, frozen=True):
    """One request asking to be admitted to `pool` (`provider/family`): estimated tokens in and out."""

    pool: str
    limit: Limit
    input_tokens: int
    output_tokens: int


class Permit(msgspec.Struct):
    """An admission to be settled exactly once. `id` is unique; `at` is the instant on the store's clock.

    `settled` guards against a second settlement; only the store writes it.
    """

    id: str
    ask: Ask
    at: float
    settled: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """Not now. `dimension`: rpm, tpm, itpm, otpm or concurrency; `retry_after`: seconds until it may fit."""

    dimension: str
    retry_after: float


class Limits(Protocol):
    """Where admissions are kept: in process, shared by the workers of one host, or in Redis."""

    async def take(self, ask: Ask) -> Permit | Refusal:
        """Admit in one atomic step: all dimensions of the pool or none."""

    def settle(self, permit: Permit, input_tokens: int, output_tokens: int) -> None:
        """Replace the estimate by what was used and end the concurrency slot. Never waits; a second call is ignored."""

    def refund(self, permit: Permit) -> None:
        """Give everything back: the provider refused the request or was never reached. Never waits."""
