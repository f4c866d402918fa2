"""The admin listener before it is there: its socket listens at once, and answers when aiohttp has been loaded.

Task: the loading, awaited by `close`.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from twospeed.edge.heap import settle
from twospeed.edge.sockets import listening
from twospeed.policy.listen import Admin as Settings

if TYPE_CHECKING:
    from twospeed.edge.admin import Admin, Desk

Address = tuple[str, int]
log = logging.getLogger("twospeed")


class LateAdmin:
    """The admin listener of one desk.

    Args:
        keys: Gives the SHA-256 digests of the admin keys in force, by name.
    """

    def __init__(self, desk: "Desk", keys: Callable[[], Mapping[str, bytes]]) -> None:
        self._desk = desk
        self._keys = keys
        self._loading: asyncio.Task[Admin] | None = None

    def open(self, settings: Settings) -> Address:
        """Listen and return the address. Raises: OSError."""
        sock = listening(settings.host, settings.port)
        self._loading = asyncio.create_task(self._serve(sock))
        host, port = sock.getsockname()[:2]
        return host, port

    def open_if_free(self, settings: Settings) -> Address | None:
        """Do so; nobody asked for the usual port, so that one may be taken."""
        try:
            return self.open(settings)
        except OSError as error:
            if "port" in settings.model_fields_set:
                raise
            log.warning("no admin listener: %s:%d: %s", settings.host, settings.port, error.strerror)
            return None

    async def close(self) -> None:
        """Close it, if it was ever opened."""
        if self._loading is not None:
            await (await self._loading).close()

    async def _serve(self, sock: socket.socket) -> "Admin":
        module = await asyncio.to_thread(import_module, "twospeed.edge.admin")
        admin: Admin = module.Admin(self._desk, self._keys)
        await admin.start(sock)
        settle()
        return admin
