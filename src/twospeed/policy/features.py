"""Counts for the learned score: shape of the instruction, shape of its code, kinds of words, where an agent run stands.

Everything is a count. Bytes and words are first turned into numbers of kinds, then all kinds are counted in one step;
counts are sorted into bins that are exact up to EXACT and grow wider from there. Unfenced code, diffs and tracebacks
inside the instruction are told from sentences by the shape of their lines.
"""

from itertools import repeat
from math import log1p
from operator import sub
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twospeed.policy.instruction import Ask
from twospeed.policy.stage import Stage

TEXT_BYTES = 4_000
CODE_BYTES = 3_000
REACH = 6  # lines before and after code that may belong to it
EXACT = 16  # counts below this have a bin of their own
PER_DOUBLING = 6  # bins for each doubling of larger counts
BINS = 64

# One small number per kind of byte; the names are those of the counts below.
_KINDS: dict[str, bytes] = {
    "lower": b"abcdefghijklmnopqrstuvwxyz",
    "upper": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digit": b"0123456789",
    "under": b"_",
    "wide": bytes(range(128, 256)),
    "space": b" ",
    "tab": b"\t",
    "newline": b"\n",
    "dot": b".",
    "comma": b",",
    "asks": b"?",
    "shouts": b"!",
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
    "slash": b"/",
    "times": b"*%",
    "hash": b"#@",
    "bits": b"&|^~$\\",
    "other": b"",
}
_WORDY = b"".join(_KINDS[name] for name in ("lower", "upper", "digit", "under", "wide"))
_SPELT = bytes(byte if byte in _WORDY else 32 for byte in range(256)).lower()
_SYMBOLS = b"_;()[]{}=<>+-*/%#@&|^~$\\"

# Kinds of words of sentences, so that what one family of requests taught holds for words it never used.
_ABOUT: dict[str, str] = {
    "asking": "how what why when where which who is are can could would explain difference mean means understand does",
    "making": "write implement create make generate build develop design program code add complete",
    "mending": "fix repair debug correct resolve solve bug bugs faulty wrong incorrect incorrectly broken breaks break",
    "changing": "refactor rename replace convert change update remove move migrate optimize improve rewrite port translate modify",
    "trouble": "error errors exception traceback fail fails failed failing failure crash crashes raise raises raised warning warnings leak deadlock race regression",
    "musts": "must should only without exactly ensure never always cannot least most every each all any both",
    "expecting": "expected expect actual actually instead behavior behaviour reproduce currently seems version versions issue",
    "plain": "list string number integer array dictionary tuple integers strings numbers elements element lists tuples character characters word words digit digits sum",
    "maths": "minimum maximum optimal shortest longest modulo constraints permutation permutations graph tree probability path cost matrix prime sequence subsequence",
    "conditions": "if unless otherwise case cases except while until then",
    "negations": "not no doesn don didn isn won t nothing none neither nor",
    "examples": "example examples input output returns return returned given print prints value values",
    "systems": "system database server client api thread async concurrent distributed cache memory performance network service production application app model training data",
    "things": "function method class file module variable argument arguments parameter parameters object type test tests",
}
# Kinds of words of code.
_DOES: dict[str, str] = {
    "loops": "for while map foreach loop each range do",
    "branches": "if else elif case switch match unless when",
    "returns": "return yield",
    "functions": "def fn func function lambda void fun",
    "classes": "class struct impl interface trait enum",
    "imports": "import include require use using from",
    "asserts": "assert expect test asserteq assertequal assert_eq",
    "failing": "raise throw throws try except catch panic error exception traceback",
    "parallel": "async await thread threads lock mutex atomic synchronized spawn goroutine chan",
    "building": "append extend insert pop remove add push join split replace strip",
    "strings": "upper lower isalpha isdigit isupper islower title swapcase capitalize startswith endswith find rfind index count format ljust rjust center zfill partition rpartition",
    "counting": "len sum max min sorted sort reversed enumerate zip abs ord chr",
    "logic": "and or not in is true false none null",
}
SHAPE = (
    *("text_words", "code_words", "code_lines", "indent_4", "indent_8", "indent_12", "indent_16"),
    *("unbalanced", "paragraphs", "items", "addresses", "traces", "checks"),
)
STAGE = ("steps", "edits", "runs", "failures", "failed_before", "repeats", "working")
DENSE = (
    *(f"text_{name}" for name in _KINDS),
    *(f"code_{name}" for name in _KINDS),
    *(f"about_{name}" for name in ("else", *_ABOUT)),
    *(f"does_{name}" for name in ("else", *_DOES)),
    *SHAPE,
    *STAGE,
)
"""Names of the dense features, in order. All are counts, given as bins."""
_BRACKETS = slice(DENSE.index("code_open"), DENSE.index("code_unbrace") + 1)
_SHAPE_AT, _STAGE_AT = DENSE.index(SHAPE[0]), DENSE.index(STAGE[0])


def _bytes_to_kinds(first: int) -> bytes:
    table = bytearray([first + len(_KINDS) - 1] * 256)
    for number, members in enumerate(_KINDS.values()):
        for byte in members:
            table[byte] = first + number
    return bytes(table)


def _words_to_kinds(kinds: dict[str, str], first: int) -> dict[bytes, int]:
    return {word.encode(): first + number for number, words in enumerate(kinds.values(), 1) for word in words.split()}


_TEXT_KIND, _CODE_KIND = _bytes_to_kinds(0), _bytes_to_kinds(len(_KINDS))
_ABOUT_AT, _DOES_AT = DENSE.index("about_else"), DENSE.index("does_else")
_about, _does = _words_to_kinds(_ABOUT, _ABOUT_AT).get, _words_to_kinds(_DOES, _DOES_AT).get
_NO_RUN = Stage()
_NO_SHAPE: tuple[int, ...] = (0,) * 6
_NO_WORDS: list[bytes] = []
_ABOUT_ELSE, _DOES_ELSE = repeat(_ABOUT_AT), repeat(_DOES_AT)  # endless: nothing is used up


def _bin(count: int) -> int:
    return count if count < EXACT else min(BINS - 1, EXACT + int(PER_DOUBLING * np.log2(count / EXACT)))


def count_of(number: int) -> int:
    """Return the smallest count in a bin."""
    return number if number < EXACT else int(np.argmax(number <= _BIN))


_BIN = np.array([_bin(count) for count in range(TEXT_BYTES + 1)], np.uint8)
LEVELS = np.array([log1p(count_of(number)) for number in range(int(_BIN[-1]) + 1)])
"""float[bins]: log(1 + count) of the smallest count in each bin."""


class Measures(NamedTuple):
    """What the score is computed from.

    `dense`: uint8[len(DENSE)], bins. `words`, `code_words`: in order, lower case, repeated as often as they stand there.
    """

    dense: NDArray[np.uint8]
    words: list[bytes]
    code_words: list[bytes]


def measure(ask: Ask, stage: Stage) -> Measures:
    """Measure one request."""
    dense, words, code_words = measure_ask(ask)
    return Measures(placed(dense, stage), words, code_words)


def measure_ask(ask: Ask) -> Measures:
    """Measure what one request asks; the features of the stage are left zero."""
    text = ask.text.encode("utf-8", "replace")[:TEXT_BYTES]
    code = ask.code.encode("utf-8", "replace")[:CODE_BYTES]
    if b"\n" in text:
        text, moved = sort_lines(text)
        code = (moved + code)[:CODE_BYTES]
    words, code_words = text.translate(_SPELT).split(), _NO_WORDS
    kinds = text.translate(_TEXT_KIND) + bytes(map(_about, words, _ABOUT_ELSE))
    if code:
        code_words = code.translate(_SPELT).split()
        kinds += code.translate(_CODE_KIND) + bytes(map(_does, code_words, _DOES_ELSE))
    counts = np.bincount(np.frombuffer(kinds, np.uint8), minlength=len(DENSE))
    shape = _code_shape(code, counts[_BRACKETS].tolist()) if code else _NO_SHAPE
    counts[_SHAPE_AT:_STAGE_AT] = (len(words), len(code_words), *shape, *_text_shape(text, code))
    return Measures(_BIN.take(counts), words, code_words)


def placed(dense: NDArray[np.uint8], stage: Stage) -> NDArray[np.uint8]:
    """Return the features of an ask with those of the stage filled in; the array given stays as it is."""
    if stage == _NO_RUN:
        return dense
    dense = dense.copy()
    dense[_STAGE_AT:] = [min(fact, EXACT) for fact in _of_stage(stage)]
    return dense


def _code_shape(code: bytes, brackets: list[int]) -> tuple[int, ...]:
    """Count lines, lines indented by at least 4, 8, 12 and 16, and brackets that have no partner.

    The last is a sign of a slip rather than of a wrong thought.

    Args:
        brackets: How many there are of each kind, an opening one before the one that closes it.
    """
    count = (b"\n" + (code.expandtabs(4) if b"\t" in code else code)).count
    deep = count(b"\n        ")
    deeper = (count(b"\n            "), count(b"\n                ")) if deep else (0, 0)
    unbalanced = sum(map(abs, map(sub, brackets[::2], brackets[1::2])))
    return count(b"\n"), count(b"\n    "), deep, *deeper, unbalanced


def _text_shape(text: bytes, code: bytes) -> tuple[int, ...]:
    """Count paragraphs and list items, web addresses, tracebacks, and checks by example."""
    count = (b"%b\n%b" % (text, code) if code else text).count
    marks = count(b"http"), count(b"Traceback"), count(b">>>") + count(b"assert")
    if b"\n" not in text:
        return 0, 0, *marks
    return text.count(b"\n\n"), text.count(b"\n- ") + text.count(b"\n* ") + text.count(b"\n1."), *marks


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
_CODE_OPENS, _CODE_ENDS, _BULLETS, _STOPS, _PATCHES, _REMARKS = map(
    frozenset, (b"&|^~$", b"{};", b"+-*", b".?!", b"+-@", b"#/")
)
_HASH = ord("#")


def _look(line: bytes, symbols: int) -> int:
    """Say what a line looks like: code is dense in symbols, ends in a brace, is indented with symbols, or of a patch."""
    body = line.strip()
    if not body:
        return _EMPTY
    first, last = body[0], body[-1]
    if last in _CODE_ENDS or first in _CODE_OPENS:
        return _CODE
    ink = len(body) - body.count(b" ")
    if first in _BULLETS and body[1:2] == b" ":
        return _SENTENCE if ink >= 25 else _UNCLEAR
    if symbols * 5 > ink and last not in _STOPS and first != _HASH:
        return _CODE
    indent = len(line) - len(line.lstrip())
    if (indent >= 3 and symbols * 9 > ink) or (not indent and first in _PATCHES):
        return _CODE
    return _SENTENCE if ink >= 25 and symbols * 12 < ink and indent < 4 and first not in _REMARKS else _UNCLEAR


def _of_stage(stage: Stage) -> tuple[int, ...]:
    return (
        *(stage.steps, stage.edits, stage.runs, stage.failures, stage.failed_before, stage.repeats),
        int(stage.waiting and stage.steps > 0),
    )
