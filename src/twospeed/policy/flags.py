"""Flags: switches an operator turns while the server runs, for everybody or for some, and turns back.

    flags: [{id, set: {model | tier | hedge | resume | shadow}, scope: {...}, share, on}]

Each request is looked up once. Of several flags that fit it and set the same switch, the first counts: those of the admin
API before those of the file. A share is sticky: who meets a flag at 5% meets it at 25%, computed from session and id as for
rollouts. Without flags a request pays one test; language and repository are looked for only when a flag asks for them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from twospeed.policy.rollout import Scope, share_bucket
from twospeed.policy.scope import speaks, within
from twospeed.types import Settings, Switches, Tier
from twospeed.units import Fraction

REMEMBERED = 4_096  # clients whose globs were tried: names come from clients
SWITCHES = ("model", "tier", "hedge", "resume", "shadow")


class Turned(Settings):
    """`flags.<item>.set`: at least one of them."""

    model: str | None = None
    """Requests are served as if they had asked for this name: an alias, a tier or provider/model. Callers who may not use it
    are left alone."""
    tier: Tier | None = None
    """Requests that may go to either tier go to this one."""
    hedge: bool | None = None
    """Whether a slow attempt may be hedged, where the tier hedges at all."""
    resume: bool | None = None
    """Whether a broken stream may be resumed, where the tier resumes at all."""
    shadow: Fraction | None = None
    """Share of requests that are copied to the candidate of a rollout, instead of the shadow gate's fraction."""

    @model_validator(mode="after")
    def _any(self) -> Self:
        if all(getattr(self, name) is None for name in SWITCHES):
            raise ValueError(f"a flag sets something: {', '.join(SWITCHES)}")
        return self


class Reach(Scope):
    """`flags.<item>.scope`: whose requests are meant. A list left out means all."""

    clients: list[Annotated[str, Field(min_length=1)]] = []
    """Globs for the User-Agent, such as claude-cli/* or *vscode*; case does not matter."""


class Flag(Settings):
    """One entry of `flags:`."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    """Name of the flag, in letters, digits and _ . -; it also fixes which sessions come first."""
    set: Turned
    """What it turns."""
    scope: Reach = Reach()
    """Whose requests are meant."""
    share: Fraction = 1.0
    """Share of their sessions; requests of no session meet only flags of 100%."""
    on: bool = True
    """false: the flag is kept and does nothing."""


class Asked:
    """What flags may look at of one request. `language`, `repo`: called when a flag asks for them."""

    __slots__ = ("caller", "client", "language", "repo", "session")

    def __init__(
        self, caller: str, client: str, session: str, language: Callable[[], str], repo: Callable[[], str]
    ) -> None:
        self.caller = caller
        self.client = client
        self.session = session
        self.language = language
        self.repo = repo


class Flags:
    """All flags in force, ready to be looked up. To be replaced whole when one changes."""

    def __init__(self, flags: Sequence[Flag]) -> None:
        self._ready = [_Ready(flag) for flag in flags if flag.on]

    def __bool__(self) -> bool:
        return bool(self._ready)

    def turned(self, asked: Asked) -> Switches | None:
        """Return the switches that are turned for a request, None when none is."""
        fit = [ready for ready in self._ready if ready.fits(asked)]
        if not fit:
            return None
        merged: dict[str, Any] = {}
        for ready in reversed(fit):
            merged.update(ready.turns)
        return Switches(**merged, flags=tuple([ready.id for ready in fit]))


class _Ready:
    """One flag with its lists as sets and its globs compiled."""

    __slots__ = ("_clients", "_known", "_scope", "_share", "id", "turns")

    def __init__(self, flag: Flag) -> None:
        scope = flag.scope
        self.id = flag.id
        self.turns = {name: value for name in SWITCHES if (value := getattr(flag.set, name)) is not None}
        listed: dict[str, Any] = {name: frozenset(getattr(scope, name)) for name in Scope.model_fields}
        self._scope = Scope.model_construct(**listed)  # sets, since keys may be many
        self._clients: list[re.Pattern[str]] = [re.compile(translate(glob.lower())) for glob in scope.clients]
        self._known: dict[str, bool] = {}
        self._share = flag.share

    def fits(self, asked: Asked) -> bool:
        scope = self._scope
        if not within(scope, asked.caller, asked.repo() if scope.repos else ""):
            return False
        if self._clients and not self._is_client(asked.client):
            return False
        if self._share < 1.0 and not (asked.session and share_bucket(f"flag:{self.id}", asked.session) < self._share):
            return False
        return speaks(scope, asked.language() if scope.languages else "")

    def _is_client(self, client: str) -> bool:
        known = self._known.get(client)
        if known is None:
            known = any(glob.match(client.lower()) for glob in self._clients)
            if len(self._known) < REMEMBERED:
                self._known[client] = known
        return known


def worded(flags: Sequence[Flag]) -> dict[str, str]:
    """Return the JSON of each flag that is on, by its id."""
    return {flag.id: flag.model_dump_json(exclude_none=True) for flag in flags if flag.on}


def combined(file: Sequence[Flag], set_by_hand: Mapping[str, Flag]) -> list[Flag]:
    """Return the flags in force: those set by hand first, and those of the file that none of them replaces."""
    return [*set_by_hand.values(), *(flag for flag in file if flag.id not in set_by_hand)]
