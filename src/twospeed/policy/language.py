"""Which programming language a request is about: as its header says, else as files and code blocks in it show.

Looks at the two ends of a body only, so that a long one costs no more than a short one; an agent's session speaks of
one language as a rule, so that callers may keep the answer for the session.
"""

import re
from collections import Counter
from collections.abc import Mapping

HEADER = b"x-twospeed-language"
HEAD_BYTES = 8_192
TAIL_BYTES = 24_576
LONGEST = 32  # characters of a language's name
_FENCE_WEIGHT, _PATH_WEIGHT = 3, 2  # a line of code counts once

_NAMES = {  # as fences and endings write it: as we do
    **dict.fromkeys(("py", "python", "python3", "pyi", "ipynb"), "python"),
    **dict.fromkeys(("ts", "tsx", "typescript", "mts", "cts"), "typescript"),
    **dict.fromkeys(("js", "jsx", "javascript", "mjs", "cjs"), "javascript"),
    **dict.fromkeys(("go", "golang"), "go"),
    **dict.fromkeys(("rs", "rust"), "rust"),
    **dict.fromkeys(("java",), "java"),
    **dict.fromkeys(("kt", "kts", "kotlin"), "kotlin"),
    **dict.fromkeys(("c", "h"), "c"),
    **dict.fromkeys(("cc", "cpp", "cxx", "hpp", "c++"), "cpp"),
    **dict.fromkeys(("cs", "csharp", "c#"), "csharp"),
    **dict.fromkeys(("rb", "ruby"), "ruby"),
    **dict.fromkeys(("php",), "php"),
    **dict.fromkeys(("swift",), "swift"),
    **dict.fromkeys(("scala",), "scala"),
    **dict.fromkeys(("ex", "exs", "elixir"), "elixir"),
    **dict.fromkeys(("hs", "haskell"), "haskell"),
    **dict.fromkeys(("lua",), "lua"),
    **dict.fromkeys(("dart",), "dart"),
    **dict.fromkeys(("zig",), "zig"),
    **dict.fromkeys(("sql",), "sql"),
    **dict.fromkeys(("sh", "bash", "zsh", "shell"), "shell"),
}
_ENDINGS = "|".join(sorted((name for name in _NAMES if name.isalnum() and name not in ("c", "h")), key=len)[::-1])
_FENCE = re.compile(rb"```([A-Za-z0-9+#]{1,12})\b")
_PATH = re.compile(rb"\.(" + _ENDINGS.encode() + rb"|c|h)(?![A-Za-z0-9_(.])")
_CODE: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (name, re.compile(pattern.encode()))
    for name, pattern in {
        "python": r"(?:\\n|\n|\")\s*(?:def \w+\(.*?\).{0,40}?:|from [\w.]+ import |elif |import \w+(?:\\n|\n))",
        "typescript": r"\b(?:interface \w+ \{|: (?:string|number|boolean)[;,)\]]|import type )",
        "javascript": r"\b(?:const \w+ = require\(|module\.exports|function \w+\(\w*\) \{)",
        "go": r"\b(?:func (?:\(\w+ \*?\w+\) )?\w+\([^)]*\)[^{\n]{0,40}\{|package \w+(?:\\n|\n)|:= )",
        "rust": r"\b(?:fn \w+(?:<[^>]*>)?\([^)]*\)|let mut |impl(?:<[^>]*>)? \w+|pub (?:fn|struct|enum) )",
        "java": r"\b(?:public (?:static |final )*(?:class|void|int|String) |System\.out\.)",
        "c": r"#include <\w+\.h>",
        "cpp": r"(?:#include <\w+>|std::\w+)",
    }.items()
)


def language(headers: Mapping[bytes, bytes], body: bytes) -> str:
    """Return the language of a request in lower case, "" when nothing tells.

    Args:
        headers: The client's, names in lower case.
        body: The request, as it came.

    >>> language({}, b'{"messages":[{"role":"user","content":"fix src/app.py and tests/test_app.py"}]}')
    'python'
    """
    said = headers.get(HEADER)
    if said:
        name = said.decode("latin-1").strip().lower()[:LONGEST]
        return _NAMES.get(name, name)
    return _most(body if len(body) <= HEAD_BYTES + TAIL_BYTES else body[:HEAD_BYTES] + body[-TAIL_BYTES:])


def _most(text: bytes) -> str:
    counts: Counter[str] = Counter()
    for weight, pattern in ((_FENCE_WEIGHT, _FENCE), (_PATH_WEIGHT, _PATH)):
        for mark in pattern.findall(text):
            name = _NAMES.get(mark.decode().lower())
            if name is not None:
                counts[name] += weight
    if not counts:
        counts.update({name: len(found) for name, pattern in _CODE if (found := pattern.findall(text))})
    if not counts:
        return ""
    if len(counts) > 1:
        del counts["shell"]  # commands stand beside every language
    return counts.most_common(1)[0][0]
