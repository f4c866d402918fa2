"""A race as a conversation: `<<` what it says, `>>` what it hears, `.at()` moves the clock.

A playbook is true when the whole dialogue came as written; else its repr shows what came instead.
"""

from typing import Self

from twospeed.policy.race import Command, Event, Race


class Playbook:
    """Runs a race against a script."""

    def __init__(self, race: Race) -> None:
        self.race = race
        self.now = 0.0
        self.said: list[Command] = [race.start(0.0)]
        self.lines: list[str] = []
        self.right = True

    def at(self, now: float) -> Self:
        """Move the clock to `now` seconds after the start."""
        self.now = now
        return self

    def __rshift__(self, event: Event) -> Self:
        self._nothing_unsaid()
        self.lines.append(f"{self.now:7.3f}  >> {event}")
        self.said = list(self.race.on(event, self.now))
        return self

    def __lshift__(self, expected: object) -> Self:
        actual = self.said.pop(0) if self.said else None
        same = actual == expected or (isinstance(expected, type) and isinstance(actual, expected))
        self.right = self.right and same
        self.lines.append(f"{self.now:7.3f}  << {actual}" + ("" if same else f"      expected {expected}"))
        return self

    def _nothing_unsaid(self) -> None:
        for command in self.said:
            self.right = False
            self.lines.append(f"{self.now:7.3f}  << {command}      expected nothing")

    def __bool__(self) -> bool:
        self._nothing_unsaid()
        return self.right

    def __repr__(self) -> str:
        return "\n".join(["the race went:", *self.lines])
