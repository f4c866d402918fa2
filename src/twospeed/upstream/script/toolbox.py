"""Which tool is called, and with what: one that does no harm, so that an agent goes one round and then finishes."""

import re
from random import Random

import msgspec

from twospeed.types import NULL
from twospeed.upstream.script import Ask, Call, Tool
from twospeed.upstream.script.prose import Topic, pieces, words
from twospeed.upstream.script.schema import instance
from twospeed.upstream.script.shortform import marker, near, title

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
PREFERRED = (
    "list",
    "ls",
    "glob",
    "find",
    "grep",
    "search",
    "read",
    "view",
    "cat",
    "think",
    "todo",
    "todos",
    "plan",
    "get",
    "show",
)
HARMFUL_WORD = re.compile(
    r"(add|agent|apply|ask|bash|browser|call|cancel|click|close|cmd|commit|cron|deploy|do|drop|eval|exit"
    r"|install|kill|launch|make|merge|move|mv|pay|pip|post|push|put|question|reboot|reset|restart|rm|run"
    r"|save|set|sh|skill|spawn|start|stop|task|terminate|transfer|trigger|up|update|use|wait)"
)
HARMFUL_PARTS = re.compile(
    r"write|edit|delet|remov|bash|shell|exec|command|terminal|appl(y|ied)|deploy|send|fetch|web|http|patch|create|insert"
    r"|replace|rename|install|upload|browse|publish|upgrade|memory|plan_?mode|follow_?up|question|invoke|subagent|execute|script"
)
HARMLESS_THOUGH = re.compile(r"^(todo|update_?plan|update_?todo|web_?search_?history)", re.I)
SHELL = re.compile(r"bash|shell|terminal|command|exec|run|console", re.I)
FINISH = re.compile(
    r"^(attempt_?|task_?|mark_?)?(completion|complete|completed|finish|finished|submit|done)(_?(task|work|answer|result|and_?exit))?$"
    r"|^(final_?(answer|result|response|output)|submit_?(final_?)?(answer|result|solution|and_?exit))$",
    re.I,
)
NAGGING = re.compile(
    r"(did not|didn't|no) (use|call|provide|invoke)\w* (a |any )?tool|no tool calls?|must (use|call) (a|at least one) tool",
    re.I,
)
READER = re.compile(r"read|view|cat\b|open", re.I)
WORKING_DIRECTORY = re.compile(r"(?:working directory|\bcwd\b|workspace directory)[^\n/]{0,40}(/[^\s`'\"<>]*)", re.I)
GLOB = re.compile(r"glob|list|find_?file", re.I)
HERE, FILE, SCRATCH, ANY, WORD = ".", "README.md", "simulated-scratch.txt", "*", "TODO"
HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"glob|include|exclude", re.I), ANY),
    (re.compile(r"pattern|query|regex|search|symbol|keyword", re.I), WORD),
    (re.compile(r"file", re.I), FILE),
    (re.compile(r"path|dir|cwd|folder|root", re.I), HERE),
    (re.compile(r"url|uri|href", re.I), "https://example.com/"),
    (re.compile(r"lang", re.I), "python"),
    (re.compile(r"^(id|.*_id|key|name|.*_name|.*Id|.*Name)$"), "main"),
)
SENTENCE = re.compile(
    r"desc|reason|result|summary|text|content|message|thought|explan|answer|comment|body|prompt|note|detail|output|respon",
    re.I,
)
COMMAND = re.compile(r"command|^cmd$|^script$", re.I)


def calls(ask: Ask, chance: Random) -> list[Call]:
    """Return the calls of this turn: one, or none when it is time to answer in text."""
    tool = choose(ask)
    if tool is None:
        return []
    return [Call(f"call_{chance.getrandbits(96):024x}", tool.name, pieces(_arguments(tool, ask, chance)))]


def choose(ask: Ask) -> Tool | None:
    """Return the tool to call, None to answer in text.

    A tool named in the request is called; one that ends the task is called after the first round; otherwise a harmless
    one in the first round. Harmful ones only where a call is demanded or the task can end in no other way.
    """
    named = next((tool for tool in ask.tools if tool.name == ask.choice), None)
    if named is not None or ask.choice == "none" or not ask.tools:
        return named
    ending = _ending(ask)
    if ask.rounds or near(ask.prompt[:4000], "tool", NAGGING):
        return ending or (_safest(ask) if ask.choice == "required" else None)
    harmless = min((tool for tool in ask.tools if harm(tool.name) < 2), key=lambda tool: _rank(tool.name), default=None)
    return harmless or ending or (_safest(ask) if ask.choice == "required" else None)


def harm(name: str) -> int:
    """Say what a tool may do, judged by its name: 0 only looks, 1 is unknown, 2 may change something.

    >>> [harm(name) for name in ("read_file", "todowrite", "lookupOrder", "write_file", "run_in_terminal")]
    [0, 0, 1, 2, 2]
    """
    if HARMLESS_THOUGH.search(name):
        return 0
    if HARMFUL_PARTS.search(name.lower()) or any(HARMFUL_WORD.fullmatch(part.lower()) for part in WORDS.findall(name)):
        return 2
    return 1 if _rank(name) == len(PREFERRED) else 0


def _rank(name: str) -> int:
    """Return the place of the first preferred word in a name; unknown names come last."""
    parts = [part.lower() for part in WORDS.findall(name)]
    places = (place for place, word in enumerate(PREFERRED) if any(_means(part, word) for part in parts))
    return next(places, len(PREFERRED))


def _means(part: str, word: str) -> bool:
    return part == word or (len(word) > 3 and part.startswith(word))


def _ending(ask: Ask) -> Tool | None:
    """Return the tool that ends the task: one named so, or a shell where a printed word ends it."""
    named = next((tool for tool in ask.tools if FINISH.search(tool.name)), None)
    shell = next((tool for tool in ask.tools if SHELL.search(tool.name)), None) if marker(ask) else None
    return named or shell


def _safest(ask: Ask) -> Tool:
    return min(ask.tools, key=lambda tool: (harm(tool.name), not SHELL.search(tool.name)))


def _arguments(tool: Tool, ask: Ask, chance: Random) -> str:
    schema = msgspec.json.decode(tool.schema) if tool.schema != NULL else {}
    value = instance(schema, lambda name: _word(name, tool, ask) or hint(name, ask, chance))
    return msgspec.json.encode(value if isinstance(value, dict) else {}).decode()


def _word(name: str, tool: Tool, ask: Ask) -> str:
    """Return what only a tool call says in a property of this name: commands and paths, "" for all others."""
    if COMMAND.search(name):
        return f"echo {marker(ask)}" if marker(ask) else "ls"
    text = next((text for sign, text in HINTS if sign.search(name)), "")
    if text == WORD and GLOB.search(tool.name):
        return ANY
    if text not in (HERE, FILE):
        return text
    if harm(tool.name) == 2:
        return SCRATCH
    return _located(FILE if READER.search(tool.name) else text, ask)


def _located(path: str, ask: Ask) -> str:
    """Return the path as an absolute one where the instructions say which directory the client works in."""
    found = near(ask.instructions, "director", WORKING_DIRECTORY) or near(ask.instructions, "cwd", WORKING_DIRECTORY)
    if not found:
        return path
    root = found[1].rstrip("/.,;")
    return root or "/" if path == HERE else f"{root}/{path}"


def hint(name: str, ask: Ask, chance: Random) -> str:
    """Return what to say in a string property of this name: a title, a sentence, or just some word."""
    if "title" in name.lower():
        return title(ask.prompt)
    return words(chance, Topic()) if not name or SENTENCE.search(name) else "example"
