"""One client connection over a real socket: order, deadlines, back-pressure, and clients that leave at any moment."""

import asyncio
import contextlib
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.edge import test_body as chunks
from tests.edge import test_wire as wire
from tests.edge.engine import PATIENCE, TEXT, Client, Slow, Stage, Streaming, echo, listening, request, until
from tests.edge.test_wire import GET, MALFORMED, POST

from twospeed.dialects import Refusal
from twospeed.edge.connection import Connection
from twospeed.edge.http import Call, Reply
from twospeed.edge.shared import NAP, Shared
from twospeed.errors import Fault, Kind
from twospeed.policy.listen import Listen

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n"
EARLY = Refusal(401, TEXT, b"who are you")


class Flooding(Slow):
    """Streams without end. `written`: bytes the engine took."""

    written = 0

    async def answer(self, call: Call, reply: Reply) -> None:
        reply.start(200, TEXT)
        while True:
            await reply.write(b"x" * 65_536)
            self.written = reply.bytes_out
            await asyncio.sleep(0)


# Requests and answers


async def test_a_request_is_answered():
    """The app gets the whole request and the client its answer."""
    app = Stage()
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(request(b"hello", b"X-A: b", line=b"POST /v1/x?y=z HTTP/1.1"))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers[b"content-type"]) == (200, b"hello", b"text/plain")
        (call,) = app.calls
        assert (call.head.method, call.head.path, call.head.query) == ("POST", "/v1/x", "y=z")
        assert (call.head.headers[b"x-a"], call.body) == (b"b", b"hello")
        assert call.received_at <= asyncio.get_running_loop().time()
        client.close()


async def test_a_connection_serves_one_request_after_the_other():
    """Keep-alive: the same connection, as many requests as wanted."""
    app = Stage()
    async with listening(app) as server:
        client = await Client.to(server)
        for body in (b"one", b"", b"three" * 10_000, CHUNKED):
            await client.send(request(body))
            assert (await client.answer()).body == body
        assert server.connections == 1
        client.close()


@pytest.mark.parametrize("data", [request(b"hello!"), CHUNKED], ids=["sized", "chunked"])
async def test_a_request_may_come_in_any_pieces(data):
    """Cut at every byte, or sent byte by byte, it is the same request."""
    app = Stage()
    async with listening(app) as server:
        client = await Client.to(server)
        for cut in range(1, len(data)):
            await client.send(data[:cut])
            await asyncio.sleep(0)
            await client.send(data[cut:])
            assert (await client.answer()).body == b"hello!"
        for at in range(len(data)):
            await client.send(data[at : at + 1])
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"hello!"
        assert {call.body for call in app.calls} == {b"hello!"}
        client.close()


async def test_pipelined_requests_are_answered_in_order_one_at_a_time():
    """The second is not begun before the first is answered."""
    slow = Slow()
    async with listening(Stage(slow)) as server:
        client = await Client.to(server)
        await client.send(request(b"one") + CHUNKED + request(b"three"))
        await until(lambda: slow.started)
        await asyncio.sleep(0.02)
        assert slow.started == 1
        slow.may.set()
        assert [(await client.answer()).body for _ in range(3)] == [b"one", b"hello!", b"three"]
        client.close()


async def test_any_number_of_requests_may_be_pipelined():
    """More than the server holds are read when their turn comes."""
    count = 5_000
    slow = Slow()
    async with listening(Stage(slow)) as server:
        client = await Client.to(server)
        sending = asyncio.create_task(client.send(b"".join(request(b"%d" % n) for n in range(count))))
        await until(lambda: slow.started)
        slow.may.set()
        assert [(await client.answer()).body for n in range(count)] == [b"%d" % n for n in range(count)]
        await sending
        client.close()


async def test_refused_requests_in_a_pipeline_do_not_stop_it():
    """A request that is refused but complete leaves the connection usable."""
    app = Stage(admit=lambda head: EARLY if head.path == "/no" else None)
    async with listening(app) as server:
        client = await Client.to(server)
        no = request(b"hello", line=b"POST /no HTTP/1.1")
        await client.send(no + request(b"one") + no + no + request(b"two"))
        assert [(await client.answer()).status for _ in range(5)] == [401, 200, 401, 401, 200]
        assert [call.body for call in app.calls] == [b"one", b"two"]
        client.close()


async def test_head_and_options_are_served_like_others():
    """HEAD gets the head of the answer only; OPTIONS is the app's business."""
    async with listening(Stage()) as server:
        client = await Client.to(server)
        await client.send(request(b"hello", line=b"HEAD / HTTP/1.1") + request(b"hi", line=b"OPTIONS * HTTP/1.1"))
        head = await client.answer(to_head=True)
        assert (head.status, head.headers[b"content-length"]) == (200, b"5")
        assert (await client.answer()).body == b"hi"
        client.close()


async def test_connection_close_closes():
    """A client that says close gets its answer and the end of the connection."""
    async with listening(Stage()) as server:
        client = await Client.to(server)
        await client.send(request(b"hello", b"Connection: close"))
        answer = await client.answer()
        assert (answer.body, answer.headers[b"connection"]) == (b"hello", b"close")
        assert await client.closed()


async def test_http10_is_served():
    """HTTP/1.0 closes after an answer, keeps the connection on request, and gets streams without chunks."""
    streaming = Streaming()
    streaming.may.set()

    async def serve(call: Call, reply: Reply) -> None:
        await (streaming(call, reply) if call.head.path == "/stream" else echo(call, reply))

    async with listening(Stage(serve)) as server:
        client = await Client.to(server)
        await client.send(request(b"a", b"Connection: keep-alive", line=b"POST / HTTP/1.0"))
        assert (await client.answer()).headers[b"connection"] == b"keep-alive"
        await client.send(request(b"b", line=b"POST / HTTP/1.0"))
        assert (await client.answer()).body == b"b"
        assert await client.closed()
        client = await Client.to(server)
        await client.send(request(line=b"GET /stream HTTP/1.0"))
        answer = await client.answer()
        assert (answer.body, b"transfer-encoding" in answer.headers) == (b"firstsecond", False)


async def test_an_offer_to_upgrade_is_the_apps_business():
    """The engine goes on in HTTP/1.1; the app sees the headers, and bytes after the request are the next request."""
    app = Stage()
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(request(b"a", b"Connection: Upgrade", b"Upgrade: websocket") + request(b"b"))
        assert [(await client.answer()).body for _ in range(2)] == [b"a", b"b"]
        assert app.heads[0].headers[b"upgrade"] == b"websocket"
        client.close()


# Bodies and what is settled before them


async def test_a_body_is_asked_for_after_the_head_was_admitted():
    """100 Continue comes when the app has agreed to the head, not before."""
    app = Stage(admit=lambda head: EARLY if head.path == "/no" else None)
    async with listening(app) as server:
        client = await Client.to(server)
        whole = request(b"hello", b"Expect: 100-continue")
        await client.send(whole[:-5])
        assert (await client.answer()).status == 100
        await client.send(b"hello")
        assert (await client.answer()).body == b"hello"
        await client.send(request(b"hello", b"Expect: 100-continue", line=b"POST /no HTTP/1.1")[:-5])
        answer = await client.answer()
        assert (answer.status, answer.headers[b"connection"]) == (401, b"close")
        assert await client.closed()


@pytest.mark.parametrize("data", [request(b"hello", b"Expect: 100-continue"), request(b"hello", b"Expect: 100-continue", line=b"POST / HTTP/1.0")])  # fmt: skip
async def test_continue_is_not_sent_where_it_does_not_help(data):
    """Not when the body is there already, not to HTTP/1.0."""
    async with listening(Stage()) as server:
        client = await Client.to(server)
        cut = -5 if b"1.0" in data else len(data)
        await client.send(data[:cut])
        await asyncio.sleep(0.02)
        await client.send(data[cut:])
        assert (await client.answer()).status == 200
        client.close()


async def test_a_refusal_can_be_read_while_the_body_is_still_sent():
    """A client that sends 5 MB to someone who says no at once sees the answer, not a reset."""
    async with listening(Stage(admit=lambda head: EARLY)) as server:
        client = await Client.to(server)
        await client.send(request(b"x" * 5_000_000))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers[b"connection"]) == (401, b"who are you", b"close")
        assert await client.closed()
        client.close()
        await until(lambda: not server.connections)


async def test_a_body_too_large_is_refused_before_it_is_read():
    """By its announced length at once, in chunks as soon as they add up to too much."""
    app = Stage()
    async with listening(app, body_limit="100KB") as server:
        for data in (POST + b"Content-Length: 100001\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n186a1\r\n"):
            client = await Client.to(server)
            await client.send(data)
            assert (await client.answer()).status == 413
            assert await client.closed()
        client = await Client.to(server)
        await client.send(request(b"x" * 100_000))
        assert len((await client.answer()).body) == 100_000
        client.close()
        assert app.kinds == ["body_too_large"] * 2
        assert server.in_flight == 0


async def test_the_key_is_looked_at_before_the_size():
    """Who may not call learns nothing about limits."""
    async with listening(Stage(admit=lambda head: EARLY), body_limit="10B") as server:
        client = await Client.to(server)
        await client.send(POST + b"Content-Length: 11\r\n\r\n")
        assert (await client.answer()).status == 401
        client.close()


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_requests_get_one_answer_and_the_end(data):
    """One well-formed 400, then the connection closes; what follows is not taken for a request."""
    app = Stage()
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(data + b"0\r\n\r\n" + request(b"smuggled"))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers[b"connection"]) == (400, b"bad_request", b"close")
        assert await client.closed()
        assert app.calls == []
        assert server.in_flight == 0


async def test_malformed_chunks_get_one_answer_and_the_end():
    """The same inside a body, which was admitted before."""
    app = Stage()
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n+1\r\n!\r\n0\r\n\r\n" + request())
        assert (await client.answer()).status == 400
        assert await client.closed()
        assert app.calls == []
        assert server.in_flight == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (GET + b"x: %b\r\n\r\n" % (b"a" * 20_000), 431),
        (GET + b"x: y\r\n" * 101 + b"\r\n", 431),
        (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9_000), 414),
        (b"GET /" + b"a" * 9_000, 414),
    ],
)
async def test_oversized_heads_get_their_own_status(data, status):
    """431 for a head or its number of headers, 414 for a target."""
    async with listening(Stage()) as server:
        client = await Client.to(server)
        await client.send(data)
        assert (await client.answer()).status == status
        assert await client.closed()


# Deadlines


@pytest.mark.parametrize("sent", [b"GET / HT", POST + b"Content-Length: 5\r\n\r\nhell", CHUNKED[:-2]])
async def test_a_request_that_never_ends_is_timed_out(sent):
    """Head and body have a deadline; then 408 and the end."""
    app = Stage()
    async with listening(app, head_timeout="80ms", body_timeout="80ms") as server:
        client = await Client.to(server)
        await client.send(sent)
        answer = await client.answer()
        assert (answer.status, answer.headers[b"connection"]) == (408, b"close")
        assert await client.closed()
        assert server.in_flight == 0


async def test_a_deadline_is_not_put_off_by_a_byte_now_and_then():
    """Slowloris: bytes trickling in do not keep a connection."""
    async with listening(Stage(), head_timeout="100ms") as server:
        client = await Client.to(server)
        await client.send(GET + b"X: ")
        while not client.pending():
            await client.send(b"y")
            await asyncio.sleep(0.005)
        assert (await client.answer()).status == 408
        client.close()


async def test_the_next_head_has_its_own_deadline():
    """From its first byte on, not from the end of the request before."""
    async with listening(Stage(), head_timeout="80ms") as server:
        client = await Client.to(server)
        await client.send(request(b"a"))
        assert (await client.answer()).body == b"a"
        await asyncio.sleep(0.2)
        await client.send(b"GET / HT")
        assert (await client.answer()).status == 408


@pytest.mark.parametrize("settings", [{"head_timeout": "80ms"}, {"keep_alive": "80ms"}])
async def test_idle_connections_are_closed_without_a_word(settings):
    """A connection without a request, new or used, is closed silently at its deadline."""
    app = Stage()
    async with listening(app, **settings) as server:
        client = await Client.to(server)
        if "keep_alive" in settings:
            await client.send(request())
            await client.answer()
        assert await client.closed()
        assert app.faults == []


async def test_serving_has_no_deadline_here():
    """How long an answer may take is the app's business."""
    slow = Slow()
    async with listening(Stage(slow), head_timeout="40ms", body_timeout="40ms", keep_alive="40ms") as server:
        client = await Client.to(server)
        await client.send(request(b"a"))
        await asyncio.sleep(0.2)
        slow.may.set()
        assert (await client.answer()).body == b"a"


# Clients that leave


@pytest.mark.parametrize("way", [Client.end, Client.close, Client.reset])
@pytest.mark.parametrize("kind", [Slow, Streaming, Flooding])
async def test_a_client_that_leaves_ends_its_request(kind, way):
    """Before the first byte, in a quiet stream or in one it does not read: FIN and RST cancel the app at once."""
    serving = kind()
    async with listening(Stage(serving), stall_timeout="1m") as server:
        client = await Client.to(server)
        await client.send(request(b"hello"))
        await until(lambda: serving.started)
        await asyncio.sleep(0.02)
        way(client)
        await until(lambda: serving.ended)
        assert (serving.cancelled, serving.gone) == (1, 1)
        await until(lambda: not server.connections)
        assert server.in_flight == 0


@pytest.mark.parametrize("way", [Client.end, Client.close, Client.reset])
async def test_a_client_that_leaves_with_its_request_is_gone(way):
    """A half-close right behind the request counts as leaving, whether or not the app has begun."""
    serving = Slow()
    async with listening(Stage(serving)) as server:
        for _ in range(20):
            client = await Client.to(server)
            await client.send(request(b"hello"))
            way(client)
        await until(lambda: not server.connections)
        assert serving.cancelled == serving.started
        assert server.in_flight == 0


@pytest.mark.parametrize("sent", [b"GET / HT", POST + b"Content-Length: 5\r\n\r\nhell", CHUNKED[:-2]])
@pytest.mark.parametrize("way", [Client.end, Client.close, Client.reset])
async def test_a_client_that_leaves_within_its_request_is_forgotten(sent, way):
    """Half a request is never served."""
    app = Stage()
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(sent)
        await asyncio.sleep(0.02)
        way(client)
        await until(lambda: not server.connections)
        assert (app.calls, app.faults, server.in_flight) == ([], [], 0)


async def test_a_client_that_pipelined_too_much_is_still_seen_leaving():
    """Even when reading is paused because more was pipelined than is held."""
    serving = Slow()
    async with listening(Stage(serving)) as server:
        client = await Client.to(server)
        await client.send(request(b"hello") + request(b"x" * 100_000))
        await until(lambda: serving.started)
        await asyncio.sleep(0.02)
        client.end()
        await until(lambda: serving.ended)
        assert (serving.cancelled, serving.gone) == (1, 1)


async def test_leaving_after_the_answer_disturbs_nobody():
    """Once the answer is written the app may end its work in peace."""
    done = asyncio.Event()

    async def serve(call: Call, reply: Reply) -> None:
        reply.send(200, TEXT, b"x" * 1_000_000)
        await until(lambda: not server.connections or reply.gone or left)
        await asyncio.sleep(0.05)
        done.set()

    left = False
    async with listening(Stage(serve)) as server:
        client = await Client.to(server)
        await client.send(request())
        await until(lambda: server.in_flight)
        client.end()
        assert len((await client.answer()).body) == 1_000_000
        left = True
        async with asyncio.timeout(PATIENCE):
            await done.wait()


# Clients that do not read


async def test_a_client_that_does_not_read_stops_the_writer():
    """What is held for it is bounded, the writer is told after a while, and the connection goes."""
    faults = []

    class Told(Flooding):
        async def answer(self, call: Call, reply: Reply) -> None:
            try:
                await super().answer(call, reply)
            except Fault as fault:
                faults.append(fault.kind)
                raise

    serving = Told()
    async with listening(Stage(serving), stall_timeout="200ms") as server:
        client = await Client.to(server, receive_buffer=65_536)
        await client.send(request())
        await until(lambda: serving.ended)
        assert faults == [Kind.CLIENT_STALLED]
        assert serving.written < 4_000_000
        await until(lambda: not server.connections)
        client.close()


async def test_a_whole_answer_that_is_not_read_ends_too():
    """An answer written at once is held no longer than a stream would be."""

    async def serve(call: Call, reply: Reply) -> None:
        reply.send(200, TEXT, b"x" * 20_000_000)

    app = Stage(serve)
    async with listening(app, stall_timeout="200ms") as server:
        for count, headers in enumerate(((), (b"Connection: close",)), 1):
            client = await Client.to(server, receive_buffer=65_536)
            await client.send(request(b"", *headers))
            await until(lambda: len(app.calls) == count)  # noqa: B023 - awaited within the round
            await until(lambda: not server.connections)
            client.close()


async def test_a_slow_reader_gets_everything():
    """Taking a little now and then is reading."""
    size = 2_000_000

    async def serve(call: Call, reply: Reply) -> None:
        reply.start(200, TEXT)
        for _ in range(20):
            await reply.write(b"x" * (size // 20))
        reply.finish()

    async with listening(Stage(serve), stall_timeout="1s") as server:
        client = await Client.to(server, receive_buffer=65_536)
        await client.send(request() + request())
        for _ in range(2):
            answer = await client.answer()
            assert (len(answer.body), answer.whole) == (size, True)
        client.close()


# What a connection remembers


async def rested(requests: int) -> Connection:
    """A connection that has served as many requests, all with the same head, and now waits for the next."""
    connection = Connection(Shared(Stage(), Listen(), asyncio.get_running_loop()))
    connection.connection_made(Deaf())
    for _ in range(requests):
        connection.data_received(request(b"hello"))
        assert connection.serving.task is not None
        await connection.serving.task
    return connection


@pytest.mark.parametrize("requests", [1, 2, 5])
async def test_a_connection_at_rest_forgets_and_stays_open(requests):
    """How its client asks is forgotten first; it is closed when it has rested as long as any other."""
    connection = await rested(requests)
    begun = asyncio.get_running_loop().time()
    if requests > 1:
        assert connection.deadline <= begun + NAP
        connection.tick(begun + NAP)
    keep_alive = Listen().keep_alive
    assert begun + keep_alive - 1 < connection.deadline <= begun + keep_alive + 1
    assert not connection.line.transport.is_closing()
    connection.tick(connection.deadline)
    assert connection.line.transport.is_closing()


@pytest.mark.parametrize("requests", [1, 5])
async def test_a_server_that_stops_closes_what_has_rested(requests):
    """Whether it has forgotten its client or not; one that was used just now may have a request on its way."""
    fresh = await rested(requests)
    fresh.wind_down()
    assert not fresh.line.transport.is_closing()
    fresh.tick(fresh.deadline)
    assert fresh.line.transport.is_closing()
    old = await rested(requests)
    old.deadline -= 1.0
    old.wind_down()
    assert old.line.transport.is_closing()


# A second opinion


class Deaf(asyncio.Transport):
    """A transport to nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing


async def served(data: bytes, cuts: list[int]) -> list[tuple[str, str, bytes]]:
    """The requests that an app gets to serve out of a stream of bytes that comes in pieces."""
    app = Stage()
    connection = Connection(Shared(app, Listen(), asyncio.get_running_loop()))
    connection.connection_made(Deaf())
    for start, end in pairwise([0, *sorted(cuts), len(data)]):
        if data[start:end] and not connection.line.transport.is_closing():
            connection.data_received(data[start:end])
        while connection.serving.task:
            await connection.serving.task
    return [(call.head.method, call.head.path, call.body) for call in app.calls]


def read_by_h11(data: bytes) -> list[tuple[str, str, bytes]]:
    """The requests that h11 finds in a stream of bytes."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(data)
    requests = []
    with contextlib.suppress(h11.ProtocolError):
        while isinstance(event := peer.next_event(), h11.Request):
            path = event.target.partition(b"?")[0].decode()
            if "://" in path.partition("?")[0]:  # a whole URL: served by its path
                path = "/" + path.partition("://")[2].partition("/")[2]
            body = b""
            while isinstance(part := peer.next_event(), h11.Data):
                body += part.data
            if isinstance(part, h11.EndOfMessage):
                requests.append((event.method.decode(), path, body))
            peer.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            peer.send(h11.EndOfMessage())
            peer.start_next_cycle()
    return requests


STREAMS = st.lists(
    st.one_of(
        wire.HEADS,
        wire.mutated().map(lambda head: head.removeprefix(b"\r\n") + b"hello"),  # a line end first h11 does not take
        chunks.mutated().map(lambda body: request(b"", b"Transfer-Encoding: chunked") + body),
        st.binary(max_size=10).map(request),
    ),
    max_size=4,
).map(b"".join)


@settings(max_examples=250, deadline=None)
@given(st.integers(1, 3), STREAMS, st.lists(st.integers(0, 400), max_size=5))
async def test_h11_finds_the_requests_that_are_served(habit, data, cuts):
    """Whatever bytes come, in whatever pieces and after whatever habit, what is served is what another parser finds there."""
    data = (wire.GOOD + b"first") * habit + data
    seen = await served(data, [cut for cut in cuts if cut <= len(data)])
    assert seen[:habit] == [("POST", "/", b"first")] * habit
    assert seen == read_by_h11(data)[: len(seen)]
