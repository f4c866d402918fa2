"""Plausible answers about code: sentences and short listings, put together by chance, to an exact number of tokens.

A token here is one word or one run of punctuation, with the white space before it: about four characters.
"""

import re
from collections import Counter
from random import Random
from typing import NamedTuple

PIECE = re.compile(r"\s*[A-Za-z0-9_]{1,12}|\s*[^\sA-Za-z0-9_]{1,4}|\s+")
SIGN = re.compile(r"```[a-z]+|\.?[a-z]+")
LANGUAGE_SIGNS = {
    "python": "python pytest django pip def .py ```python ```py",
    "typescript": "typescript javascript node npm react .ts .tsx .js .jsx ```typescript ```ts ```javascript ```js",
    "rust": "rust cargo borrow fn .rs ```rust",
    "go": "golang goroutine goroutines vet func .go ```go",
}
LANGUAGE_OF = {sign: name for name, signs in LANGUAGE_SIGNS.items() for sign in signs.split()}
SENTENCES = (
    "The change belongs in `{file}`, where `{verb}_{noun}` reads the {noun} before it has been checked.",
    "I would keep the public signature as it is and move the check to the start of the function.",
    "Two callers depend on the old order, so the safest step is a small function of its own.",
    "An empty {noun} falls through to the last branch, which explains the wrong result.",
    "The loop visits every {noun} twice; a single pass with a dictionary is enough here.",
    "Please run the tests for `{file}` once more after this, in particular the one for an empty {noun}.",
    "The error is raised late because the {noun} is only read when the response is written.",
    "Nothing else in the module needs to change, and the types stay the same.",
    "If the {noun} can be missing, return early instead of passing a default further down.",
    "This also removes one copy of the {noun}, which matters when the input is large.",
    "A test with two {noun}s of the same name would have shown the difference.",
    "The name `{verb}_{noun}` says what happens, so the comment above it can go.",
)
LEAD_INS = ("Here is the function after the change:", "A version that handles this:", "In code:", "The core of it:")
FILLER = (
    "That keeps the change small and easy to review and leaves the rest of the code just as it was before, "
    "so that nobody who uses it has to learn anything new today"
)
NOUNS = ("order", "token", "record", "path", "header", "session", "row", "event", "user", "config", "batch", "route")
VERBS = ("parse", "load", "check", "merge", "collect", "resolve", "count", "filter", "encode", "read")
LISTINGS = {
    "python": (
        "def {verb}_{noun}(items: list[str]) -> dict[str, int]:\n"
        "    counts: dict[str, int] = {{}}\n"
        "    for item in items:\n"
        "        counts[item] = counts.get(item, 0) + 1\n"
        "    return counts\n",
        "def {verb}_{noun}(text: str | None) -> list[str]:\n"
        "    if not text:\n"
        "        return []\n"
        '    return [part.strip() for part in text.split(",") if part.strip()]\n',
        "class {Noun}Error(ValueError):\n"
        '    """The {noun} cannot be read."""\n\n\n'
        "def {verb}_{noun}(raw: bytes) -> str:\n"
        "    try:\n"
        "        return raw.decode()\n"
        "    except UnicodeDecodeError as error:\n"
        '        raise {Noun}Error("not UTF-8") from error\n',
    ),
    "typescript": (
        "export function {verb}{Noun}(items: string[]): Map<string, number> {{\n"
        "  const counts = new Map<string, number>();\n"
        "  for (const item of items) {{\n"
        "    counts.set(item, (counts.get(item) ?? 0) + 1);\n"
        "  }}\n"
        "  return counts;\n"
        "}}\n",
        "export async function {verb}{Noun}(id: string): Promise<{Noun} | undefined> {{\n"
        "  const found = await store.get(id);\n"
        "  return found === undefined ? undefined : to{Noun}(found);\n"
        "}}\n",
    ),
    "rust": (
        "pub fn {verb}_{noun}(items: &[String]) -> HashMap<&str, usize> {{\n"
        "    let mut counts = HashMap::new();\n"
        "    for item in items {{\n"
        "        *counts.entry(item.as_str()).or_insert(0) += 1;\n"
        "    }}\n"
        "    counts\n"
        "}}\n",
        "pub fn {verb}_{noun}(text: &str) -> Result<u64, ParseIntError> {{\n    text.trim().parse::<u64>()\n}}\n",
    ),
    "go": (
        "func {verb}{Noun}(items []string) map[string]int {{\n"
        "\tcounts := make(map[string]int, len(items))\n"
        "\tfor _, item := range items {{\n"
        "\t\tcounts[item]++\n"
        "\t}}\n"
        "\treturn counts\n"
        "}}\n",
        "func {verb}{Noun}(r io.Reader) ([]byte, error) {{\n"
        "\tdata, err := io.ReadAll(r)\n"
        "\tif err != nil {{\n"
        '\t\treturn nil, fmt.Errorf("{verb} {noun}: %w", err)\n'
        "\t}}\n"
        "\treturn data, nil\n"
        "}}\n",
    ),
}
ENDINGS = {"python": "py", "typescript": "ts", "rust": "rs", "go": "go"}


class Topic(NamedTuple):
    """What an answer is about: the language it shows code in and whether it may show listings at all."""

    language: str = "python"
    listings: bool = True


def pieces(text: str) -> list[str]:
    """Split text into tokens; joined they are the text again.

    >>> pieces("return total + 1")
    ['return', ' total', ' +', ' 1']
    """
    return PIECE.findall(text)


def language(text: str) -> str:
    """Return the language that the text hints at most often, python when it hints at none."""
    hints = Counter(LANGUAGE_OF[sign] for sign in SIGN.findall(text.lower()) if sign in LANGUAGE_OF)
    return hints.most_common(1)[0][0] if hints else "python"


def answer(chance: Random, topic: Topic, tokens: int) -> list[str]:
    """Return an answer of exactly `tokens` tokens, with whole sentences and closed listings."""
    said: list[str] = []
    deck: list[str] = []
    gap = ""
    while (left := tokens - len(said)) > 0:
        deck = deck or chance.sample(SENTENCES, len(SENTENCES))
        listing = topic.listings and len(deck) % 3 == 2 and gap == " "
        text = _listing(chance, topic) if listing else gap + deck.pop().format_map(_names(chance, topic))
        block = pieces(text)
        if listing and len(block) > left:
            topic = topic._replace(listings=False)
            continue
        said += block if len(block) <= left else _filler(left, gap) if left > 1 else ["\n" if said else "Done"]
        gap = "" if listing else " "
    return said


def words(chance: Random, topic: Topic) -> str:
    """Return one sentence, for a property that wants some text."""
    return chance.choice(SENTENCES).format_map(_names(chance, topic))


def _names(chance: Random, topic: Topic) -> dict[str, str]:
    noun, verb = chance.choice(NOUNS), chance.choice(VERBS)
    return {"noun": noun, "verb": verb, "Noun": noun.capitalize(), "file": f"{noun}s.{ENDINGS[topic.language]}"}


def _listing(chance: Random, topic: Topic) -> str:
    code = chance.choice(LISTINGS[topic.language]).format_map(_names(chance, topic))
    return f"\n\n{chance.choice(LEAD_INS)}\n\n```{topic.language}\n{code}```\n\n"


def _filler(tokens: int, gap: str) -> list[str]:
    start = pieces(gap + FILLER)[: tokens - 1]
    return [*start, *["."] * (tokens - len(start))]
