"""Talks to the admin listener of a live server, and says in an operator's words what went wrong."""

import argparse
import http.client
import json
import queue
import ssl
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from twospeed.config import secret
from twospeed.secrets import Unresolved

URL = "http://127.0.0.1:8081"
KEY = "TWOSPEED_ADMIN_KEY"
PATIENCE = 10.0  # seconds for an answer
SILENT = 30.0  # seconds without a heartbeat after which a feed counts as broken
LARGEST = 16 << 20  # bytes of an answer


class Failed(Exception):
    """What was asked for was not done; the message names the place and the remedy. `code`: to exit with."""

    def __init__(self, message: str, code: int = 1, kind: str = "", told: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.told = told or {}


class Answer(NamedTuple):
    """What came back. `tag`: the ETag, "" for none."""

    value: dict[str, Any]
    tag: str


class Admin:
    """One server.

    Args:
        url: Base address of its admin listener.
        key: The admin key, "" for none.
    """

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url.rstrip("/")
        self._key = key
        if not _is_address(self.url):
            raise Failed(f"--url {url}: expected http://HOST:PORT, the address of the admin listener", 2)

    def get(self, path: str) -> Answer:
        """Read something. Raises: Failed."""
        return self._asked("GET", path)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, tag: str = "") -> Answer:
        """Change something; `tag`: only if it is still as it was then. Raises: Failed."""
        return self._asked(method, path, json.dumps(body or {}).encode(), {"if-match": tag} if tag else {})

    def follow(self, path: str, after: int | None = None) -> "Feed":
        """Listen to an event feed, from after one event on; from now on without. Raises: Failed."""
        headers = {"accept": "text/event-stream"} | ({} if after is None else {"last-event-id": str(after)})
        return Feed(self._opened("GET", path, None, headers, SILENT))

    def _asked(
        self, method: str, path: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> Answer:
        with self._opened(method, path, body, more or {}, PATIENCE) as answer:
            try:
                value = json.loads(answer.read(LARGEST))
            except (ValueError, OSError, http.client.HTTPException):
                raise Failed(f"{self.url}: this is no admin listener of twospeed{_hint(self.url)}") from None
            return Answer(value, answer.headers.get("etag", ""))

    def _opened(
        self, method: str, path: str, body: bytes | None, more: Mapping[str, str], patience: float
    ) -> http.client.HTTPResponse:
        headers = {"content-type": "application/json", **more}
        if self._key:
            headers["x-admin-key"] = self._key
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            answer: http.client.HTTPResponse = _DIRECT.open(request, timeout=patience)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLError):
                raise Failed(f"{self.url}: the admin listener speaks http, not https ({reason.reason})") from None
            words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise Failed(f"{self.url}: no server answers there ({words.lower()}){_hint(self.url)}") from None
        return answer

    def _refused(self, error: urllib.error.HTTPError) -> Failed:
        try:
            told = json.loads(error.read(LARGEST))
            kind, message = str(told["error"]["type"]), str(told["error"]["message"])
        except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
            return Failed(f"{self.url}: answers {error.code}, which is no answer of an admin listener{_hint(self.url)}")
        if error.code == 401:
            given = f"the key is wrong: {message}" if self._key else f"a key is needed: {message}"
            return Failed(f"{self.url}: {given}; set {KEY}, or give --key env:NAME or --key file:PATH")
        elsewhere = kind != "not_found" or ("rollout" not in message and "flag" not in message)
        if error.code == 404 and elsewhere:
            return Failed(f"{self.url}: {message}{_hint(self.url)}", 1, kind, told)
        return Failed(message, 2 if error.code in (400, 404) else 1, kind, told)


class Feed:
    """Events as they come. Read by a thread, so that whoever waits for one may do something else now and then."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(answer,), daemon=True).start()

    def next(self, timeout: float) -> dict[str, Any] | None:
        """Return the next event, None when there is none within `timeout` seconds. Raises: EOFError at the end."""
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        if event is None:
            raise EOFError
        return event

    def _read(self, answer: http.client.HTTPResponse) -> None:
        try:
            for event in parsed(answer):
                self._events.put(event)
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the server has gone: the end says it
        finally:
            self._events.put(None)
            answer.close()


def parsed(lines: "http.client.HTTPResponse | Iterator[bytes]") -> Iterator[dict[str, Any]]:
    """Read the data of server-sent events.

    >>> list(parsed(iter([b"id: 1\\n", b'data: {"a": 1}\\n', b"\\n", b": alive\\n"])))
    [{'a': 1}]
    """
    for line in lines:
        if line.startswith(b"data:"):
            yield json.loads(line[5:])


def connected(options: argparse.Namespace) -> Admin:
    """Return the server that the options name. Raises: Failed."""
    try:
        key = secret(options.key) if options.key else ""
    except Unresolved as error:
        raise Failed(f"--key {options.key}: {error}", 2) from None
    if not options.key:
        try:
            key = secret(f"env:{KEY}")
        except Unresolved:
            key = ""  # reading needs none on the same machine
    return Admin(options.url, key)


def complained(failed: Failed, as_json: bool) -> int:
    """Say what went wrong and return the exit code."""
    if as_json:
        told = {"error": {"type": failed.kind or "failed", "message": str(failed)}, **failed.told}
        print(json.dumps({**told, "exit_code": failed.code}))
    print(failed, file=sys.stderr)
    return failed.code


def _is_address(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False


def _hint(url: str) -> str:
    """Say what the address should be."""
    usual = "" if url == URL else f" ({URL} is usual)"
    return f": give --url the address of the admin listener{usual}, as `twospeed serve` prints it on its screen"


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is near, whatever HTTP_PROXY says
