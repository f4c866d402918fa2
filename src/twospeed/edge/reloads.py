"""Reloads, as one process and the supervisor of many have them in common: read the file, say what came of it, count it."""

import logging
from collections.abc import Callable

from twospeed.config import Config, Loaded
from twospeed.problems import ConfigError

log = logging.getLogger("twospeed")


LIVE = frozenset({"max_in_flight", "fast_share", "max_waiting", "max_wait", "cors", "drain"})  # of `listen`: read anew


class Reloads:
    """Reads the configuration anew. `counts`: by outcome, ok or refused. `waiting`: keys of the configuration in
    force that only a restart brings into force. `keep`: called with what is in force from now on.

    Args:
        load: Reads the file. Raises: ConfigError.
        loaded: What was started with; some of it holds until the next start.
    """

    def __init__(self, load: Callable[[], Loaded], loaded: Loaded) -> None:
        self.counts = {"ok": 0, "refused": 0}
        self.waiting: list[str] = []
        self._load = load
        self._first = loaded.config
        self.keep: Callable[[Loaded], None] | None = None

    def read(self) -> Loaded | str:
        """Return the new configuration, or what is wrong with it; then the one before stays in force."""
        try:
            return self._load()
        except ConfigError as error:
            self.refused(str(error))
            return str(error)

    def refused(self, why: str) -> None:
        """Say that nothing has changed."""
        self.counts["refused"] += 1
        log.error("the configuration was not reloaded, the one before stays in force:\n%s", why)

    def done(self, loaded: Loaded) -> None:
        """Say that a new configuration is in force, and what of it is not."""
        self.counts["ok"] += 1
        log.info("configuration reloaded")
        self.waiting = lasting(self._first, loaded.config)
        if self.waiting:
            log.warning("%s: as before, a change there takes a restart", ", ".join(self.waiting))
        if self.keep is not None:
            self.keep(loaded)


def lasting(before: Config, after: Config) -> list[str]:
    """Name what was changed and only a start reads.

    The admin key is read anew; where the admin listener listens is not.
    """
    names = type(before.listen).model_fields.keys() - LIVE
    changed = {
        **{f"listen.{name}": getattr(before.listen, name) != getattr(after.listen, name) for name in sorted(names)},
        "admin": (before.admin.host, before.admin.port) != (after.admin.host, after.admin.port),
        "stores": before.stores != after.stores,
    }
    return [name for name, is_so in changed.items() if is_so]
