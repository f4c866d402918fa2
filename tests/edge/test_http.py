"""The server as a whole: binding, too many connections, TLS, stopping and draining."""

import asyncio
import contextlib
import socket
import ssl

import pytest
from tests.certificates import make_certificates
from tests.edge.engine import PATIENCE, TEXT, Client, Slow, Stage, Streaming, listening, request, until

from twospeed.edge.http import Call, HttpServer, Reply
from twospeed.policy.listen import Listen


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


# Binding


async def test_the_address_is_the_one_really_bound():
    """Port 0 becomes a real one; both stay readable after the end."""
    async with listening(Stage()) as server:
        host, port = server.address
        assert (host, port > 0) == ("127.0.0.1", True)
    assert server.address == (host, port)


async def test_a_name_is_served_where_clients_look_for_it():
    """`localhost` answers on IPv4."""
    async with listening(Stage(), host="localhost") as server:
        assert server.address[0] == "127.0.0.1"


async def test_a_socket_may_be_given():
    """A socket that someone else bound is served."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = HttpServer(Stage(), Listen(port=1))
    await server.start(sock)
    client = await Client.to(server)
    await client.send(request(b"hello"))
    assert (await client.answer()).body == b"hello"
    client.close()
    await server.close()


async def test_a_port_is_shared_only_on_request():
    """Workers share a port when all of them ask for it; otherwise a second server is told that it is taken."""
    servers = [HttpServer(Stage(), Listen(port=0))]
    await servers[0].start(reuse_port=True)
    for reuse in (True, False):
        servers.append(HttpServer(Stage(), Listen(port=servers[0].address[1])))
        starting = servers[-1].start(reuse_port=reuse)
        if reuse:
            await starting
        else:
            with pytest.raises(OSError, match="in use"):
                await starting
    assert servers[1].address == servers[0].address
    for server in servers:
        await server.close()


async def test_tls_is_spoken_when_asked_for(tmp_path):
    """With a certificate the same engine serves HTTPS, refusals included."""
    authority, chain = make_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(chain)
    server = HttpServer(Stage(), Listen(port=0))
    await server.start(tls=tls)
    trust = ssl.create_default_context(cafile=str(authority))
    for data, status in ((request(b"hello", b"Connection: close"), b"200"), (b"garbage\r\n\r\n", b"400")):
        reader, writer = await asyncio.open_connection(*server.address, ssl=trust, server_hostname="localhost")
        writer.write(data)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).split()[1] == status
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()
    await server.close()
    assert server.connections == 0


# Too many


async def test_a_connection_too_many_is_turned_away_at_once():
    """It gets 503 with Retry-After without sending a byte; once another one leaves there is room again."""
    app = Stage()
    async with listening(app, max_connections=2) as server:
        clients = [await Client.to(server) for _ in range(2)]
        await until(lambda: server.connections == 2)
        extra = await Client.to(server)
        answer = await extra.answer()
        assert (answer.status, answer.headers[b"retry-after"], answer.headers[b"connection"]) == (503, b"1", b"close")
        assert await extra.closed()
        assert (server.connections, app.kinds) == (2, ["overloaded"])
        clients[0].close()
        await until(lambda: server.connections == 1)
        clients[0] = await Client.to(server)
        for client in clients:
            await client.send(request(b"hello"))
            assert (await client.answer()).body == b"hello"
            client.close()


async def test_a_crowd_does_not_pile_up():
    """Clients that stay although they were turned away are cut off."""
    async with listening(Stage(), max_connections=1) as server:
        inside = await Client.to(server)
        await until(lambda: server.connections == 1)
        crowd = [await Client.to(server) for _ in range(30)]
        for client in crowd:
            assert (await client.answer()).status == 503
            assert await client.closed()
        assert server.connections == 1
        inside.close()


# Counting and stopping


async def test_requests_are_counted_from_head_to_end():
    """In flight is what has been admitted and not yet served."""
    slow = Slow()
    async with listening(Stage(slow)) as server:
        client = await Client.to(server)
        await until(lambda: server.connections == 1)
        assert server.in_flight == 0
        data = request(b"hello")
        await client.send(data[:-2])
        await until(lambda: server.in_flight == 1)
        await client.send(data[-2:])
        await until(lambda: slow.started)
        assert server.in_flight == 1
        slow.may.set()
        await client.answer()
        await until(lambda: server.in_flight == 0)
        client.close()


async def test_stopping_lets_what_runs_finish():
    """The listener closes, a stream under way ends whole, its connection closes, and then the server is drained."""
    streaming = Streaming()
    async with listening(Stage(streaming)) as server:
        client = await Client.to(server)
        await client.send(request())
        await until(lambda: streaming.started)
        server.stop_accepting()
        server.stop_accepting()
        with pytest.raises(ConnectionRefusedError):
            await Client.to(server)
        assert not await server.drained(soon(0.05))
        streaming.may.set()
        answer = await client.answer()
        assert (answer.body, answer.whole) == (b"firstsecond", True)
        assert await server.drained(soon(PATIENCE))
        assert await client.closed()


async def test_answers_begun_while_stopping_say_so():
    """A request that was already on its way is served, with the advice to go elsewhere next time."""
    slow = Slow()
    async with listening(Stage(slow)) as server:
        clients = [await Client.to(server) for _ in range(3)]
        await clients[0].send(request(b"serving"))
        await clients[1].send(request(b"body")[:-1])
        await until(lambda: server.in_flight == 2)
        server.stop_accepting()
        slow.may.set()
        await clients[1].send(b"y")
        await clients[2].send(request(b"late"))
        for client, body in zip(clients, (b"serving", b"body", b"late"), strict=True):
            answer = await client.answer()
            assert (answer.body, answer.headers[b"connection"]) == (body, b"close")
        assert await server.drained(soon(PATIENCE))


async def test_idle_connections_do_not_hold_up_stopping():
    """Neither new ones, nor used ones, nor half a head keeps the server from being drained."""
    async with listening(Stage()) as server:
        clients = [await Client.to(server) for _ in range(3)]
        await clients[1].send(request(b"a"))
        await clients[1].answer()
        await clients[2].send(b"GET / HT")
        await until(lambda: server.connections == 3)
        server.stop_accepting()
        assert await server.drained(soon(PATIENCE))
        for client in clients[:2]:
            assert await client.closed()
        assert (await clients[2].answer()).status == 408


async def test_a_large_answer_leaves_whole_before_the_server_is_drained():
    """What the client has not taken yet counts as under way."""

    async def serve(call: Call, reply: Reply) -> None:
        reply.send(200, TEXT, b"x" * 8_000_000)

    async with listening(Stage(serve)) as server:
        client = await Client.to(server, receive_buffer=65_536)
        await client.send(request())
        await until(client.pending)
        server.stop_accepting()
        assert not await server.drained(soon(0.8))
        assert len((await client.answer()).body) == 8_000_000
        assert await server.drained(soon(PATIENCE))
        client.close()


async def test_closing_cancels_what_is_left():
    """A request not yet answered gets 503; one that is streaming may say last words; nothing stays behind."""
    slow = Slow()

    async def serve(call: Call, reply: Reply) -> None:
        if call.body == b"slow":
            await slow(call, reply)
        reply.start(200, TEXT)
        await reply.write(b"first")
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            if call.body == b"polite" and not reply.gone:
                reply.finish(b"sorry")
            raise

    app = Stage(serve)
    async with listening(app) as server:
        clients = [await Client.to(server) for _ in range(3)]
        for client, body in zip(clients, (b"slow", b"polite", b"rude"), strict=True):
            await client.send(request(body))
        await until(lambda: len(app.calls) == 3)
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(server.close())
        answers = [await client.answer() for client in clients]
        await closing
    assert [answer.status for answer in answers] == [503, 200, 200]
    assert [answer.body for answer in answers] == [b"draining", b"firstsorry", b"first"]
    assert [answer.whole for answer in answers] == [True, True, False]
    assert slow.cancelled == 1
    assert slow.gone == 0


async def test_closing_twice_or_before_the_start_is_harmless():
    """Whoever cleans up need not ask how far things got."""
    server = HttpServer(Stage(), Listen(port=0))
    await server.close()
    assert await server.drained(soon(1))
    await server.start()
    await server.close()
    await server.close()
