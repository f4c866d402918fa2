"""Short answers that clients ask for beside the conversation: titles, commit messages, the middle of a line of code."""

import re
from random import Random

from twospeed.upstream.script import Ask
from twospeed.upstream.script.prose import language

TITLE = re.compile(
    r"title generator|\b(thread|conversation|session|chat|task) title\b"
    r"|\b(generate|create|write|provide|give)\b[^.\n]{0,40}\btitle\b[^.\n]{0,40}\b(conversation|chat|session|thread|task|message)",
    re.I,
)
COMMIT = re.compile(r"\b(generat|writ|creat|suggest|provid)\w*\b[^.\n]{0,60}\bcommit messages?\b", re.I)
MARKER = re.compile(
    r"\becho\s+[\"']?([A-Z][A-Z0-9_]*(?:COMPLETE|SUBMIT|FINISH|DONE)[A-Z0-9_]*|(?:COMPLETE|SUBMIT|FINISH)_[A-Z0-9_]+)"
)
FENCE = re.compile(r"```(\w*(?:bash|shell|sh)\w*)")
NEARBY = 120  # characters around a word in which the rest of a sign must stand
PLACES = 8  # how many places of a word are looked at
CHANGED = re.compile(r"^(?:\+\+\+ b/|diff --git a/)(\S+)", re.M)
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]")
STOP_WORD = re.compile(
    r"(a|about|an|and|are|as|at|be|by|can|conversation|do|for|from|generate|give|have|how|i|in|is|it|me|my"
    r"|of|on|or|please|short|so|that|the|this|title|to|user|we|what|when|where|which|will|with|write|you"
    r"|your)",
    re.I,
)
STATEMENTS = {
    "python": ("return None", "return result", "items.append(item)", "self.count += 1", 'raise ValueError("empty")'),
    "typescript": ("return undefined;", "return result;", "items.push(item);", "this.count += 1;"),
    "rust": ("return None;", "Ok(result)", "items.push(item);", "self.count += 1;"),
    "go": ("return nil", "return result, nil", "items = append(items, item)", "c.count++"),
}
PAIRS = {"(": ")", "[": "]"}
EXPRESSIONS = ("result", "value", "item", "len(items)", "name")


def near(text: str, word: str, sign: re.Pattern[str]) -> re.Match[str] | None:
    """Search for a sign around the first places of a word that belongs to it; all of a long prompt would cost milliseconds.

    Args:
        word: In lower case; found in any case.
    """
    lowered = text.lower()
    at = lowered.find(word)
    for _ in range(PLACES):
        if at < 0:
            return None
        if found := sign.search(text, max(0, at - NEARBY), at + NEARBY):
            return found
        at = lowered.find(word, at + len(word))
    return None


def wants_title(ask: Ask) -> bool:
    """Say whether a title is asked for."""
    return near(ask.instructions, "title", TITLE) is not None


def wants_commit_message(ask: Ask) -> bool:
    """Say whether a commit message is asked for."""
    return near(ask.instructions, "commit message", COMMIT) is not None


def edits_from_text(ask: Ask) -> bool:
    """Say whether the client would write code from the answer into files."""
    told = ask.instructions.lower()
    return "search/replace" in told or "file listing" in told


def title(text: str) -> str:
    """Return a title of at most six words for a text.

    >>> title("Please fix the failing parser tests in config.py")
    'Fix failing parser tests config.py'
    """
    found = [word for word in WORD.findall(text[:4000]) if not STOP_WORD.fullmatch(word)]
    line = " ".join(found[:6])[:60].strip() or "Question about code"
    return line[0].upper() + line[1:]


def commit_message(diff: str, chance: Random) -> str:
    """Return a one-line commit message that names what the diff changes."""
    files = list(dict.fromkeys(path.rsplit("/", 1)[-1] for path in CHANGED.findall(diff)))
    kind, verb = chance.choice((("fix", "correct"), ("refactor", "simplify"), ("feat", "extend"), ("chore", "tidy")))
    return f"{kind}: {verb} {' and '.join(files[:2]) or 'the checked code'}"


def marker(ask: Ask) -> str:
    """Return the word that a command must print to end the task, "" where the instructions name none."""
    found = near(ask.instructions, "echo", MARKER)
    return found[1] if found else ""


def command_block(ask: Ask) -> str:
    """Return the answer that ends the task of an agent which reads commands from fenced text, "" for all others."""
    fence = None if ask.tools else near(ask.instructions, "```", FENCE)
    if not fence or not marker(ask):
        return ""
    return f"THOUGHT: Nothing is left to do, so I submit the work.\n\n```{fence[1]}\necho {marker(ask)}\n```"


def middle(prefix: str, suffix: str, chance: Random) -> str:
    """Return a short piece of code to stand between prefix and suffix."""
    line = prefix.rsplit("\n", 1)[-1]
    statement = chance.choice(STATEMENTS[language(prefix[-2000:] + suffix[:2000])])
    if line.rstrip().endswith((":", "{")):
        return "\n" + _indent(line) + "    " + statement
    return statement if not line.strip() else _rest(line, chance)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _rest(line: str, chance: Random) -> str:
    """Return the rest of a line begun: a value, and the brackets it still lacks."""
    missing: list[str] = []
    for char in line:
        if char in PAIRS:
            missing.append(PAIRS[char])
        elif missing and char == missing[-1]:
            missing.pop()
    gap = "" if line.endswith((" ", "(", "[", ".")) else " "
    return gap + chance.choice(EXPRESSIONS) + "".join(reversed(missing))
