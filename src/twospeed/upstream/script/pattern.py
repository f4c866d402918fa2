"""A string for a regular expression, best effort and without ever running it (a hostile pattern costs nothing).

Reads the common part of ECMA 262 and Python syntax: literals, classes, groups, alternatives, quantifiers, anchors.
Lookarounds and back references are skipped, so that their strings may not match.
"""

from string import hexdigits
from typing import NamedTuple

REPEAT_CAP = 256  # how often one atom is repeated at most, whatever the pattern asks for
DEPTH_CAP = 32  # groups inside groups
FAVOURITES = "ab1A_-./: "
CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t", "r": "\r"}
HEX_DIGITS = {"x": 2, "u": 4}
ANCHORS = "bBAZzGQE"


class Atom(NamedTuple):
    """A stretch of text that may be repeated between `low` and `high` times."""

    text: str
    low: int
    high: int


def sample(pattern: str, least: int = 0) -> str:
    """Return a short string that the pattern should match, at least `least` characters long where it allows that.

    >>> sample("^call_[a-z0-9]{4,}$", least=12), sample(r"(v\\d+|latest)\\.x")
    ('call_aaaaaaa', 'v1.x')
    """
    atoms = _Reader(pattern).alternatives(0)
    counts = [atom.low for atom in atoms]
    missing = least - sum(len(atom.text) * atom.low for atom in atoms)
    for index, atom in enumerate(atoms):
        if missing > 0 and atom.text:
            more = min(atom.high - atom.low, -(-missing // len(atom.text)))
            counts[index] += more
            missing -= more * len(atom.text)
    return "".join(atom.text * count for atom, count in zip(atoms, counts, strict=True))


class _Reader:
    """Walks over one pattern once, left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def _take(self) -> str:
        char = self.pattern[self.at : self.at + 1]
        self.at += 1
        return char

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def alternatives(self, depth: int) -> list[Atom]:
        """Read up to the closing bracket or the end; the first alternative is the one that counts."""
        first = self._sequence(depth)
        while self._peek() == "|":
            self.at += 1
            self._sequence(depth)
        return first

    def _sequence(self, depth: int) -> list[Atom]:
        atoms: list[Atom] = []
        while self._peek() not in ("", "|", ")"):
            text = self._atom(depth)
            atoms.append(Atom(text, *self._quantifier()))
        return atoms

    def _atom(self, depth: int) -> str:
        char = self._take()
        if char == "(":
            return self._group(depth + 1)
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        return {".": "a", "^": "", "$": ""}.get(char, char)

    def _escape(self) -> str:
        char = self._take()
        digits = self.pattern[self.at : self.at + HEX_DIGITS.get(char, 0)]
        if digits and all(digit in hexdigits for digit in digits):
            self.at += len(digits)
            return chr(int(digits, 16))
        if char in ("p", "P") and self._peek() == "{":
            self.at = self._after("}")
            return "a"
        return "" if char in ANCHORS or char.isdigit() else CLASSES.get(char, char)

    def _after(self, closing: str) -> int:
        end = self.pattern.find(closing, self.at)
        return len(self.pattern) if end < 0 else end + 1

    def _group(self, depth: int) -> str:
        skipped = self._group_head()
        if depth > DEPTH_CAP:
            self.at = len(self.pattern)
            return ""
        inner = self.alternatives(depth)
        self.at += 1
        return "" if skipped else "".join(atom.text * atom.low for atom in inner)

    def _group_head(self) -> bool:
        """Step over `?:`, `?P<name>` and the like; True for lookarounds, whose text is not part of the match."""
        if self._peek() != "?":
            return False
        self.at += 1
        if self.pattern[self.at : self.at + 2] in ("<=", "<!") or self._peek() in ("=", "!"):
            return True
        self.at = self._after(">") if self._peek() in ("P", "<") else self._head_end()
        return False

    def _head_end(self) -> int:
        at = self.at
        while self.pattern[at : at + 1].isalpha() or self.pattern[at : at + 1] == "-":
            at += 1
        return at + 1 if self.pattern[at : at + 1] == ":" else at

    def _class(self) -> str:
        negated = self._peek() == "^"
        self.at += negated
        spans = self._spans()
        inside = [char for char in FAVOURITES if any(low <= char <= high for low, high in spans)]
        if negated:
            return next((char for char in FAVOURITES if char not in inside), "~")
        return (inside or [low for low, _ in spans] or [""])[0]

    def _spans(self) -> list[tuple[str, str]]:
        spans: list[tuple[str, str]] = []
        while self._peek() != "" and (self._peek() != "]" or not spans):
            low = self._member()
            if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                spans.append((low, self._member()))
            else:
                spans.append((low, low))
        self.at += 1
        return spans

    def _member(self) -> str:
        char = self._take()
        return self._escape() if char == "\\" else char

    def _quantifier(self) -> tuple[int, int]:
        low, high = self._bounds()
        if self._peek() in ("?", "+") and (low, high) != (1, 1):
            self.at += 1
        return min(low, REPEAT_CAP), min(high, REPEAT_CAP)

    def _bounds(self) -> tuple[int, int]:
        simple = {"*": (0, REPEAT_CAP), "+": (1, REPEAT_CAP), "?": (0, 1)}.get(self._peek())
        if simple is not None:
            self.at += 1
            return simple
        body = self.pattern[self.at + 1 : self._after("}") - 1] if self._peek() == "{" else ""
        low, comma, high = body.partition(",")
        if not low.isdecimal() or not (high.isdecimal() or high == ""):
            return 1, 1
        self.at = self._after("}")
        return _number(low), _number(high) if high else REPEAT_CAP if comma else _number(low)


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 9 else REPEAT_CAP
