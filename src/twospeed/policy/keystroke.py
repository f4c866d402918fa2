"""Keystrokes: when a newer completion makes an older one pointless, because its editor has typed on.

Only streams of one session, endpoint and model are compared. A session the client names itself has one cursor: its newest
request is the one that is waited for. Where the session is only guessed (caller, user agent, head of the prompt), two
editors or two jobs may share it, so the texts must show the typing: a few characters more at the cursor, or the last few
changed, and everything else the same. An equal prompt is a second sample, not a keystroke.
"""

from typing import Literal

import msgspec

from twospeed.types import Completion

CancelOlder = Literal["typing", "session", "never"]

TYPED = 64  # characters that one keystroke may bring: a word, an accepted suggestion, a short paste
RETYPED = 16  # characters before the cursor that it may change: a correction, a closed bracket
NAMED = frozenset(
    {
        *("x-twospeed-session", "x-claude-code-session-id", "session-id", "session_id", "thread-id"),
        *("x-session-id", "x-litellm-session-id", "x-conversation-id", "metadata", "client_metadata"),
    }
)  # sources of a session by which a client names a conversation; affinity and cache keys are shared by many


class Stroke(msgspec.Struct, frozen=True):
    """One streamed completion, as far as keystrokes are told by it. `source`: what its session was derived from."""

    session: str
    source: str
    endpoint: str
    model: str
    completion: Completion


def supersedes(newer: Stroke, older: Stroke, rule: CancelOlder) -> bool:
    """Say whether nobody waits for the older one any more.

    Args:
        rule: "typing": also where only the text tells. "session": in sessions the client names. "never".
    """
    if rule == "never" or not newer.session:
        return False
    if (newer.session, newer.endpoint, newer.model) != (older.session, older.endpoint, older.model):
        return False
    return newer.source in NAMED or (rule == "typing" and typed_on(older.completion, newer.completion))


def typed_on(older: Completion, newer: Completion) -> bool:
    """Say whether one text looks like the other a keystroke later.

    >>> typed_on(Completion("def f(", ")"), Completion("def f(a", ")"))
    True
    >>> typed_on(Completion("def f("), Completion("def g("))
    False
    """
    if older.prompt == newer.prompt or (older.infill, older.families) != (newer.infill, newer.families):
        return False
    if older.families:
        return _one_change(older.prompt, newer.prompt)
    if not older.infill:
        return _grown(older.prompt, newer.prompt, 0)
    return _same_end(older.suffix or "", newer.suffix or "") and _grown(older.prompt, newer.prompt, RETYPED)


def _grown(older: str, newer: str, changed: int) -> bool:
    """Say whether text was added at the end, after the last few characters were changed or taken away."""
    kept = older[: len(older) - min(changed, len(older) // 2)]
    return newer.startswith(kept) and len(newer) - len(older) <= TYPED


def _same_end(older: str, newer: str) -> bool:
    """Say whether the text behind the cursor is the same but for what an editor closes by itself."""
    shorter, longer = sorted((older, newer), key=len)
    return longer.endswith(shorter) and len(longer) - len(shorter) <= RETYPED


def _one_change(older: str, newer: str) -> bool:
    """Say whether a text was changed in one place only, as typing between marks does."""
    head = _common(older, newer)
    tail = _common(older[head:][::-1], newer[head:][::-1])
    return len(older) - head - tail <= RETYPED and len(newer) - head - tail <= TYPED


def _common(one: str, other: str) -> int:
    """Return how many first characters are the same."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
