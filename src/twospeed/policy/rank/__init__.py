"""Ranks: orderings of the backends of one tier, one file each, found by listing this folder.

Dropping a file with a `Rank` class in makes `rank: {kind: <name>}` valid configuration with no other edit.
"""

import pkgutil
from collections.abc import Callable, Sequence
from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field

from twospeed.policy.breaker import Health

Load = Callable[[str], int]
"""Requests under way at a backend, by its name."""


def unloaded(backend: str) -> int:
    """Say that nothing is under way, for those who do not count."""
    return 0


class Ordering(Protocol):
    """What every rank file brings: settings with a `kind`, and one ordering."""

    kind: Any

    def order(self, backends: Sequence[str], health: Health, session: str, load: Load) -> list[str]:
        """Return the names, best first. `session` is "" when unknown."""


NAMES = sorted(module.name for module in pkgutil.iter_modules(__path__))
if TYPE_CHECKING:
    Rank = Ordering
else:
    _RANKS = [import_module(f"{__name__}.{name}").Rank for name in NAMES]
    Rank = Annotated[reduce(or_, _RANKS), Field(discriminator="kind")]
