r"""Events that differ from one another in their texts only: read once, and then passed by the read instead of by the event.

A stream says the same JSON again and again around another piece of text. Whatever stands inside a JSON string that
nobody reads, an event means what the one before meant that was alike: finding the same bytes around a proper text proves as
much as decoding it would. What is not alike is left to whoever decodes.
"""

import re
from collections.abc import Callable
from functools import cache

from twospeed.dialects import sse

# The inside of a JSON string; half a surrogate pair is none to a decoder. It never goes back, so a long one costs no memory.
_TEXT = (
    rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
    rb'|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))[^"\\\x00-\x1f]*+)*+'
)
_NUMBER = rb"(?:0|[1-9][0-9]{0,14})(?![0-9.eE])"
_MEMBERS = b"content|text|delta|arguments|partial_json|thinking|reasoning_content|reasoning|refusal|obfuscation"
# What differs between two events: texts that nobody reads, and the number that Responses give to each.
_GAP = re.compile(rb'"(?:%b)" ?: ?"(?P<text>%b)|"sequence_number" ?: ?(?P<number>%b)' % (_MEMBERS, _TEXT, _NUMBER))
# What may stand before the number of the event itself: one object has begun, and nothing within it.
_OWN = re.compile(rb'(?:event:[^\n]*+\n)?data: ?\{(?:[^"\[{}]++|\[\]|"%b")*+' % _TEXT)
_MOST = 4  # gaps of an event
_LONGEST = 1 << 16  # bytes of an event that others are compared with: it is held, and copied with each read
_VAIN = 8  # moulds in a row into which nothing fitted, after which no more are made
_CASTS = 8  # moulds for one block: each costs a copy of what is left of it
_LINE_ENDS = (b"\r", b"\n")


@cache
def _run(gaps: tuple[str, ...]) -> re.Pattern[bytes]:
    """Return what finds a run of events with these gaps, behind the bytes around the gaps with a NUL after each."""
    around = rb"([^\0]*+)\0" * (len(gaps) + 1)
    event = rb"\1"
    for number, gap in enumerate(gaps, 2):
        event += (_TEXT if gap == "text" else b"(?P<number>%b)" % _NUMBER) + rb"\%d" % number
    return re.compile(around + b"(?:" + event + b")*")


class Mould:
    r"""What the events of one stream have in common.

    `number`: sequence number of the last event, -1 before the first; who reads an event sets it.

    >>> mould, read = Mould(), []
    >>> usual = lambda events: read.append(events) or int(b"DONE" not in events)
    >>> mould.pieces(b'data: {"text":"a"}\n\ndata: {"text":"b\\n"}\n\ndata: [DONE]\n\n', usual)
    (2, 42)
    >>> read
    [b'data: {"text":"a"}\n\n', b'data: [DONE]\n\n']
    """

    __slots__ = ("_around", "_lines", "_numbered", "_run", "_vain", "number")

    def __init__(self) -> None:
        self._around = b""
        self._lines = 1
        self._run: re.Pattern[bytes] | None = None
        self._numbered = False
        self._vain = 0
        self.number = -1

    def pieces(self, block: bytes, usual: Callable[[bytes], int]) -> tuple[int, int]:
        """Return how many events at the start of a block are nothing but a piece of content, and where they end.

        Args:
            block: Whole events.
            usual: Reads whole events and says how many pieces they are, 0 where one of them is anything else.
        """
        count, end = self._alike(block)
        for _ in range(_CASTS):
            if end == len(block) or self._vain == _VAIN:
                break
            first = block[end : sse.first(block, end)]
            if not usual(first):
                return count, end
            self._cast(first)
            more, length = self._alike(block[end + len(first) :])
            count += 1 + more
            end += len(first) + length
        if end < len(block) and (more := usual(block[end:])):
            return count + more, len(block)
        return count, end

    def _alike(self, block: bytes) -> tuple[int, int]:
        """Return how many events at the start of a block fit, and where they end."""
        around, run = self._around, self._run
        found = run.match(around + block) if run else None
        end = found.end() - len(around) if found else 0
        if not found or not end or block.startswith(_LINE_ENDS, end):  # more empty lines than it should have
            return 0, 0
        self._vain = 0
        if self._numbered:
            self.number = int(found["number"])
        return block.count(b"\n", 0, end) // self._lines, end

    def _cast(self, event: bytes) -> None:
        """Make it anew, after an event."""
        self._vain += 1
        numbered = event.count(b"sequence_number")  # one, and that is a gap, or none
        lines = event.count(b"\n")
        if len(event) > _LONGEST or numbered > 1 or not lines or b"\0" in event:
            return
        found = [
            gap for gap in _GAP.finditer(event) if gap["text"] is not None or _OWN.fullmatch(event, 0, gap.start())
        ]
        gaps = [(gap.lastgroup or "", gap.span(gap.lastgroup or 0)) for gap in found]
        kinds = tuple(kind for kind, _ in gaps)
        if 0 < len(gaps) <= _MOST and kinds.count("number") == numbered:
            starts = [0, *(end for _, (_, end) in gaps)]
            ends = [*(start for _, (start, _) in gaps), len(event)]
            self._around = b"".join(event[start:end] + b"\0" for start, end in zip(starts, ends, strict=True))
            self._run = _run(kinds)
            self._numbered = bool(numbered)
            self._lines = lines
