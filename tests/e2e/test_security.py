"""What attackers try, through the whole server: requests that could be read in two ways, credentials, addresses, secrets."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import aiohttp
import pytest
from tests.serving import TWO_FAST, serving
from tests.wire import ASK, CLOSE, Wire, ok

from twospeed.config import read
from twospeed.edge.serve import Server

OURS, CALLERS, ADMINS, PASSWORD = "sk-MARK-ours", "sk-MARK-caller", "sk-MARK-admin", "MARK-password"
ANSWER = json.dumps(
    {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
).encode()  # fmt: skip
BODY = b'{"model":"fast","messages":[{"role":"user","content":"hi"}]}'


def configured(wire: Wire, more: str = "") -> str:
    """One provider on the wire, keys on every door."""
    return f"""
listen: {{port: 0}}
admin: {{port: 0, key: env:ADMIN}}
keys: [{{name: ann, key: env:CALLER}}]
providers: {{out: {{kind: openai, base_url: "{wire.url}", key: env:OURS, models: {{m: {{}}}}{more}}}}}
tiers: {{fast: {{models: [out/m]}}, deep: {{models: [out/m]}}}}
"""


ENV = {"OURS": OURS, "CALLER": CALLERS, "ADMIN": ADMINS}


async def exchanged(address: tuple[str, int], *parts: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    reader, writer = await asyncio.open_connection(*address)
    async with asyncio.timeout(10):
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            writer.write_eof()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


def post(*headers: bytes, body: bytes = BODY, line: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *headers, b"", body])


LENGTH = b"content-length: %d" % len(BODY)
AMBIGUOUS = {
    "both framings": post(b"host: a", LENGTH, b"transfer-encoding: chunked", body=b"0\r\n\r\n" + BODY),
    "two lengths": post(b"host: a", LENGTH, b"content-length: 1"),
    "two equal lengths": post(b"host: a", LENGTH, LENGTH),
    "list of lengths": post(b"host: a", b"content-length: 3, 3"),
    "signed length": post(b"host: a", b"content-length: +%d" % len(BODY)),
    "hex length": post(b"host: a", b"content-length: 0x3c"),
    "length with underscore": post(b"host: a", b"content-length: 6_0"),
    "spaced name": post(b"host: a", b"content-length : %d" % len(BODY)),
    "other coding": post(b"host: a", b"transfer-encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "coding not last": post(b"host: a", b"transfer-encoding: chunked, identity", body=b"0\r\n\r\n"),
    "coding with tab": post(b"host: a", b"transfer-encoding: x\tchunked", body=b"0\r\n\r\n"),
    "coding twice": post(b"host: a", b"transfer-encoding: chunked", b"transfer-encoding: chunked", body=b"0\r\n\r\n"),
    "coding in 1.0": post(b"transfer-encoding: chunked", body=b"0\r\n\r\n", line=b"POST /v1/chat/completions HTTP/1.0"),
    "folded": post(b"host: a", b"x: 1\r\n folded", LENGTH),
    "bare cr": post(b"host: a", b"x: 1\rcontent-length: 0", LENGTH),
    "bare lf": post(b"host: a\nx: 1", LENGTH),
    "nul": post(b"host: a", b"x: a\0b", LENGTH),
    "bad name": post(b"host: a", b"x\x80y: 1", LENGTH),
    "two hosts": post(b"host: a", b"host: b", LENGTH),
    "no host": post(LENGTH),
    "connect": b"CONNECT other:443 HTTP/1.1\r\nhost: other:443\r\n\r\n",
    "absolute target elsewhere": post(
        b"host: a", LENGTH, line=b"POST http://169.254.169.254/v1/chat/completions HTTP/1.2"
    ),
    "signed chunk": post(b"host: a", b"transfer-encoding: chunked", body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk with underscore": post(b"host: a", b"transfer-encoding: chunked", body=b"0_5\r\nhello\r\n0\r\n\r\n"),
    "chunk with prefix": post(b"host: a", b"transfer-encoding: chunked", body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk longer than it says": post(b"host: a", b"transfer-encoding: chunked", body=b"2\r\nhello\r\n0\r\n\r\n"),
    "endless chunk size": post(b"host: a", b"transfer-encoding: chunked", body=b"f" * 40 + b"\r\n"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_can_be_read_in_two_ways_is_refused(name: str):
    """R26: a 4xx, the end of the connection, and nothing behind it is taken for a request; the provider hears nothing."""
    async with Wire([ASK, ok(ANSWER)]) as wire, serving(configured(wire), ENV) as server:
        smuggled = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
        key = b"authorization: Bearer " + CALLERS.encode()
        sent = AMBIGUOUS[name].replace(b"host: a\r\n", b"host: a\r\n" + key + b"\r\n", 1)
        answer = await exchanged(server.server.http.address, sent + smuggled)
        assert wire.accepted == 0
    assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer), answer
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"MARK" not in answer


async def test_credentials_of_a_client_stay_here():
    """R30: whatever a client proves itself with, and every header about the way it came, ends here; our key goes out."""
    secret = {
        "cookie": "MARK",
        "x-api-key": "MARK",
        "api-key": "MARK",
        "proxy-authorization": "Basic MARK",
        "forwarded": "for=MARK",
        "x-forwarded-for": "MARK",
        "x-real-ip": "MARK",
        "x-hop": "MARK",
        "te": "MARK",
        "connection": "keep-alive, x-hop, openai-project",
        "openai-project": "MARK",
        "x-unlisted": "MARK",
        "authorization": f"Bearer {CALLERS}",
    }
    async with Wire([ASK, ok(ANSWER)]) as wire, serving(configured(wire), ENV) as server:
        answer = await server.chat(headers={**secret, "openai-beta": "passes"}, model="fast")
        assert answer.status == 200
        head = wire.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert b"authorization: bearer " + OURS.lower().encode() in head
    assert b"openai-beta: passes" in head
    assert head.replace(OURS.lower().encode(), b"").count(b"mark") == 0


async def test_a_request_cannot_say_where_it_goes():
    """R31: addresses, headers and keys in a body or in headers of routing have no effect; the trap hears nothing."""
    async with (
        Wire([ASK, ok(ANSWER)]) as trap,
        Wire([ASK, ok(ANSWER)]) as wire,
        serving(configured(wire), ENV) as server,
    ):
        lure = dict.fromkeys(("api_base", "base_url", "api_url", "endpoint", "proxy", "callback_url"), trap.url)
        more = {"extra_headers": {"x-evil": "1"}, "api_key": "sk-evil", "user_config": {"base_url": trap.url}}
        headers = {"authorization": f"Bearer {CALLERS}", "x-api-base": trap.url, "x-forwarded-host": trap.url}
        image = {"type": "image_url", "image_url": {"url": f"{trap.url}/secret"}}
        messages = [{"role": "user", "content": [{"type": "text", "text": trap.url}, image]}]
        answer = await server.chat(headers=headers, model="fast", messages=messages, **lure, **more)
        assert answer.status in (200, 400)
        assert trap.accepted == 0
        assert all(b"x-evil" not in request.partition(b"\r\n\r\n")[0] for request in wire.requests)


async def test_redirects_are_not_followed():
    """R14, R31: a provider cannot send us elsewhere."""
    async with Wire([ASK, ok(ANSWER)]) as trap:
        moved = b"HTTP/1.1 307 Moved\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % trap.url.encode()
        async with Wire([ASK, moved, CLOSE]) as wire, serving(configured(wire), ENV) as server:
            answer = await server.chat(headers={"authorization": f"Bearer {CALLERS}"}, model="fast")
            assert answer.status == 502
            assert "location" not in answer.headers
            assert trap.accepted == 0


@pytest.mark.parametrize("key", ["", "sk-MARK-wrong", "Bearer", "sk-MARK-ü", CALLERS + "x", CALLERS[:-1]])
async def test_a_wrong_key_is_told_nothing(key: str):
    """R32: every wrong key gets the same words, before the body is read, and none of them is repeated."""
    async with Wire([ASK, ok(ANSWER)]) as wire, serving(configured(wire), ENV) as server:
        head = post(b"host: a", b"authorization: Bearer " + key.encode(), b"content-length: 99999", body=b"")
        answer = await exchanged(server.server.http.address, head)
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"MARK" not in answer
        assert wire.accepted == 0


async def test_secrets_are_in_nothing_that_the_server_says(tmp_path):
    """R34: answers, errors, logs, admin, metrics and process arguments hold no key, whatever was sent."""
    refusals = b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n%b" % (len(OURS) + 9, b"bad key: " + OURS.encode())
    async with Wire([ASK, ok(ANSWER), ASK, refusals, ASK, ok(b"not json " + OURS.encode())]) as wire:
        path = tmp_path / "c.yaml"
        path.write_text(
            configured(wire, ", headers: {x-other: env:PASSWORD}, proxy: none").replace("env:CALLER", "file:caller")
        )
        (tmp_path / "caller").write_text(CALLERS)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "twospeed", "serve", "--config", str(path), "--log", "json"),
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                **ENV,
                "PASSWORD": PASSWORD,
                "PYTHONUNBUFFERED": "1",
                "TWOSPEED_STATE_DIR": str(tmp_path / "s"),
            },
        )
        try:
            said = await _provoked(process, path)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert len(wire.requests) == 3
    assert all(OURS.encode() in request for request in wire.requests)
    assert b"MARK" not in said, said[max(0, said.index(b"MARK") - 200) :][:400]
    kept = b"".join(file.read_bytes() for file in (tmp_path / "s").rglob("*") if file.is_file())
    assert b"env:OURS" in kept
    assert b"MARK" not in kept


async def _provoked(process: asyncio.subprocess.Process, path) -> bytes:
    """Ask rightly and wrongly at both doors; return everything that was said, arguments of the process included."""
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(20):
        while not (doors := re.findall(rb"http://127\.0\.0\.1:(\d+)", said)) or b"try:" not in said:
            said += await process.stderr.readline()
    door = ("127.0.0.1", int(doors[0]))
    ports = sorted({int(port) for port in doors})
    admin = ("127.0.0.1", next(port for port in ports if port != door[1]))
    key = b"authorization: Bearer " + CALLERS.encode()
    said += await exchanged(door, post(b"host: a", key + b"\x01", LENGTH))
    said += await exchanged(door, post(b"host: a", b"author\xffization: Bearer sk-MARK-x", LENGTH))
    said += await exchanged(door, b"sk-MARK-y\r\n\r\n")
    said += await exchanged(door, post(b"host: a", key, b"content-length: 3", body=b'{"k'))
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            url, headers = f"http://127.0.0.1:{door[1]}/v1/chat/completions", {"authorization": f"Bearer {CALLERS}"}
            async with http.post(url, data=BODY, headers=headers) as answer:
                said += str(answer.headers).encode() + await answer.read()
        for name in ("/metrics", "/admin/status", "/admin/config", "/nowhere"):
            for given in (ADMINS, "sk-MARK-wrong"):
                headers = {"authorization": f"Bearer {given}"}
                async with http.get(f"http://127.0.0.1:{admin[1]}{name}", headers=headers) as answer:
                    said += str(answer.headers).encode() + await answer.read()
        path.write_text(path.read_text().replace("env:OURS", OURS))  # a secret in plain text: refused, not quoted
        async with http.post(f"http://127.0.0.1:{admin[1]}/admin/reload", headers={"x-admin-key": ADMINS}) as answer:
            assert answer.status == 422
            said += await answer.read()
    said += await exchanged(admin, b"GET /\x01 HTTP/1.1\r\nauthorization: Bearer " + ADMINS.encode() + b"\r\n\r\n")
    said += await exchanged(admin, b"sk-MARK-z\r\n\r\n")
    said += _arguments(process.pid)
    process.terminate()
    return said + await process.stderr.read()


def _arguments(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def test_a_server_without_keys_keeps_to_this_machine():
    """R33: beyond loopback it takes keys, and the admin listener one of its own."""
    with pytest.raises(Exception, match="no keys are configured"):
        read(TWO_FAST.replace("{port: 0}", "{port: 0, host: 0.0.0.0}").encode(), "f", {})


async def test_repr_of_a_server_shows_no_secret():
    """R34: crash output shows objects; those hold no secret that prints."""
    async with Wire([ASK, ok(ANSWER)]) as wire:
        loaded = read(configured(wire).encode(), "f", ENV)
        server = Server(lambda: loaded, loaded, "off")
        assert "MARK" not in repr(loaded) + repr(vars(server)) + repr(loaded.config)
        await server.api.runtime.close()
