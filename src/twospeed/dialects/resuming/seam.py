r"""Seam: where the text of one backend ends and that of the next begins; neither repeats nor loses a character.

What the next backend says goes to the client as it is, with two exceptions:

- White space that was cut off the text it was shown (some APIs refuse a text that ends in white space) was delivered
  already: what it begins with of the same white space is left out.
- A backend that begins by repeating the end of what it was shown is cut to what is new. Text is a repetition only if it
  equals the end of the delivered text to its last character, is at least LEAST characters long, and begins there at the
  start or behind white space. It is the answer's own when the delivered text ends with a line end (a line may well
  be followed by its like; unless all of two lines and more is repeated), when the last LEAST characters stand earlier in
  the delivered text, or when the text before it ends as it ends itself: such text already goes in circles, and may go on.

Text is held back only while it may still turn out to be a repetition.
"""

LEAST = 16  # characters
LOOKED_AT = 4_096  # characters of the delivered text's end
_CIRCLE = 3  # characters that two turns of a circle must have in common


class Seam:
    """One seam.

    Args:
        delivered: All text that the client got before.
        shown: What of it the next backend was shown: all of it, or without white space at its end.
    """

    def __init__(self, delivered: str, shown: str) -> None:
        self._shown = shown
        self._space = delivered[len(shown) :]
        self._ends_line = delivered.endswith("\n")
        self._starts = self._places()
        self._held = ""
        self._open = True

    def feed(self, text: str) -> str:
        """Take what the next backend says and return what of it is for the client now."""
        if not self._open:
            return text
        self._held += text
        return "" if self._undecided() else self.flush()

    def flush(self) -> str:
        """Decide by what there is, and hold nothing back any more."""
        held, self._held, self._open = self._held, "", False
        return self._unspaced(held[self._repeated(held) :])

    def _undecided(self) -> bool:
        held, shown = self._held, self._shown
        if any(len(held) < len(shown) - at and shown.startswith(held, at) for at in self._starts):
            return True
        new = held[self._repeated(held) :]
        return len(new) < len(self._space) and self._space.startswith(new)

    def _repeated(self, held: str) -> int:
        return max((len(self._shown) - at for at in self._starts if held.startswith(self._shown[at:])), default=0)

    def _unspaced(self, text: str) -> str:
        same = 0
        for ours, theirs in zip(self._space, text, strict=False):
            if ours != theirs:
                break
            same += 1
        return text[same:]

    def _places(self) -> list[int]:
        """Return where a repetition may begin in the text that was shown, the longest first."""
        shown = self._shown
        if shown.find(shown[-LEAST:]) < len(shown) - LEAST:
            return []
        first = max(0, len(shown) - LOOKED_AT)
        return [at for at in range(first, len(shown) - LEAST + 1) if self._may_repeat(at)]

    def _may_repeat(self, at: int) -> bool:
        shown = self._shown
        if at == 0:
            return not self._ends_line or shown.rstrip("\n").count("\n") >= 1
        if not shown[at - 1].isspace() or self._ends_line:
            return False
        return at < _CIRCLE or shown[at - _CIRCLE : at] != shown[-_CIRCLE:]
