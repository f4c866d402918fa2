"""The audit ledger's arithmetic: what an entry says, how each is chained to the one before, and where a chain is broken.

    hash(n) = SHA-256 of hash(n - 1) and the JSON of entry n; entry 1 is chained to ORIGIN

Whoever changes, removes or slips in an entry breaks the chain there; whoever removes the last ones leaves fewer entries
than numbers were given (the store knows how many). Only somebody who writes the whole file anew goes unnoticed, unless
a hash was noted elsewhere: every line of the feed carries its own.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

ORIGIN = "0" * 64
_JSON = msgspec.json.Encoder(order="sorted")


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened.

    `key`: the same for the same thing, so that it is entered once however many tell of it; "" for no such name.
    `at`: seconds since the epoch. `kind`: rollout, flag, drill or session; `subject`: its id. `event`: what happened to it, in the
    words of its state machine; `before`, `after`: states. `step`: of a rollout from 0, -1 for none; `share`: of sessions
    that meet the candidate afterwards, in 0..1; `attempt`: from 1, 0 for none. `actor`: who, `judge` for the program
    itself. `evidence`: SHA-256 of the figures it rests on, "" for none.
    """

    at: float
    kind: str
    subject: str
    event: str
    before: str = ""
    after: str = ""
    step: int = -1
    share: float = 0.0
    attempt: int = 0
    actor: str = ""
    reason: str = ""
    evidence: str = ""
    key: str = ""


class Line(NamedTuple):
    """An entry in its place. `number`: from 1, without gaps. `hash`: of this line, in lower-case hex."""

    number: int
    entry: Entry
    hash: str


class Break(NamedTuple):
    """Where a chain is broken first, and how."""

    number: int
    reason: str


class Audit(Protocol):
    """Where entries go. `enter` returns at once and never raises: serving does not depend on the ledger."""

    def enter(self, entry: Entry, evidence: Any = None) -> None:
        """Take one entry; `evidence`: JSON-able figures it rests on, kept beside it. Its `evidence` field is filled in."""


def flags_of_file(before: Mapping[str, str], after: Mapping[str, str], at: float, version: str = "") -> list[Entry]:
    """Return what a new config file changes in its flags.

    Args:
        before, after: JSON of each flag by its id; those that are off are left out.
        version: Of the file, where a server has just started: a restart with the same file is nothing new.
    """
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [
        Entry(
            at,
            "flag",
            name,
            "set" if name in after else "removed",
            before.get(name, ""),
            after.get(name, ""),
            actor="config",
            reason="named in the config file" if name in after else "no longer in the config file",
            key=f"flags:file:{version}:{name}" if version else "",
        )
        for name in names
    ]


def chained(previous: str, number: int, entry: Entry) -> str:
    """Return the hash of a line.

    >>> chained(ORIGIN, 1, Entry(0.0, "flag", "f", "set")) == chained(ORIGIN, 2, Entry(0.0, "flag", "f", "set"))
    False
    """
    return hashlib.sha256(previous.encode() + _JSON.encode([number, entry])).hexdigest()


def proof(evidence: Any) -> tuple[str, bytes]:
    """Return the hash of some figures and their canonical JSON; ("", b"") for None."""
    if evidence is None:
        return "", b""
    body = _JSON.encode(evidence)
    return hashlib.sha256(body).hexdigest(), body


def broken(lines: Iterable[Line], given: int) -> Break | None:
    """Find the first break of a chain, None when it is whole.

    Args:
        lines: All of them, in order.
        given: How many numbers were ever given.
    """
    previous, expected = ORIGIN, 1
    for line in lines:
        if line.number != expected:
            return Break(expected, f"line {expected} is missing: the next is {line.number}")
        if line.hash != chained(previous, line.number, line.entry):
            return Break(
                line.number, f"line {line.number} is not what was written, or not what followed the line before"
            )
        previous, expected = line.hash, expected + 1
    if expected <= given:
        return Break(expected, f"the end is missing: {given} lines were written, {expected - 1} are there")
    return None
