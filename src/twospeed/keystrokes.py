"""Completions being streamed, by session: a newer keystroke ends the older request that it makes pointless.

Owns no task: it cancels the one that serves the older request and tells that one whose cancellation it was. A process ends
what it serves itself; where several share the connections, a client that leaves is still noticed by each of them (R15).
"""

import asyncio

import msgspec

from twospeed.policy.keystroke import CancelOlder, Stroke, supersedes

PATIENCE = 0.5  # seconds for an older request to give back what it holds, before the newer one goes on regardless


class _Streamed(msgspec.Struct):
    stroke: Stroke
    task: asyncio.Task[None]
    superseded: bool = False


class Keystrokes:
    """The streams of one process that a keystroke may end."""

    def __init__(self) -> None:
        self._streamed: dict[str, _Streamed] = {}
        self._sessions: dict[str, dict[str, _Streamed]] = {}

    async def begin(self, request: str, stroke: Stroke, rule: CancelOlder) -> None:
        """Note a request, by its id, that the running task serves, and end the older ones it supersedes.

        Returns when these have ended, so that what they held of a limit is free.
        """
        task = asyncio.current_task()
        assert task is not None
        others = self._sessions.setdefault(stroke.session, {})
        older = [other for other in others.values() if supersedes(stroke, other.stroke, rule)]
        self._streamed[request] = others[request] = _Streamed(stroke, task)
        for other in older:
            if not other.superseded:
                other.superseded = True
                other.task.cancel()
        if older:
            await asyncio.wait([other.task for other in older], timeout=PATIENCE)

    def superseded(self, request: str) -> bool:
        """Say whether the running task was cancelled for a newer keystroke and nothing else; it may then go on."""
        streamed = self._streamed.get(request)
        return streamed is not None and streamed.superseded and streamed.task.uncancel() == 0

    def end(self, request: str) -> None:
        """Forget a request, known or not."""
        streamed = self._streamed.pop(request, None)
        if streamed is None:
            return
        others = self._sessions[streamed.stroke.session]
        del others[request]
        if not others:
            del self._sessions[streamed.stroke.session]
