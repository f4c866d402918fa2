"""Numbers for the learned score: shape of the instruction, shape of its code, hashed words, where an agent run stands.

Everything is counted on bytes with whole-array steps; a decision costs a few dozen array operations whatever the
text. Unfenced code, diffs and tracebacks inside the instruction are told from sentences by the shape of their lines.
"""

from operator import gt, sub
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twospeed.policy.instruction import Ask
from twospeed.policy.stage import Stage

TEXT_BYTES = 4_000
CODE_BYTES = 3_000
MAX_BYTES = TEXT_BYTES + CODE_BYTES + 2

# One small number per kind of byte; the names are those of the counts below.
_KINDS: dict[str, bytes] = {
    "lower": b"abcdefghijklmnopqrstuvwxyz",
    "upper": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digit": b"0123456789",
    "under": b"_",
    "wide": b"",
    "space": b" ",
    "tab": b"\t",
    "newline": b"\n",
    "dot": b".",
    "comma": b",",
    "asks": b"?!",
    "colon": b":",
    "semi": b";",
    "quote": b"\"'",
    "tick": b"`",
    "open": b"(",
    "close": b")",
    "bracket": b"[",
    "unbracket": b"]",
    "brace": b"{",
    "unbrace": b"}",
    "equals": b"=",
    "angle": b"<>",
    "plus": b"+-",
    "times": b"*/%",
    "hash": b"#@",
    "bits": b"&|^~$\\",
    "other": b"",
}
_NUMBER = {name: number for number, name in enumerate(_KINDS)}
N_KINDS = len(_KINDS)


def _table() -> bytes:
    table = bytearray([_NUMBER["other"]] * 128 + [_NUMBER["wide"]] * 128)
    for name, members in _KINDS.items():
        for byte in members:
            table[byte] = _NUMBER[name]
    return bytes(table)


KIND = _table()
_KIND_IN_CODE = bytes(number + N_KINDS for number in KIND)
_SPELT = bytes(byte if KIND[byte] <= _NUMBER["wide"] else 0 for byte in bytes(range(256)).lower())  # 0: in no word
_SYMBOLS = b"_;()[]{}=<>+-*/%#@&|^~$\\"
_OPENERS = tuple(_NUMBER[name] for name in ("open", "bracket", "brace"))  # each followed by its closer
LONG_WORD = 8  # letters
MAX_INDENT = 40  # bytes; more counts as this
REACH = 6  # lines before and after code that may belong to it

# What a word of code stands for; the words are looked up by hash.
_KEYWORDS: dict[str, str] = {
    "loops": "for while map foreach loop each range do",
    "branches": "if else elif case switch match unless when",
    "returns": "return yield",
    "functions": "def fn func function lambda void fun",
    "classes": "class struct impl interface trait enum",
    "imports": "import include require use using from",
    "asserts": "assert expect test asserteq assertequal assert_eq",
    "failing": "raise throw throws try except catch panic error exception traceback",
    "parallel": "async await thread threads lock mutex atomic synchronized spawn goroutine chan",
}

EXTRAS = (
    *("text_words", "long_words", "code_words", "indent", "indent_most", "indent_steps", "unbalanced"),
    *("steps", "edits", "runs", "failures", "failed_before", "repeats", "working"),
    *_KEYWORDS,
)
DENSE = (*(f"text_{name}" for name in _KINDS), *(f"code_{name}" for name in _KINDS), *EXTRAS)
"""Names of the dense features, in order. All are counts, as log(1 + count)."""
_SHAPE_AT, _STAGE_AT, _KEYWORDS_AT = (DENSE.index(name) for name in ("text_words", "steps", "loops"))

_BASE = 0x9E3779B97F4A7C15
_ODD = np.uint64(0xD6E8FEB86659FD93)
_DOWN = np.uint64(31)
_NO_WORD = np.uint8(0)
_SLOT_BITS = 16
_SLOT = np.uint64(64 - _SLOT_BITS)


def _powers(base: int) -> NDArray[np.uint64]:
    power, out = 1, []
    for _ in range(MAX_BYTES):
        out.append(power)
        power = power * base % (1 << 64)
    return np.array(out, np.uint64)


_POWER = _powers(_BASE)
_INVERSE = _powers(pow(_BASE, -1, 1 << 64))


class Measures(NamedTuple):
    """What the score is computed from.

    `dense`: float32[len(DENSE)]. `hashes`: uint64, of the words in order, repeated as often as they stand there; the
    first `text_words` are those of the sentences, the others those of the code.
    """

    dense: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    text_words: int

    @property
    def words(self) -> NDArray[np.uint64]:
        """The hashes of the words of the sentences."""
        return self.hashes[: self.text_words]

    @property
    def code_words(self) -> NDArray[np.uint64]:
        """The hashes of the words of the code."""
        return self.hashes[self.text_words :]


def measure(ask: Ask, stage: Stage) -> Measures:
    """Measure one request."""
    dense, hashes, text_words = measure_ask(ask)
    return Measures(placed(dense, stage), hashes, text_words)


def measure_ask(ask: Ask) -> Measures:
    """Measure what one request asks; the features of the stage are left zero."""
    text = ask.text.encode("utf-8", "replace")[:TEXT_BYTES]
    code = ask.code.encode("utf-8", "replace")[:CODE_BYTES]
    if b"\n" in text:
        text, moved = sort_lines(text)
        code = (moved + code)[:CODE_BYTES]
    starts, stops, hashes = hash_words(b"\n%b\n%b\n" % (text, code))
    first = int(starts.searchsorted(len(text) + 1))
    kinds = b"%b\n" % text, b"%b\n" % code
    kind = np.frombuffer(kinds[0].translate(KIND) + kinds[1].translate(_KIND_IN_CODE), np.uint8)
    dense = np.zeros(len(DENSE), np.float32)
    dense[:_SHAPE_AT] = counts = np.bincount(kind, minlength=2 * N_KINDS)
    long_words = np.count_nonzero(stops[:first] - starts[:first] >= LONG_WORD)
    if code:
        shape = (first, long_words, len(hashes) - first, *_indents(code), _unbalanced(counts[N_KINDS:].tolist()))
        dense[_SHAPE_AT:_STAGE_AT] = shape
        known = _KEYWORD_OF[hashes[first:] >> _SLOT]
        dense[_KEYWORDS_AT:] = np.bincount(known, minlength=_KEYWORD_COUNT + 1)[1:]
    else:
        dense[_SHAPE_AT : _SHAPE_AT + 2] = first, long_words
    np.log1p(dense, out=dense)
    return Measures(dense, hashes, first)


def placed(dense: NDArray[np.float32], stage: Stage) -> NDArray[np.float32]:
    """Return the features of an ask with those of the stage filled in; the array given stays as it is."""
    facts = _of_stage(stage)
    if not any(facts):
        return dense
    dense = dense.copy()
    dense[_STAGE_AT:_KEYWORDS_AT] = np.log1p(np.array(facts, np.float32))
    return dense


def hash_words(raw: bytes) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint64]]:
    """Return start, end and hash of each word of a text, counted from its second byte.

    The hash of a word is a polynomial of its bytes. All words are summed in one step with the powers of where they
    stand; modulo 2**64 a power divides out exactly.

    Args:
        raw: Begins and ends in a byte that is in no word; at most MAX_BYTES between.
    """
    spelt = np.frombuffer(raw.translate(_SPELT), np.uint8)
    wordy = spelt != _NO_WORD
    edges = (wordy[1:] != wordy[:-1]).nonzero()[0]
    starts, stops = edges[0::2], edges[1::2]
    hashes = np.add.reduceat(spelt[1:] * _POWER[: len(raw) - 1], starts)
    hashes *= _INVERSE[starts]
    hashes ^= hashes >> _DOWN
    hashes *= _ODD
    return starts, stops, hashes


def _slots() -> NDArray[np.uint8]:
    table = np.zeros(1 << _SLOT_BITS, np.uint8)
    for number, words in enumerate(_KEYWORDS.values(), 1):
        _, _, hashes = hash_words(b" %b " % words.encode())
        table[hashes >> _SLOT] = number
    return table


_KEYWORD_OF = _slots()
_KEYWORD_COUNT = len(_KEYWORDS)


def _indents(code: bytes) -> tuple[float, int, int]:
    """Return mean and largest indentation of lines of code, and how often it grows."""
    lines = [*filter(None, code.split(b"\n"))]
    if not lines:
        return 0.0, 0, 0
    indents = [*map(sub, map(len, lines), map(len, map(bytes.lstrip, lines)))]
    most = max(indents)
    if most > MAX_INDENT:
        most, indents = MAX_INDENT, [min(MAX_INDENT, indent) for indent in indents]
    return sum(indents) / len(indents), most, sum(map(gt, indents[1:], indents))


def _unbalanced(counts: list[int]) -> int:
    """Count brackets that have no partner: a sign of a slip rather than of a wrong thought."""
    return sum(abs(counts[at] - counts[at + 1]) for at in _OPENERS)


def sort_lines(text: bytes) -> tuple[bytes, bytes]:
    """Tell code pasted between sentences from the sentences.

    Returns: The sentences and the lines of code.
    """
    bare = text.translate(None, _SYMBOLS)
    if len(bare) == len(text):
        return text, b""
    lines = text.split(b"\n")
    symbols = [*map(sub, map(len, lines), map(len, bare.split(b"\n")))]
    # A line without symbols is never code; what else it is matters only close to code.
    looks = [_look(line, count) if count else _UNCLEAR for line, count in zip(lines, symbols, strict=True)]
    code = [at for at, look in enumerate(looks) if look == _CODE]
    if not code:
        return text, b""
    if len(code) >= 3:
        for at in range(max(0, code[0] - REACH), min(len(lines), code[-1] + 1 + REACH)):
            looks[at] = looks[at] if symbols[at] else _look(lines[at], 0)
        _join(lines, looks, code[0], code[-1] + 1)
    moved = [line for line, look in zip(lines, looks, strict=True) if look == _CODE]
    kept = [line for line, look in zip(lines, looks, strict=True) if look != _CODE]
    return b"\n".join(kept), b"\n".join(moved) + b"\n"


def _join(lines: list[bytes], looks: list[int], first: int, end: int) -> None:
    """Take what stands between and around lines of code for code too, unless it reads like sentences."""
    least, most = max(0, first - REACH), min(len(lines), end + REACH)
    while first > least and looks[first - 1] < _SENTENCE and not _stops(lines[first - 1]):
        first -= 1
    while end < most and looks[end] < _SENTENCE and not _stops(lines[end]):
        end += 1
    stretch = looks[first:end]
    whole = 4 * stretch.count(_SENTENCE) <= len(stretch) - stretch.count(_EMPTY)
    for at in range(first, end):
        if whole or (looks[at] == _UNCLEAR and (lines[at][:3].isspace() or lines[at][:1] in b"#/")):
            looks[at] = _CODE


def _stops(line: bytes) -> bool:
    return line.rstrip()[-1:] in (b".", b"!", b"?")


_EMPTY, _UNCLEAR, _SENTENCE, _CODE = range(4)


def _look(line: bytes, symbols: int) -> int:
    """Say what a line looks like: code is dense in symbols, ends in a brace, is indented with symbols, or of a patch."""
    body = line.strip()
    if not body:
        return _EMPTY
    first, last = body[:1], body[-1:]
    if last in b"{};" or first in b"&|^~$":
        return _CODE
    ink = len(body) - body.count(b" ")
    if first in b"+-*" and body[1:2] == b" ":
        return _SENTENCE if ink >= 25 else _UNCLEAR
    if symbols * 5 > ink and last not in b".?!" and first != b"#":
        return _CODE
    indent = len(line) - len(line.lstrip())
    if (indent >= 3 and symbols * 9 > ink) or (not indent and first in b"+-@"):
        return _CODE
    return _SENTENCE if ink >= 25 and symbols * 12 < ink and indent < 4 and first not in b"#/" else _UNCLEAR


def _of_stage(stage: Stage) -> tuple[int, ...]:
    return (
        *(stage.steps, stage.edits, stage.runs, stage.failures, stage.failed_before, stage.repeats),
        int(stage.waiting and stage.steps > 0),
    )
