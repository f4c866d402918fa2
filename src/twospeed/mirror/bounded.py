"""Bounded: a transport whose answers end at a number of bytes, so that no candidate can fill the memory."""

from collections.abc import Sequence

from twospeed.errors import Fault, Kind
from twospeed.types import Exchange, Transport


class BoundedTransport:
    """Hands out exchanges of another transport. Args: most: bytes of one answer's body, head excluded."""

    def __init__(self, transport: Transport, most: int) -> None:
        self._inner = transport
        self._most = most

    async def connect(self, deadline: float, fresh: bool = False) -> "BoundedExchange":
        """Return an exchange."""
        return BoundedExchange(await self._inner.connect(deadline, fresh), self._most)

    async def close(self) -> None:
        """Close idle connections and refuse new ones."""
        await self._inner.close()


class BoundedExchange:
    """One request; see `types.Exchange`."""

    __slots__ = ("_exchange", "_left")

    def __init__(self, exchange: Exchange, most: int) -> None:
        self._exchange = exchange
        self._left = most

    @property
    def status(self) -> int:
        """As the exchange inside."""
        return self._exchange.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """As the exchange inside."""
        return self._exchange.headers

    @property
    def reused(self) -> bool:
        """As the exchange inside."""
        return self._exchange.reused

    @property
    def answered(self) -> bool:
        """As the exchange inside."""
        return self._exchange.answered

    async def send(self, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, deadline: float) -> None:
        """Write the request and wait for the response head."""
        await self._exchange.send(path, headers, body, deadline)

    async def read(self, deadline: float) -> bytes:
        """Return the next body bytes. Raises: Fault ANSWER_TOO_LARGE beyond the bound."""
        data = await self._exchange.read(deadline)
        self._left -= len(data)
        if self._left < 0:
            raise Fault(Kind.ANSWER_TOO_LARGE, detail="a copy's answer is beyond what is read of one")
        return data

    def close(self) -> None:
        """Give the connection back or abort it."""
        self._exchange.close()
