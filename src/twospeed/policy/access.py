"""Caller keys: who may call, and which models they may use (R32). Not the admin key."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, SecretStr

from twospeed.policy.limit import UNLIMITED, Limit
from twospeed.types import Settings

ANYONE = "anonymous"  # the caller's name where no keys are configured


class Key(Settings):
    """One entry of `keys:`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
    """Shown in the record, logs and metrics instead of the key: letters, digits and _ . @ - only, 64 at most."""
    key: SecretStr
    """env:NAME, file:PATH, or sha256:HEX (the digest of the key, so that the file holds no secret)."""
    models: list[str] = ["*"]
    """Names and globs this caller may ask for and be routed to: model names, aliases, tiers, provider/model."""
    limits: Limit = UNLIMITED
    """What this key may use, on all replicas together; beyond it 429 with the time until it fits again."""


class Caller:
    """Who sent a request. `digest` is the SHA-256 of the key, 32 bytes.

    `limit`: what the key may use, None for no limit; `pool`: the name it is counted under, which no provider can have.
    """

    __slots__ = ("_allowed", "_globs", "digest", "limit", "name", "pool")

    def __init__(self, name: str, digest: bytes, models: Sequence[str], limit: Limit = UNLIMITED) -> None:
        self.name = name
        self.limit = None if limit == UNLIMITED else limit
        self.pool = f"@keys/{name}"
        self.digest = digest
        self._globs = tuple(models)
        self._allowed: dict[str, bool] = {}

    def may_use(self, *names: str) -> bool:
        """Say whether any of these names for one thing is allowed.

        >>> Caller("ann", b"", ["gpt-*", "fast"]).may_use("gpt-5", "openai/gpt-5")
        True
        """
        return any(self._may_use(name) for name in names)

    def _may_use(self, name: str) -> bool:
        known = self._allowed.get(name)
        if known is None:
            known = any(fnmatchcase(name, glob) for glob in self._globs)
            if len(self._allowed) < 4_096:  # names come from clients: bounded
                self._allowed[name] = known
        return known


class Callers:
    """All callers, looked up by digest so that no comparison runs over the key itself."""

    def __init__(self, callers: Sequence[Caller]) -> None:
        self._by_digest: Mapping[bytes, Caller] = {caller.digest: caller for caller in callers}
        self.open = not callers
        self._anyone = Caller(ANYONE, b"", ["*"])

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Return the caller of a request, None when keys are configured and none of those sent is right.

        `Authorization: Bearer` and `x-api-key` are both read, in that order; Continue's FIM sends both.
        """
        if self.open:
            return self._anyone
        for secret in _secrets(headers):
            digest = hashlib.sha256(secret).digest()
            caller = self._by_digest.get(digest)
            if caller is not None and hmac.compare_digest(caller.digest, digest):
                return caller
        return None


def _secrets(headers: Mapping[bytes, bytes]) -> list[bytes]:
    found = []
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == b"bearer ":
        found.append(authorization[7:].strip())
    api_key = headers.get(b"x-api-key")
    if api_key:
        found.append(api_key.strip())
    return found


def digest(secret: str) -> bytes:
    """Return the digest of a resolved key; `sha256:HEX` is taken as the digest itself.

    >>> digest("sha256:" + "00" * 32) == bytes(32)
    True
    """
    if secret.startswith("sha256:"):
        return bytes.fromhex(secret.removeprefix("sha256:"))
    return hashlib.sha256(secret.encode()).digest()
