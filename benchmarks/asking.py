"""A client that asks one thing over four APIs and judges the answer by itself: no code of the proxy is used for that.

Cheap enough that a load generator of one process sends hundreds of requests a second.
"""

import asyncio
import json
import random
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from telling_provider import told

PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
PATIENCE = 40.0  # seconds for one answer
CODE = "def count(items):\n    total = 0\n    for item in items:\n        total += item.size\n    return total\n\n"
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
RETRY = re.compile(rb"\r\nretry-after: [1-9]", re.IGNORECASE)


class Asked(NamedTuple):
    """One request and what it should be answered."""

    api: str
    stream: bool
    body: bytes
    wanted: str


class Heard(NamedTuple):
    """What came back. `framed`: the body came to its end as HTTP; False when the connection broke in it."""

    status: int
    head: bytes
    body: bytes
    framed: bool


def asked(api: str, stream: bool, number: int, chance: random.Random, words: int = 0) -> Asked:
    """Write a request with some code in it and an order that no other request has; `words`: of the answer, 0: any."""
    order = f"say q{number}x{chance.getrandbits(24):06x} {words or chance.choice((3, 8, 20, 60))}"
    prompt = f"Look at this:\n{CODE * chance.choice((1, 4, 16))}Then {order}"
    body: dict[str, Any] = {"model": "auto", "stream": stream, "max_tokens": 500}
    if api == "completions":
        body["prompt"] = prompt
    elif api == "responses":
        del body["max_tokens"]
        body |= {"input": [{"type": "message", "role": "user", "content": prompt}], "store": False}
    else:
        body["messages"] = [{"role": "user", "content": prompt}]
    return Asked(api, stream, json.dumps(body).encode(), told(order))


class Asker:
    """Keeps connections to one server and sends requests over them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def ask(
        self, one: Asked, patience: float = PATIENCE, abort: bool = True, orders: str = "", session: str = ""
    ) -> Heard:
        """Send a request and read the answer; when patience ends the client leaves, by RST or FIN.

        Args:
            orders: Header x-twospeed-simulate.
            session: Header session-id.

        Raises: TimeoutError, OSError and asyncio.IncompleteReadError before there is a head.
        """
        head = b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
        more = {"x-twospeed-simulate": orders, "session-id": session}
        lines = "".join(f"{name}: {value}\r\n" for name, value in more.items() if value).encode()
        while self._idle and self._idle[-1][0].at_eof():
            self._idle.pop()[1].close()
        pair = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        reader, writer = pair
        whole = False
        try:
            async with asyncio.timeout(patience):
                writer.write(head % (PATHS[one.api].encode(), lines, len(one.body)) + one.body)
                heard = await _read(reader)
                whole = heard.framed and b"\r\nconnection: close" not in heard.head.lower()
                return heard
        finally:
            if whole:
                self._idle.append(pair)
            elif abort:
                writer.transport.abort()
            else:
                writer.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[1].close()


async def _read(reader: asyncio.StreamReader) -> Heard:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    body = bytearray()
    try:
        if length := LENGTH.search(head):
            body += await reader.readexactly(int(length[1]))
        else:
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
    except (asyncio.IncompleteReadError, OSError, ValueError):
        return Heard(status, head, bytes(body), framed=False)
    return Heard(status, head, bytes(body), framed=True)


def judged(one: Asked, heard: Heard) -> str:
    """Say what an answer is: whole, told (cut, and said so), refused; or one of the bad: wrong, silent, misshapen."""
    if not heard.framed:
        return "silent"
    if heard.status != 200:
        return _refused(heard)
    try:
        if not one.stream:
            return "whole" if _plain(one.api, json.loads(heard.body)) == one.wanted else "wrong"
        text, ended, error = _streamed(one.api, heard.body)
    except (ValueError, KeyError, IndexError, TypeError):
        return "misshapen"
    if ended:
        return "whole" if text == one.wanted and not error else "wrong"
    if error:
        return "told" if one.wanted.startswith(text) else "wrong"
    return "silent"


def _refused(heard: Heard) -> str:
    try:
        proper = isinstance(json.loads(heard.body)["error"]["message"], str)
    except (ValueError, KeyError, TypeError):
        return "misshapen"
    if heard.status in (429, 503) and not RETRY.search(heard.head):
        return "misshapen"
    return "refused" if proper else "misshapen"


def _plain(api: str, answer: Any) -> str:
    if api == "chat":
        text = answer["choices"][0]["message"]["content"] if answer["choices"][0]["finish_reason"] == "stop" else ""
    elif api == "completions":
        text = answer["choices"][0]["text"]
    elif api == "responses":
        parts = [part for item in answer["output"] if item["type"] == "message" for part in item["content"]]
        text = "".join(part["text"] for part in parts) if answer["status"] == "completed" else ""
    else:
        text = "".join(part["text"] for part in answer["content"]) if answer["stop_reason"] == "end_turn" else ""
    return str(text)


def events(body: bytes) -> Iterator[tuple[str, Any]]:
    """Read a stream: the type of each event and its data; comments are passed over, [DONE] is None."""
    for block in body.split(b"\n\n"):
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        data = b"".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
        if lines:
            value = None if data == b"[DONE]" else json.loads(data)
            yield str(value.get("type", "") if value else "[DONE]"), value


def _streamed(api: str, body: bytes) -> tuple[str, bool, bool]:
    """Return the text, whether it has its terminal event, and whether an error was said."""
    if api in ("chat", "completions"):
        return _choices(api, body)
    text, ended, error = [], False, False
    for kind, value in events(body):
        if ended or error:
            raise ValueError("an event after the end")
        if kind == "response.output_text.delta":
            text.append(value["delta"])
        elif kind == "content_block_delta" and value["delta"]["type"] == "text_delta":
            text.append(value["delta"]["text"])
        elif kind == "response.completed" and _plain("responses", value["response"]) != "".join(text):
            raise ValueError("the end says another text")
        ended = kind in ("response.completed", "message_stop")
        error = kind in ("response.failed", "error")
    return "".join(text), ended, error


def _choices(api: str, body: bytes) -> tuple[str, bool, bool]:
    text, done, finished, error = [], False, False, False
    for kind, value in events(body):
        if done or error:
            raise ValueError("an event after the end")
        if kind == "[DONE]":
            done = True
        elif "error" in value:
            error = True
        else:
            for choice in value["choices"]:
                text.append((choice["delta"].get("content") or "") if api == "chat" else choice["text"])
                finished = finished or bool(choice.get("finish_reason"))
    if done and not finished:
        raise ValueError("[DONE] without a finish")
    return "".join(text), done, error
