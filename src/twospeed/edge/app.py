"""What the engine serves: a whole request in, an answer out, and how a bug in between is told."""

import logging
import traceback
from collections.abc import Awaitable
from typing import Protocol

import msgspec

from twospeed.dialects import Refusal
from twospeed.edge.reply import Reply
from twospeed.edge.wire import Head
from twospeed.errors import Fault, Kind

_log = logging.getLogger("twospeed.edge")


class Call(msgspec.Struct):
    """One whole request. `received_at`: instant its head was complete."""

    head: Head
    body: bytes
    received_at: float


class App(Protocol):
    """What a listener serves. Exceptions other than Fault are bugs: logged without contents, answered as INTERNAL."""

    def admit(self, head: Head) -> Refusal | None:
        """Look at a head before its body is read: None to go on, or the answer. Must not block.

        A Fault raised is answered with `refuse`.
        """

    def refuse(self, head: Head | None, fault: Fault) -> Refusal:
        """Render a fault of the engine; `head` is None when it could not be read. Must not block or raise."""

    def serve(self, call: Call, reply: Reply) -> Awaitable[None] | None:
        """Answer one request: at once, or once what this returns has been awaited.

        Cancelled when the client goes (`reply.gone`), and when the server closes.

        A Fault raised before the answer was started is answered with `refuse`; after that the connection is cut.
        """


def reported(bug: BaseException) -> Fault:
    """Log an exception that is a bug, once, and return the fault that stands for it.

    Its message and values may hold contents of requests, so only its type and where it was raised are told.
    """
    where = "".join(traceback.format_tb(bug.__traceback__))
    _log.error("bug: %s while serving a request\n%s", type(bug).__qualname__, where)
    return Fault(Kind.INTERNAL, "Internal error.", detail=type(bug).__qualname__)
