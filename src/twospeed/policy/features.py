"""Numbers for the learned score: shape of the instruction, shape of its code, hashed words, where an agent run stands.

Everything is counted on bytes with whole-array steps; a decision costs a few dozen array operations whatever the
text. Unfenced code, diffs and tracebacks inside the instruction are told from sentences by the shape of their lines.
"""

from math import log1p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twospeed.policy.instruction import Ask
from twospeed.policy.stage import Stage

# One class per kind of byte: small numbers that index the counts below.
_KINDS = (
    b"abcdefghijklmnopqrstuvwxyz",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"0123456789",
    b"_",
    b" ",
    b"\t",
    b"\n",
    b".",
    b",",
    b"!?",
    b":",
    b";",
    b"'\"",
    b"`",
    b"()",
    b"[]",
    b"{}",
    b"=<>",
    b"+*/%-",
    b"#@",
    b"&|^~$\\",
)
LOWER, UPPER, DIGIT, UNDER, SPACE, TAB, NEWLINE, DOT, COMMA, ASKS, COLON, SEMI = range(12)
QUOTE, TICK, ROUND, SQUARE, CURLY, COMPARE, ARITH, HASH, BITS, WIDE, OTHER = range(12, 23)
N_KINDS = 23


def _table() -> bytes:
    table = bytearray([OTHER] * 128 + [WIDE] * 128)
    for kind, members in enumerate(_KINDS):
        for byte in members:
            table[byte] = kind
    return bytes(table)


KIND = _table()
LOWERED = bytes(range(256)).lower()
_WORDY = np.array([k in (LOWER, UPPER, DIGIT, UNDER, WIDE) for k in range(N_KINDS)], np.bool_)
_SYMBOL = np.array([k in (UNDER, SEMI, ROUND, SQUARE, CURLY, COMPARE, ARITH, BITS, HASH) for k in range(N_KINDS)])
_BLANK = np.array([k in (SPACE, TAB, NEWLINE) for k in range(N_KINDS)])

TEXT_BYTES = 4_000
CODE_BYTES = 3_000
MAX_BYTES = TEXT_BYTES + CODE_BYTES + 2
_BASE = 0x9E3779B97F4A7C15
_ODD = np.uint64(0xD6E8FEB86659FD93)


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    power, out = 1, []
    for _ in range(count):
        out.append(power)
        power = power * base % (1 << 64)
    return np.array(out, np.uint64)


_POWER = _powers(_BASE, MAX_BYTES)
_INVERSE = _powers(pow(_BASE, -1, 1 << 64), MAX_BYTES)

# Per byte, three counts in one 64-bit number so that one pass sums them all: ink, symbols, letters.
_PACK = np.zeros(N_KINDS, np.int64)
for _kind in range(N_KINDS):
    _PACK[_kind] += 0 if _BLANK[_kind] else 1
    _PACK[_kind] += (1 << 20) if _SYMBOL[_kind] else 0
    _PACK[_kind] += (1 << 40) if _kind in (LOWER, UPPER, WIDE) else 0

DENSE = (
    "text_bytes", "text_words", "text_lines", "word_length", "long_words", "upper", "digits", "symbols", "quotes",
    "ticks", "commas", "stops", "asks", "colons", "wide", "bullets", "variety", "plain",
    "code_bytes", "code_lines", "code_symbols", "indent_mean", "indent_max", "indent_steps", "calls", "brackets",
    "braces", "compares", "arith", "code_digits", "code_quotes", "code_dots", "code_words", "code_variety",
    "line_length", "loops", "branches", "returns", "functions", "classes", "imports", "asserts", "fenced", "loose",
    "steps", "reads", "edits", "runs", "failures", "failed_before", "repeats", "waiting",
)  # fmt: skip
"""Names of the dense features, in order."""

_KEYWORDS = (
    (b"for ", b"while", b".map(", b"loop"),
    (b"if ", b"if(", b"else", b"case ", b"switch", b"match "),
    (b"return",),
    (b"def ", b"fn ", b"function", b"func ", b"=>", b"lambda", b"void "),
    (b"class ", b"struct ", b"impl ", b"interface "),
    (b"import", b"#include", b"require(", b"use ", b"using "),
    (b"assert", b"expect(", b"test"),
)


class Measures(NamedTuple):
    """What the score is computed from.

    `dense`: float32[len(DENSE)]. The others are hashes (uint64, any number of them): words of the sentences, pairs of
    neighbouring words, and words of the code.
    """

    dense: NDArray[np.float32]
    words: NDArray[np.uint64]
    pairs: NDArray[np.uint64]
    code_words: NDArray[np.uint64]


def measure(ask: Ask, stage: Stage) -> Measures:
    """Measure one request."""
    text = ask.text.encode("utf-8", "replace")[:TEXT_BYTES] + b"\n"
    raw = text + ask.code.encode("utf-8", "replace")[:CODE_BYTES] + b"\n"
    split = len(text)
    kind = np.frombuffer(raw.translate(KIND), np.uint8)
    ends = np.flatnonzero(kind == NEWLINE)
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    packed = np.add.reduceat(_PACK[kind], starts)
    ink, symbols = packed & 0xFFFFF, (packed >> 20) & 0xFFFFF
    inked = np.append(np.flatnonzero(~_BLANK[kind]), len(kind) - 1)
    first = inked[np.searchsorted(inked, starts)]
    indent = np.where(ink > 0, first - starts, 0)
    loose = (starts < split) & _codelike(kind, raw, first, ends, indent, ink, symbols)
    code = loose | (starts >= split)
    hashes, line_of = _words(raw, kind, ends)
    in_code = code[line_of]
    plain = ~in_code
    words, code_words = hashes[plain], hashes[in_code]
    rows = np.repeat(code, np.diff(starts, append=len(kind)))
    counts = np.bincount(kind + N_KINDS * rows, minlength=2 * N_KINDS)
    said, coded = counts[:N_KINDS], counts[N_KINDS:]
    dense = np.array(
        [
            *_of_text(said, ink[~code], len(words), _distinct(words)),
            *_of_code(coded, ink[code], indent[code], len(code_words), _distinct(code_words)),
            *_keywords(raw[split:] if split < len(raw) - 1 else raw),
            float(split < len(raw) - 1),
            float(loose.sum()),
            *_of_stage(stage),
        ],
        np.float32,
    )
    return Measures(dense, words, words[:-1] * _ODD + words[1:], code_words)


def _codelike(
    kind: NDArray[np.uint8],
    raw: bytes,
    first: NDArray[np.intp],
    ends: NDArray[np.intp],
    indent: NDArray[np.intp],
    ink: NDArray[np.int64],
    symbols: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Say which lines look like code: dense in symbols, ending in a brace, indented with symbols, or of a diff."""
    last, lead = kind[np.maximum(ends - 1, 0)], kind[first]
    bullet = (lead == ARITH) & (kind[np.minimum(first + 1, len(kind) - 1)] == SPACE)
    heading = lead == HASH
    sentence = (last == DOT) | (last == ASKS)
    dense = (symbols * 5 > ink) & ~sentence & ~bullet & ~heading
    closed = (last == CURLY) | (last == SEMI)
    inset = (indent >= 3) & (symbols * 9 > ink) & ~bullet
    at = np.frombuffer(raw, np.uint8)[first]
    patch = ((at == 0x2B) | (at == 0x2D) | (at == 0x40)) & ~bullet & (indent == 0)
    coded: NDArray[np.bool_] = (ink > 0) & (dense | closed | inset | patch | (lead == BITS))
    return coded


def _words(raw: bytes, kind: NDArray[np.uint8], ends: NDArray[np.intp]) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Return hash and line of each word. The hash of a slice comes from sums over the whole text."""
    wordy = _WORDY[kind]
    edges = np.flatnonzero(wordy[1:] != wordy[:-1]) + 1
    if wordy[0]:
        edges = np.concatenate(([0], edges))
    starts, stops = edges[0::2], edges[1::2]
    values = np.frombuffer(raw.translate(LOWERED), np.uint8) * _POWER[: len(raw)]
    sums = np.zeros(len(raw) + 1, np.uint64)
    np.cumsum(values, out=sums[1:])
    hashes = (sums[stops] - sums[starts]) * _INVERSE[starts]
    hashes ^= hashes >> np.uint64(31)
    hashes *= _ODD
    return hashes, np.searchsorted(ends, starts)


def _distinct(hashes: NDArray[np.uint64]) -> int:
    return len(set(hashes.tolist()))


def _of_text(counts: NDArray[np.intp], ink: NDArray[np.int64], words: int, distinct: int) -> list[float]:
    n = [float(c) for c in counts]
    total = sum(n) - n[SPACE] - n[NEWLINE] - n[TAB] + 1.0
    lines = float((ink > 0).sum())
    letters = n[LOWER] + n[UPPER] + n[WIDE]
    return [
        log1p(total), log1p(words), log1p(lines), letters / (words + 1), log1p(total / (lines + 1)), n[UPPER] / total,
        n[DIGIT] / total, (n[ROUND] + n[SQUARE] + n[CURLY] + n[COMPARE] + n[UNDER]) / total, log1p(n[QUOTE]),
        log1p(n[TICK]), log1p(n[COMMA]), log1p(n[DOT]), log1p(n[ASKS]), log1p(n[COLON]), n[WIDE] / total,
        log1p(n[ARITH] + n[HASH]), distinct / (words + 1), letters / total,
    ]  # fmt: skip


def _of_code(
    counts: NDArray[np.intp], ink: NDArray[np.int64], indent: NDArray[np.intp], words: int, distinct: int
) -> list[float]:
    n = [float(c) for c in counts]
    total = sum(n) - n[SPACE] - n[NEWLINE] - n[TAB] + 1.0
    inked = ink > 0
    lines = float(inked.sum())
    some = lines > 0
    mean = float(indent.sum()) / (lines + 1)
    most = float(indent.max()) if some else 0.0
    return [
        log1p(total), log1p(lines), (total - n[LOWER] - n[UPPER] - n[DIGIT]) / total, mean, min(most, 40.0),
        log1p(float((indent[1:] > indent[:-1]).sum())), log1p(n[ROUND]), log1p(n[SQUARE]), log1p(n[CURLY]),
        log1p(n[COMPARE]), log1p(n[ARITH]), log1p(n[DIGIT]), log1p(n[QUOTE]), log1p(n[DOT]), log1p(words),
        distinct / (words + 1), log1p(total / (lines + 1)),
    ]  # fmt: skip


def _keywords(code: bytes) -> list[float]:
    return [log1p(sum(map(code.count, words))) for words in _KEYWORDS]


def _of_stage(stage: Stage) -> list[float]:
    return [
        log1p(stage.steps), log1p(stage.reads), log1p(stage.edits), log1p(stage.runs), float(stage.failures),
        log1p(stage.failed_before), log1p(stage.repeats), float(stage.waiting and stage.steps > 0),
    ]  # fmt: skip
