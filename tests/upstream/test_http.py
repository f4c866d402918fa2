"""The engine against a server that plays scripts on a real socket: bytes on the wire, answers and faults out of it."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import time

import pytest
from tests.tunnel import HouseProxy
from tests.upstream.conftest import until
from tests.wire import ASK, CLOSE, GONE, HEAD, PATIENCE, RESET, Wire, ok

from twospeed.errors import Fault, Kind
from twospeed.upstream.http import LATE, HttpExchange, HttpTransport

BOTH_LOOPS = True

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
FIVE = OK + b"content-length: 5\r\n\r\n"
BOMB = gzip.compress(b"\0" * 64_000_000)


def soon(seconds: float = PATIENCE) -> float:
    return asyncio.get_running_loop().time() + seconds


async def send(transport: HttpTransport, body: bytes = b"{}", fresh: bool = False) -> HttpExchange:
    exchange = await transport.connect(soon(), fresh)
    try:
        await exchange.send("/chat/completions", [(b"x-a", b"1")], body, soon())
    except BaseException:
        exchange.close()
        raise
    return exchange


async def read(exchange: HttpExchange) -> bytes:
    parts = []
    while data := await exchange.read(soon()):
        parts.append(data)
    return b"".join(parts)


async def poured(exchange: HttpExchange) -> bytes:
    """The same as `read`, handed on."""
    parts: list[bytes] = []

    def sink(data: bytes) -> bool:
        parts.append(data)
        return True

    assert await exchange.pour(sink, PATIENCE, soon())
    return b"".join(parts)


async def ask(transport: HttpTransport, body: bytes = b"{}", fresh: bool = False) -> bytes:
    exchange = await send(transport, body, fresh)
    try:
        return await read(exchange)
    finally:
        exchange.close()


async def until_end(exchange: HttpExchange, deadline: float) -> None:
    await exchange.send("/", [], b"{}", deadline)
    while await exchange.read(deadline):
        pass


async def fault_of(transport: HttpTransport) -> Kind:
    with pytest.raises(Fault) as caught:
        await ask(transport)
    return caught.value.kind


@pytest.mark.parametrize(
    "answer",
    [
        [FIVE, b"hello"],
        [FIVE + b"he", b"llo"],
        [CHUNKED, b"5\r\nhello\r\n", b"0\r\n\r\n"],
        [CHUNKED + b"2\r\nhe\r\n3\r\nl", b"lo\r\n0\r\n", b"\r\n"],
        [OK, b"\r\nhel", b"lo", CLOSE],
        [b"HTTP/1.0 200 OK\r\n\r\nhello", CLOSE],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", FIVE + b"hello"],
        [FIVE + b"hello", CLOSE],
        [FIVE + b"hello", RESET],
        [bytes([byte]) for byte in CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"],
    ],
)
async def test_answer_arrives(engine, answer):
    """Whatever way a provider frames its answer, it arrives whole."""
    async with Wire([ASK, *answer]) as wire:
        assert await ask(engine(wire.url)) == b"hello"


@pytest.mark.parametrize("pieces", [1, 7, 1_000])
@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_is_handed_on(engine, pieces, packed):
    """All of it, in order, however it comes; the connection serves again."""
    body = bytes(range(256)) * 20
    sent = gzip.compress(body) if packed else body
    head = OK + b"content-encoding: gzip\r\n" * packed + b"content-length: %d\r\n\r\n" % len(sent)
    parts = [sent[at : at + len(sent) // pieces + 1] for at in range(0, len(sent), len(sent) // pieces + 1)]
    async with Wire([ASK, head, *parts]) as wire:
        transport = engine(wire.url)
        exchange = await send(transport)
        assert await poured(exchange) == body
        exchange.close()
        assert transport.idle_connections == 1


@pytest.mark.parametrize("packed", [False, True])
async def test_whoever_has_had_enough_goes_on_later(engine, packed):
    """A taker that says stop is given no more until it asks again; then nothing is missing."""
    body = bytes(range(256)) * 4_000
    sent = gzip.compress(body) if packed else body
    head = OK + b"content-encoding: gzip\r\n" * packed + b"content-length: %d\r\n\r\n" % len(sent)
    parts: list[bytes] = []

    def sink(data: bytes) -> bool:
        parts.append(data)
        return len(parts) % 2 == 0

    async with Wire([ASK, head, *(sent[at : at + 70_000] for at in range(0, len(sent), 70_000))]) as wire:
        exchange = await send(engine(wire.url))
        turns = 1
        while not await exchange.pour(sink, PATIENCE, soon()):
            turns += 1
        assert b"".join(parts) == body
        assert turns == (len(parts) + 1) // 2 + 1
        exchange.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [([FIVE + b"hel", CLOSE], Kind.TRUNCATED), ([CHUNKED + b"3\r\nhel\r\nxx\r\n"], Kind.PROTOCOL_ERROR)],
)
async def test_what_breaks_while_it_is_handed_on_is_a_fault(engine, answer, kind):
    """The bytes before it are handed on first."""
    parts: list[bytes] = []
    async with Wire([ASK, *answer]) as wire:
        exchange = await send(engine(wire.url))
        with pytest.raises(Fault) as caught:
            await exchange.pour(lambda data: parts.append(data) is None, PATIENCE, soon())
        assert (caught.value.kind, b"".join(parts)) == (kind, b"hel")
        exchange.close()


async def test_silence_while_it_is_handed_on_ends_the_connection(engine):
    """A provider that stops in the middle is hung up on after the idle time; so is one whose client leaves."""
    async with Wire([ASK, FIVE + b"hel", GONE], [ASK, FIVE + b"hel", GONE]) as wire:
        transport = engine(wire.url)
        exchange = await send(transport)
        with pytest.raises(TimeoutError):
            await exchange.pour(lambda data: True, 0.01, soon())
        exchange.close()
        came = asyncio.Event()
        exchange = await send(transport)
        task = asyncio.create_task(exchange.pour(lambda data: came.set() is None, PATIENCE, soon()))
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wire.until_open(0)
        exchange.close()
        await until(lambda: transport.open_connections == 0)


async def test_request_arrives(engine):
    """The provider gets one head of our own making and the body as it was."""
    async with Wire([ASK, ok()]) as wire:
        await ask(engine(wire.url), b'{"model": "m"}')
        assert wire.requests == [
            b"POST /v1/chat/completions HTTP/1.1\r\n"
            b"host: 127.0.0.1:%d\r\nconnection: keep-alive\r\ncontent-length: 14\r\n"
            b'accept-encoding: identity\r\nx-a: 1\r\n\r\n{"model": "m"}' % wire.port
        ]


async def test_large_request_arrives(engine):
    """A body larger than any socket buffer arrives byte for byte."""
    body = bytes(range(256)) * 40_000
    async with Wire([ASK, ok()]) as wire:
        await ask(engine(wire.url), body)
        assert wire.requests[0].endswith(b"\r\n\r\n" + body)


async def test_get_and_status_and_headers(engine):
    """Other methods, other statuses, and the headers as the provider sent them, in lower case."""
    async with Wire([ASK, b"HTTP/1.1 404 No\r\nX-Request-ID: r1\r\ncontent-length: 0\r\n\r\n"]) as wire:
        exchange = await engine(wire.url).connect(soon())
        await exchange.send("/models", [], b"", soon(), method="GET")
        assert wire.requests[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
        assert (exchange.status, exchange.headers[0]) == (404, (b"x-request-id", b"r1"))
        assert await exchange.read(soon()) == b""
        exchange.close()


async def test_redirect_is_an_answer_like_any_other(engine):
    """Redirects are never followed (R14)."""
    async with Wire([ASK, b"HTTP/1.1 302 Found\r\nlocation: http://a/\r\ncontent-length: 0\r\n\r\n"]) as wire:
        exchange = await send(engine(wire.url))
        assert (exchange.status, await read(exchange), len(wire.requests)) == (302, b"", 1)
        exchange.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ([CLOSE], Kind.RESET),
        ([RESET], Kind.RESET),
        ([b"HTTP/1.1 200", CLOSE], Kind.RESET),
        ([FIVE[:-2], RESET], Kind.RESET),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE], Kind.RESET),
        ([FIVE + b"hell", CLOSE], Kind.TRUNCATED),
        ([FIVE + b"hell", RESET], Kind.TRUNCATED),
        ([FIVE, CLOSE], Kind.TRUNCATED),
        ([CHUNKED + b"5\r\nhello\r\n", CLOSE], Kind.TRUNCATED),
        ([CHUNKED + b"5\r\nhel", RESET], Kind.TRUNCATED),
        ([OK + b"\r\nhello", RESET], Kind.TRUNCATED),
        ([b"SSH-2.0-x\r\n"], Kind.PROTOCOL_ERROR),
        ([CHUNKED, b"zz\r\nhello\r\n"], Kind.PROTOCOL_ERROR),
        ([b"HTTP/1.1 204 No\r\n\r\nbody"], Kind.PROTOCOL_ERROR),
        ([OK + b"content-encoding: br\r\ncontent-length: 5\r\n\r\nhello"], Kind.PROTOCOL_ERROR),
        ([OK + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"], Kind.PROTOCOL_ERROR),
        ([OK + b"content-encoding: gzip\r\ncontent-length: 9\r\n\r\n" + gzip.compress(b"hi")[:9]], Kind.TRUNCATED),
        ([OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB), BOMB], Kind.PROTOCOL_ERROR),
    ],
)
async def test_broken_answer_is_a_fault(engine, answer, kind):
    """Each way to break an answer has its name, and the connection is gone."""
    async with Wire([ASK, *answer]) as wire:
        transport = engine(wire.url)
        assert await fault_of(transport) is kind
        await until(lambda: transport.open_connections == 0)
        await wire.until_open(0)


async def test_bytes_before_a_failure_are_delivered_first(engine):
    """What a stream said before it broke still reaches the reader, who learns of the break next."""
    async with Wire([ASK, CHUNKED + b"5\r\nhello\r\n", RESET]) as wire:
        exchange = await send(engine(wire.url))
        await wire.until_open(0)
        assert await exchange.read(soon()) == b"hello"
        for _ in range(2):
            with pytest.raises(Fault) as caught:
                await exchange.read(soon())
            assert caught.value.kind is Kind.TRUNCATED
        exchange.close()


async def test_fault_tells_operators_and_not_clients(engine):
    """The message for clients names neither host nor reason; the detail for operators says what happened."""
    async with Wire([ASK, FIVE + b"hell", CLOSE]) as wire:
        with pytest.raises(Fault) as caught:
            await ask(engine(wire.url))
    assert caught.value.detail == "connection closed within the body"


async def test_compressed_answer_is_read_plain(engine):
    """A provider that compresses although it was not asked to is understood; its headers then fit the plain body."""
    packed = gzip.compress(b"hello" * 1_000)
    answer = OK + b"content-encoding: gzip\r\ncontent-type: a/b\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with Wire([ASK, answer, packed[:30], packed[30:]]) as wire:
        transport = engine(wire.url)
        exchange = await send(transport)
        assert exchange.headers == [(b"content-type", b"a/b")]
        assert await read(exchange) == b"hello" * 1_000
        exchange.close()
        assert transport.idle_connections == 1


@pytest.mark.parametrize(
    "answer",
    [[], [b"HTTP/1.1 200 OK\r\n"], [b"HTTP/1.1 103 Early\r\n\r\n"], [FIVE + b"hell"], [CHUNKED + b"5\r\nhello\r\n"]],
)
async def test_timeout_closes_the_connection(engine, answer):
    """A provider that falls silent, in whatever phase, is hung up on at the deadline."""
    async with Wire([ASK, *answer, GONE]) as wire:
        transport = engine(wire.url)
        exchange = await transport.connect(soon())
        deadline = soon(0.02)
        with pytest.raises(TimeoutError):
            await until_end(exchange, deadline)
        assert asyncio.get_running_loop().time() >= deadline
        await wire.until_open(0)
        exchange.close()
        await until(lambda: transport.open_connections == 0)
        with pytest.raises(Fault):
            await exchange.read(soon())


async def test_connect_timeout(engine, silent):
    """A host that does not answer is given up at the deadline."""
    transport = engine(f"http://127.0.0.1:{silent[1]}")
    with pytest.raises(TimeoutError):
        await transport.connect(soon(0.02))
    assert transport.open_connections == 0


async def test_a_process_that_is_late_blames_itself(engine):
    """A connection that we were too late to see says nothing about the provider, so no breaker hears of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = engine(f"http://127.0.0.1:{listener.getsockname()[1]}")
        asking = asyncio.create_task(transport.connect(soon(0.02)))
        asyncio.get_running_loop().call_soon(time.sleep, 0.02 + 2 * LATE)
        (found,) = await asyncio.gather(asking, return_exceptions=True)
        if isinstance(found, HttpExchange):  # the standard loop looks at sockets first
            found.close()
        else:
            assert isinstance(found, Fault)
            assert (found.kind, found.meaning.trips) == (Kind.OVERLOADED, False)


async def test_refused_connect(engine, refused):
    """Nobody listens: a failed connect, and its place is free again."""
    transport = engine(f"http://127.0.0.1:{refused[1]}", connections=1)
    for _ in range(2):
        assert await fault_of(transport) is Kind.CONNECT_FAILED
    assert transport.open_connections == 0


async def test_connection_is_used_again(engine):
    """Requests one after the other share one connection, and say so."""
    async with Wire([ASK, ok(b"one"), ASK, CHUNKED + b"3\r\ntwo\r\n0\r\n\r\n", ASK, ok(b"three")]) as wire:
        transport = engine(wire.url)
        for body in (b"one", b"two", b"three"):
            exchange = await send(transport)
            assert exchange.reused is (body != b"one")
            assert await read(exchange) == body
            exchange.close()
            exchange.close()
        assert (wire.accepted, transport.open_connections, transport.idle_connections) == (1, 1, 1)


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"hi", b"connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        ok(b"hi") + b"more",
        ok(b"hi") + ok(b"forged"),
    ],
)
async def test_spent_connection_is_not_used_again(engine, answer):
    """A connection that the provider ends, or on which more came than was asked for, serves nobody else."""
    async with Wire([ASK, answer], [ASK, ok(b"new")]) as wire:
        transport = engine(wire.url)
        assert await ask(transport) == b"hi"
        assert await ask(transport) == b"new"
        assert wire.accepted == 2


@pytest.mark.parametrize("event", [[CLOSE], [RESET], [ok(b"forged")], [b"HTTP/1.1 408 Request Timeout\r\n\r\n", CLOSE]])
async def test_idle_connection_that_stirs_is_dropped(engine, event):
    """Whatever comes on an idle connection, nobody will get it for an answer."""
    stir = asyncio.Event()
    async with Wire([ASK, ok(), stir, *event], [ASK, ok(b"new")]) as wire:
        transport = engine(wire.url)
        await ask(transport)
        assert transport.idle_connections == 1
        stir.set()
        await until(lambda: transport.idle_connections == 0 == transport.open_connections)
        assert await ask(transport) == b"new"


async def test_idle_connection_expires(engine):
    """An idle connection is closed by us before the provider does it."""
    async with Wire([ASK, ok(), GONE], [ASK, ok(b"new")]) as wire:
        transport = engine(wire.url, keep_alive=0.01)
        await ask(transport)
        await wire.until_open(0)
        assert transport.open_connections == 0
        assert await ask(transport) == b"new"


@pytest.mark.parametrize("ending", [CLOSE, RESET])
async def test_keep_alive_race_can_be_told_from_a_failure(engine, ending):
    """A used connection that dies without a byte was closed before our request: a fresh one may be tried."""
    async with Wire([ASK, ok(), ASK, ending], [ASK, ok(b"fresh")]) as wire:
        transport = engine(wire.url)
        await ask(transport)
        exchange = await transport.connect(soon())
        with pytest.raises(Fault) as caught:
            await exchange.send("/", [], b"{}", soon())
        assert (caught.value.kind, exchange.reused, exchange.answered) == (Kind.RESET, True, False)
        exchange.close()
        assert await ask(transport, fresh=True) == b"fresh"


async def test_failure_after_the_first_byte_is_no_race(engine):
    """A used connection that broke within an answer had received the request."""
    async with Wire([ASK, ok(), ASK, b"HTTP/1.1 2", CLOSE]) as wire:
        transport = engine(wire.url)
        await ask(transport)
        exchange = await transport.connect(soon())
        with pytest.raises(Fault):
            await exchange.send("/", [], b"{}", soon())
        assert (exchange.reused, exchange.answered) == (True, True)
        exchange.close()


async def test_fresh_connection_is_a_new_one(engine):
    """Who asks for a fresh connection gets one although an idle one is there."""
    async with Wire([ASK, ok(), GONE], [ASK, ok(), GONE]) as wire:
        transport = engine(wire.url)
        await ask(transport)
        exchange = await send(transport, fresh=True)
        assert (exchange.reused, wire.accepted) == (False, 2)
        exchange.close()


async def test_unread_answer_is_aborted_at_once(engine):
    """Closing an exchange before its end is something the provider sees immediately (R15)."""
    async with Wire([ASK, CHUNKED + b"5\r\nhello\r\n", GONE]) as wire:
        exchange = await send(engine(wire.url))
        exchange.close()
        await wire.until_open(0)


async def test_close_wakes_the_reader(engine):
    """An exchange closed while another task waits on it ends that wait."""
    async with Wire([ASK, CHUNKED, GONE]) as wire:
        exchange = await send(engine(wire.url))
        reading = asyncio.create_task(exchange.read(soon()))
        await asyncio.sleep(0)
        exchange.close()
        with pytest.raises(Fault) as caught:
            await reading
        assert caught.value.kind is Kind.TRUNCATED


async def test_unused_exchange_gives_its_connection_back(engine):
    """A connection that nothing was sent on is as good as before."""
    async with Wire([ASK, ok()]) as wire:
        transport = engine(wire.url)
        (await transport.connect(soon())).close()
        assert await ask(transport) == b"hi"
        assert wire.accepted == 1


async def test_answer_before_the_request_was_written(engine):
    """A provider may refuse a large request early; the answer counts, the connection does not."""
    early = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"
    async with Wire([HEAD, early, GONE]) as wire:
        transport = engine(wire.url)
        exchange = await transport.connect(soon())
        await exchange.send("/", [], b"x" * 50_000_000, soon())
        assert (exchange.status, await read(exchange)) == (413, b"no")
        exchange.close()
        await wire.until_open(0)
        assert transport.idle_connections == 0


async def test_reader_that_lags_stops_the_provider(engine):
    """Nobody reads, so little of a large answer is taken off the wire; later it all comes (R16)."""
    size = 64_000_000
    sent = asyncio.Event()
    async with Wire([ASK, OK + b"content-length: %d\r\n\r\n" % size, b"x" * size, sent]) as wire:
        exchange = await send(engine(wire.url))
        connection = exchange._connection
        assert connection is not None
        await until(lambda: connection._paused)
        assert connection.response.held < 2_000_000
        assert len(await read(exchange)) == size
        sent.set()
        exchange.close()


async def test_limit_on_connections_and_the_line(engine):
    """No more connections than allowed; the rest wait in the order they came."""
    async with Wire([ASK, ok(b"1"), ASK, ok(b"2"), ASK, ok(b"3")]) as wire:
        transport = engine(wire.url, connections=1)
        bodies = await asyncio.gather(*[ask(transport, b"%d" % number) for number in range(3)])
        assert bodies == [b"1", b"2", b"3"]
        assert [request[-1:] for request in wire.requests] == [b"0", b"1", b"2"]
        assert wire.accepted == 1


async def test_line_has_a_deadline(engine):
    """Waiting for a connection counts against the deadline, and who gave up is not served; that is no connect timeout."""
    async with Wire([ASK, GONE], [ASK, ok()]) as wire:
        transport = engine(wire.url, connections=1)
        holder = await transport.connect(soon())
        with pytest.raises(Fault) as fault:
            await transport.connect(soon(0.01))
        assert fault.value.kind is Kind.OVERLOADED
        assert not fault.value.meaning.trips
        holder.close()
        exchange = await transport.connect(soon())
        assert transport.open_connections == 1
        exchange.close()


@pytest.mark.parametrize("answer", [[], [b"HTTP/1.1 200 OK\r\n"], [FIVE + b"hell"]])
async def test_cancelled_request_leaves_nothing(engine, answer):
    """Cancelled while it waits for a head or a body: no connection, here or there."""
    async with Wire([ASK, *answer, GONE]) as wire:
        transport = engine(wire.url)
        task = asyncio.create_task(ask(transport))
        await wire.until_asked(1)
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wire.until_open(0)
        await until(lambda: transport.open_connections == 0)


@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_connect_leaves_nothing(engine, certificates, turns):
    """Cancelled after any number of turns of the loop, from name to handshake: no connection, no place taken."""
    trusting, serving = certificates
    async with Wire([GONE], tls=serving) as wire:
        transport = engine(f"https://localhost:{wire.port}", connections=1, tls=trusting)
        task = asyncio.create_task(transport.connect(soon()))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await task).close()
        await transport.close()
        await until(lambda: transport.open_connections == 0)
        await wire.until_open(0)


async def test_cancelled_wait_in_line_leaves_nothing(engine):
    """Cancelled in line: the place in line is gone, and nobody behind waits for it."""
    async with Wire([ASK, ok()]) as wire:
        transport = engine(wire.url, connections=1)
        holder = await transport.connect(soon())
        leaving, staying = (asyncio.create_task(ask(transport)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        holder.close()
        assert await staying == b"hi"
        assert leaving.cancelled()


async def test_closed_transport_finishes_what_it_began(engine):
    """Closing turns new requests away, closes idle connections and lets answers under way come to their end."""
    rest = asyncio.Event()
    async with Wire([ASK, FIVE, rest, b"hello"], [ASK, ok(), GONE]) as wire:
        transport = engine(wire.url)
        running = await send(transport)
        await ask(transport)
        await transport.close()
        assert await fault_of(transport) is Kind.DRAINING
        await wire.until_open(1)
        rest.set()
        assert await read(running) == b"hello"
        running.close()
        await until(lambda: transport.open_connections == 0)


@pytest.mark.parametrize("header", [(b"x-a", b"1\r\nx-b: 2"), (b"content-length", b"5"), (b"host", b"other")])
async def test_smuggled_header_never_leaves(engine, header):
    """A header that would change the request is refused before a byte is written, and the connection stays good."""
    async with Wire([ASK, ok()]) as wire:
        transport = engine(wire.url)
        exchange = await transport.connect(soon())
        with pytest.raises(Fault) as caught:
            await exchange.send("/", [header], b"", soon())
        exchange.close()
        assert caught.value.kind is Kind.INTERNAL
        assert await ask(transport) == b"hi"
        assert (len(wire.requests), wire.accepted) == (1, 1)


async def test_tls(engine, certificates):
    """A provider with a certificate we trust, under the name it bears, is spoken to, again and again."""
    trusting, serving = certificates
    answers = [FIVE, b"hello"], [CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"], [FIVE[:9], FIVE[9:] + b"hell", b"o"]
    async with Wire([step for answer in answers for step in (ASK, *answer)], tls=serving) as wire:
        transport = engine(f"https://localhost:{wire.port}", tls=trusting)
        for _ in answers:
            assert await ask(transport, b"x" * 300_000) == b"hello"
        assert (wire.accepted, transport.idle_connections) == (1, 1)


async def test_tls_answer_cut_short(engine, certificates):
    """An encrypted connection that is cut is as broken as a plain one."""
    trusting, serving = certificates
    async with Wire([ASK, FIVE + b"hell", RESET], [ASK, RESET], tls=serving) as wire:
        transport = engine(f"https://localhost:{wire.port}", tls=trusting)
        assert await fault_of(transport) is Kind.TRUNCATED
        assert await fault_of(transport) is Kind.RESET


async def test_tls_timeout_and_close(engine, certificates):
    """Silence and hanging up work through TLS."""
    trusting, serving = certificates
    async with Wire([ASK, FIVE, GONE], tls=serving) as wire:
        transport = engine(f"https://localhost:{wire.port}", tls=trusting)
        exchange = await send(transport)
        with pytest.raises(TimeoutError):
            await exchange.read(soon(0.02))
        await wire.until_open(0)
        exchange.close()
        (await send(transport)).close()
        await wire.until_open(0)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_tls_refuses_who_cannot_be_trusted(engine, certificates, host):
    """A certificate from an unknown authority, or for another name, ends the connection before anything is sent."""
    trusting, serving = certificates
    async with Wire([ASK], tls=serving) as wire:
        transport = engine(f"https://{host}:{wire.port}", tls=trusting if host == "127.0.0.1" else None)
        with pytest.raises(Fault) as caught:
            await ask(transport)
        assert caught.value.kind is Kind.TLS_FAILED
        assert "certificate" in caught.value.detail.lower()
        assert wire.requests == []


async def test_tls_to_a_server_that_speaks_none(engine):
    """https where plain HTTP is spoken is a failed handshake."""
    async with Wire([b"HTTP/1.1 400 Bad Request\r\n\r\n", CLOSE], [CLOSE], [RESET]) as wire:
        transport = engine(f"https://localhost:{wire.port}", tls=ssl.create_default_context())
        for _ in range(3):
            assert await fault_of(transport) is Kind.TLS_FAILED
        assert transport.open_connections == 0


async def test_through_a_proxy_to_https(engine, certificates):
    """A tunnel is asked for, with the password of the house; nothing of the request is seen on the way."""
    trusting, serving = certificates
    async with Wire([ASK, ok(b"one"), ASK, ok(b"two")], tls=serving) as wire, HouseProxy() as house:
        proxy = house.url.replace("//", "//me:s%40@")
        transport = engine(f"https://localhost:{wire.port}", tls=trusting, proxy=proxy)
        assert [await ask(transport), await ask(transport)] == [b"one", b"two"]
    (head,) = house.heads
    assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % wire.port)
    assert b"proxy-authorization: Basic bWU6c0A=\r\n" in head
    assert b"proxy-authorization" not in b"".join(wire.requests)


async def test_through_a_proxy_to_http(engine):
    """Without TLS the proxy passes on requests with the whole address; names are its business, not ours."""
    async with Wire([ASK, ok(b"one")]) as wire, HouseProxy() as house:
        transport = engine(f"http://provider.invalid:{wire.port}/v1", proxy=house.url.replace("//", "//me:pw@"))
        assert await ask(transport) == b"one"
    line, *rest = house.heads[0].split(b"\r\n")
    assert line.split(b" ")[1].startswith(b"http://provider.invalid:%d/v1/" % wire.port)
    assert b"host: provider.invalid:%d" % wire.port in rest
    assert b"proxy-authorization: Basic bWU6cHc=" in rest


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "the proxy answered 407 to CONNECT"),
        (b"HTTP/1.1 502 \r\ncontent-length: 3\r\n\r\n", "the proxy answered 502 to CONNECT"),
        (b"SSH-2.0-x\r\n\r\n", "the proxy's answer to CONNECT is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", "the proxy's answer to CONNECT is not HTTP"),
        (b"x" * 20_000, "the proxy's answer to CONNECT is not HTTP"),
    ],
)
async def test_a_proxy_that_does_not_let_us_through(engine, certificates, answer: bytes, detail: str):
    """The provider was not reached; the record says what the proxy said, and not where it is."""
    async with HouseProxy(refuse=answer) as house:
        transport = engine("https://localhost:1", tls=certificates[0], proxy=house.url)
        with pytest.raises(Fault) as told:
            await ask(transport)
    assert (told.value.kind, told.value.detail) == (Kind.CONNECT_FAILED, detail)


async def test_a_proxy_that_says_nothing_is_given_up(engine, certificates):
    """The deadline of the connect holds for the tunnel too."""
    async with Wire([GONE]) as silent:
        transport = engine("https://localhost:1", tls=certificates[0], proxy=f"http://127.0.0.1:{silent.port}")
        with pytest.raises(TimeoutError):
            await transport.connect(soon(0.02))
        await silent.until_open(0)


async def test_names_are_asked_for_again_for_each_connection(engine, monkeypatch):
    """A provider that moves is found at its new address as soon as a connection is made."""
    async with Wire([ASK, ok(b"old"), CLOSE]) as old, Wire([ASK, ok(b"new"), CLOSE]) as new:
        answers = iter([old.port, new.port])
        loop = asyncio.get_running_loop()

        async def resolve(host: str, port: int, **more: object) -> list[tuple[object, ...]]:
            where = ("127.0.0.1", next(answers)) if host == "moving.example" else (host, port)  # uvloop asks twice
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", where)]

        monkeypatch.setattr(type(loop), "getaddrinfo", lambda _, *a, **k: resolve(*a, **k))
        transport = engine("http://moving.example/v1")
        assert await ask(transport) == b"old"
        await until(lambda: transport.open_connections == 0)
        assert await ask(transport) == b"new"


async def test_an_ipv6_address_is_spoken_to(engine):
    """A literal address in brackets needs no name."""
    try:
        wire = await Wire([ASK, ok(b"six")], host="::1").__aenter__()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert await ask(engine(f"http://[::1]:{wire.port}/v1")) == b"six"
        assert b"host: [::1]:%d\r\n" % wire.port in wire.requests[0]
    finally:
        await wire.__aexit__()
