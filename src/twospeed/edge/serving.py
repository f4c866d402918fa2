"""The requests of one connection being served, one after the other: the app's task, and what becomes of its failures.

Tasks: one per request, cancelled when the client goes; its connection owns it and `HttpServer.close` awaits it.
"""

import asyncio
import inspect
from collections.abc import Callable

from twospeed.edge.app import Call, reported
from twospeed.edge.line import Line
from twospeed.edge.reply import Reply, reply_to
from twospeed.edge.shared import Shared
from twospeed.edge.wire import Head
from twospeed.errors import Fault, Kind


class Serving:
    """Serves the requests of one connection.

    `task`: the request under way, None between requests. `reply`: its answer, or the last one.

    Args:
        ended: Called with its reply when a request is over: answered, failed or cancelled.
    """

    __slots__ = ("_cut", "_ended", "_line", "_shared", "reply", "task")

    def __init__(self, shared: Shared, line: Line, ended: Callable[[Reply], None]) -> None:
        self._shared = shared
        self._line = line
        self._ended = ended
        self._cut = False  # the task has been cancelled, once
        self.reply: Reply | None = None
        self.task: asyncio.Task[None] | None = None

    def begin(self, call: Call) -> None:
        """Let the app serve a request."""
        self.reply = reply = reply_to(call.head, self._line)
        self.task = self._shared.loop.create_task(self._serve(call, reply))

    def owes(self) -> bool:
        """Say whether a request is under way whose answer is not complete."""
        return self.task is not None and self.reply is not None and not self.reply.done

    def leave(self) -> None:
        """The client is gone: what is still owed cannot reach it any more."""
        if self.owes() and self.reply is not None:
            self.reply.gone = True
            self.cut()

    def cut(self) -> None:
        """Cancel the task; a second call changes nothing, so that its clean-up is not disturbed."""
        task, reply = self.task, self.reply
        if task is None or reply is None or self._cut:
            return
        self._cut = True
        task.cancel()
        story = task.get_coro()
        if inspect.iscoroutine(story) and inspect.getcoroutinestate(story) == inspect.CORO_CREATED:
            self._over(reply)  # a task cancelled before its first step never gets to say so itself

    async def _serve(self, call: Call, reply: Reply) -> None:
        try:
            try:
                waiting = self._shared.app.serve(call, reply)
                if waiting is not None:
                    await waiting
            except Fault:
                raise
            except asyncio.CancelledError as cancelled:
                if self.task is None or self.task.cancelling():
                    self._say_draining(call.head, reply)
                    raise
                raise reported(cancelled) from cancelled
            except Exception as bug:
                raise reported(bug) from bug
            if not reply.done:
                raise reported(RuntimeError("serve() returned without an answer"))
        except Fault as fault:
            self._fail(call.head, reply, fault)
        finally:
            self._over(reply)

    def _fail(self, head: Head, reply: Reply, fault: Fault) -> None:
        if reply.started or self._line.stalled:
            reply.abort()
        elif not reply.gone:
            reply.keep_alive = False
            reply.send(*self._shared.app.refuse(head, fault))

    def _say_draining(self, head: Head, reply: Reply) -> None:
        if not reply.gone and not reply.started:
            self._fail(head, reply, Fault(Kind.DRAINING, "The server is stopping."))

    def _over(self, reply: Reply) -> None:
        self.task = None
        self._ended(reply)
