"""Trouble: is the stable version itself in a bad way? Then nothing is to be learned, and nobody is rolled back.

Stable calls of a block are compared with the quiet blocks of the hour before. Trouble that lasts longer than LASTING is
taken for the new normal.
"""

from typing import Any

import msgspec
import numpy as np

MEMORY = 3600.0  # seconds of quiet blocks that count as usual
LASTING = 7200.0  # seconds after which trouble is the new normal
FEWEST = 4  # quiet blocks without which nothing is called unusual
SLOWER = 0.8  # log units above the usual level: 2.2 times as slow
FAILED = "stable requests failed"
ERRORS, TIMES, ABOVE = 4, 4.0, 0.04  # at least so many, and a rate of so many times the usual plus so much


class Quiet(msgspec.Struct, frozen=True, gc=False):
    """What one quiet block showed of the stable version. `level`: of log latency, None when not measured."""

    at: float
    calls: float
    errors: float
    level: float | None


class Trouble:
    """Watches the stable version. `since`: when the present trouble began, None when there is none."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.kind = ""
        self._quiet: list[Quiet] = []

    def sees(self, block: Quiet) -> bool:
        """Take one block and say whether the stable version is in trouble."""
        recent = [quiet for quiet in self._quiet if block.at - quiet.at <= MEMORY]
        self._quiet = recent if len(recent) >= FEWEST else self._quiet[-FEWEST:]
        self.kind = self._unusual(block) if len(self._quiet) >= FEWEST else ""
        if self.kind and self.since is not None and block.at - self.since > LASTING:
            self._quiet, self.kind = [], ""
        if not self.kind:
            self.since = None
            self._quiet.append(block)
            return False
        self.since = block.at if self.since is None else self.since
        return True

    def inherit(self, before: "Trouble") -> None:
        """Know from the step before what is usual, so that trouble shows from the first block on."""
        self._quiet = [*before._quiet, *self._quiet]

    @property
    def failing(self) -> bool:
        """Say whether the trouble is that requests fail, not only that they are slow."""
        return self.kind.endswith(FAILED)

    def _unusual(self, block: Quiet) -> str:
        calls, errors = sum(quiet.calls for quiet in self._quiet), sum(quiet.errors for quiet in self._quiet)
        usual = errors / calls if calls else 0.0
        if block.errors >= ERRORS and block.errors > (TIMES * usual + ABOVE) * block.calls:
            return f"{block.errors:.0f} of {block.calls:.0f} {FAILED}"
        levels = [quiet.level for quiet in self._quiet if quiet.level is not None]
        if block.level is not None and len(levels) >= FEWEST:
            above = block.level - float(np.median(levels))
            if above > SLOWER:
                return f"stable latency is {np.exp(above):.1f} times the usual"
        return ""

    def to_plain(self) -> dict[str, Any]:
        """Return everything as lists and numbers."""
        return {
            "since": self.since,
            "kind": self.kind,
            "quiet": [list(msgspec.structs.astuple(q)) for q in self._quiet],
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Trouble":
        """Build from what `to_plain` returned."""
        trouble = cls()
        trouble.since, trouble.kind = plain["since"], plain["kind"]
        trouble._quiet = [Quiet(*fields) for fields in plain["quiet"]]
        return trouble
