"""Streams that a newer keystroke ends: which task is cancelled, who waits for whom, and what is forgotten."""

import asyncio

from twospeed.keystrokes import Keystrokes
from twospeed.policy.keystroke import Stroke
from twospeed.types import Completion


def stroke(session: str = "s", prompt: str = "a") -> Stroke:
    """A stroke in a session the client names."""
    return Stroke(session, "x-twospeed-session", "/v1/completions", "auto", Completion(prompt))


class Editor:
    """Serves requests as the proxy does and writes down what becomes of each."""

    def __init__(self) -> None:
        self.keystrokes = Keystrokes()
        self.heard: list[str] = []

    async def serve(self, name: str, typed: Stroke, farewell: float = 0.0) -> None:
        try:
            await self.keystrokes.begin(name, typed, "typing")
            self.heard.append(f"{name} begins")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(farewell)
            if not self.keystrokes.superseded(name):
                self.heard.append(f"{name} is cancelled")
                raise
            self.heard.append(f"{name} is superseded")
        finally:
            self.keystrokes.end(name)

    def start(self, name: str, typed: Stroke, farewell: float = 0.0) -> "asyncio.Task[None]":
        return asyncio.create_task(self.serve(name, typed, farewell))


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_newer_begins_when_the_older_has_ended():
    """What the older request held of a limit is free before the newer one asks for it."""
    editor = Editor()
    older = editor.start("older", stroke())
    await settled()
    newer = editor.start("newer", stroke(prompt="ab"), farewell=0)
    async with asyncio.timeout(10):
        await older
    await settled()
    assert editor.heard == ["older begins", "older is superseded", "newer begins"]
    newer.cancel()
    await asyncio.gather(newer, return_exceptions=True)
    assert editor.heard[-1] == "newer is cancelled"


async def test_other_sessions_stream_on():
    """A keystroke ends nothing but its own session's streams."""
    editor = Editor()
    tasks = [editor.start("one", stroke("s")), editor.start("two", stroke("t"))]
    await settled()
    assert editor.heard == ["one begins", "two begins"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_fast_typing_ends_each_but_the_last():
    """Several keystrokes in one turn of the loop: each is cancelled once, and only the last one streams."""
    editor = Editor()
    tasks = [editor.start(str(number), stroke(prompt="a" * number)) for number in range(5)]
    await settled()
    assert editor.heard[-1] == "4 begins"
    assert sorted(line for line in editor.heard if "superseded" in line) == [f"{n} is superseded" for n in range(4)]
    tasks[4].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_client_that_left_meanwhile_is_gone():
    """When the client of the older request leaves at the same moment, that is what counts."""
    editor = Editor()
    older = editor.start("older", stroke(), farewell=0)
    await settled()
    newer = editor.start("newer", stroke(prompt="ab"))
    await asyncio.sleep(0)
    older.cancel()
    await asyncio.gather(older, return_exceptions=True)
    assert older.cancelled()
    assert "older is cancelled" in editor.heard
    newer.cancel()
    await asyncio.gather(newer, return_exceptions=True)


async def test_an_older_request_that_does_not_end_is_not_waited_for_long(monkeypatch):
    """Somebody is typing: after a moment the newer request goes on regardless."""
    monkeypatch.setattr("twospeed.keystrokes.PATIENCE", 0.001)
    editor = Editor()
    older = editor.start("older", stroke(), farewell=3600)
    await settled()
    newer = editor.start("newer", stroke(prompt="ab"))
    async with asyncio.timeout(10):
        while "newer begins" not in editor.heard:
            await asyncio.sleep(0)
    for task in (older, newer):
        task.cancel()
    await asyncio.gather(older, newer, return_exceptions=True)


async def test_nothing_is_remembered_of_what_has_ended():
    """Sessions come and go; ending twice, or what was never begun, is fine."""
    editor = Editor()
    task = editor.start("one", stroke())
    await settled()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    editor.keystrokes.end("one")
    editor.keystrokes.end("never")
    assert not editor.keystrokes.superseded("one")
    assert vars(editor.keystrokes) == vars(Keystrokes())
