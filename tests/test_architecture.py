"""The shape of the code: floors, purity, one test file for each source file."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/twospeed"
TESTS = ROOT / "tests"

ROOMS = [  # (floor, room, its files and folders)
    (0, "nouns", {"types", "errors", "units"}),
    (1, "dialects", {"dialects"}),
    (1, "policy", {"policy"}),
    (2, "upstream", {"upstream"}),
    (2, "stores", {"stores"}),
    (2, "telemetry", {"telemetry"}),
    (3, "relay", {"relay", "heartbeat"}),
    (3, "mirror", {"mirror"}),
    (4, "proxy", {"proxy", "deciding", "answering", "keystrokes", "seats", "quotas", "resume"}),
    (4, "control", {"control"}),
    (
        5,
        "config",
        {
            "config",
            "presets",
            "locate",
            "problems",
            "shape",
            "secrets",
            "wording",
            "checks",
            "reference",
            "lastgood",
            "certificates",
        },
    ),
    (6, "runtime", {"runtime"}),
    (7, "edge", {"edge"}),
    (7, "drill", {"drill"}),
    (8, "cli", {"cli", "__main__"}),
]
PLACES = {name: (floor, room) for floor, room, names in ROOMS for name in names}
PURE = 1  # up to this floor nothing touches the world
EFFECTS = {
    *("asyncio", "threading", "subprocess", "time", "random", "secrets", "os", "socket", "ssl", "logging"),
    *("aiohttp", "httptools", "uvloop", "redis", "sqlite3", "opentelemetry"),
}
UNTESTED = {  # test files that are missing, each with the reason
    **dict.fromkeys(
        ("policy/rank/test_ordered.py", "policy/rank/test_fastest.py", "policy/rank/test_weighted.py"),
        "one table for all ranks: policy/rank/test_rank.py",
    ),
    **{
        f"dialects/translation/test_{name}.py": "golden files of the whole matrix: dialects/translation/test_translation.py"
        for name in (
            *("bridge", "hub", "reading", "writing", "sequencer"),
            *(
                f"{dialect}_{step}"
                for dialect in ("chat", "responses", "messages")
                for step in ("read", "write", "hear", "say")
            ),
        )
    },
    **dict.fromkeys(
        ("dialects/test_anthropic_stream.py", "dialects/test_openai_responses_stream.py"),
        "what both have in common, and each apart: dialects/test_event_stream.py",
    ),
    "policy/test_affinity.py": "a protocol only; what every store promises is in stores/contract.py",
}
NO_SOURCE = {  # files and folders of tests that mirror no source file
    "test_architecture.py": "the shape of all files",
    "test_rules.py": "docs/rules.md",
    "e2e": "the whole server, through its door",
    "deploy": "how it is shipped and watched",
    "docs": "what is written for people",
}

FILES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = sorted(SOURCE.rglob("*.lua"))


def name_of(path: Path) -> str:
    """The first step below the package: a folder, or a file by itself."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def named(path: Path) -> str:
    """How a file is called in the output of a failing test."""
    return path.relative_to(SOURCE).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names, wherever in the file."""
    package = ("twospeed", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            yield module
            yield from (f"{module}.{name.name}" for name in node.names if module == "twospeed")


def test_every_file_is_in_a_room():
    """A new file or folder is placed on a floor before anything imports it."""
    assert {name_of(path) for path in FILES} - {"__init__"} - PLACES.keys() == set()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_arrows_point_down(path):
    """A file imports from its own room or from floors below, never up, never from another room on its floor."""
    floor, room = PLACES.get(name_of(path), (-1, "the package itself"))
    steps = (module.split(".") for module in imports(path))
    inside = [step[1] for step in steps if step[0] == "twospeed" and len(step) > 1 and step[1] in PLACES]
    assert [name for name in inside if PLACES[name][1] != room and PLACES[name][0] >= floor] == []


@pytest.mark.parametrize("path", [path for path in FILES if PLACES.get(name_of(path), (9,))[0] <= PURE], ids=named)
def test_decisions_are_pure(path):
    """Floors 0 and 1 know no clock, no chance, no network and no files: time is `now`, chance is `roll`."""
    assert {module.partition(".")[0] for module in imports(path)} & EFFECTS == set()


def test_the_environment_is_read_in_one_place():
    """Variables come in through the config file's reader and nowhere else."""
    assert {named(path) for path in FILES if _reads_environment(path)} == {"config.py"}


def test_the_picture_shows_the_floors_as_they_are():
    """docs/architecture.md names every room, on the floor it is on."""
    rows = re.findall(r"^\| (\d) \| (.*?) \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    drawn = {name: int(floor) for floor, cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert drawn == {name: PLACES[name][0] for name in drawn}
    rooms = {PLACES[name_of(path)][1] for path in FILES if name_of(path) in PLACES}
    assert rooms - {PLACES[name][1] for name in drawn} == set()


def test_every_source_file_has_its_test_file():
    """Whoever changes a file knows where its tests are."""
    expected = {_test_of(path) for path in [*FILES, *SCRIPTS] if path.name not in ("__init__.py", "__main__.py")}
    assert {path for path in expected if not (TESTS / path).exists()} - UNTESTED.keys() == set()


def test_every_test_file_has_its_source_file():
    """A test file that mirrors nothing is in the wrong place or outlived its subject."""
    expected = {_test_of(path) for path in [*FILES, *SCRIPTS]}
    found = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert {path for path in found - expected if path.partition("/")[0] not in NO_SOURCE} == set()


def test_the_lists_of_exceptions_are_not_stale():
    """An exception that is no longer needed is taken off its list."""
    expected = {_test_of(path) for path in FILES}
    assert UNTESTED.keys() <= expected
    assert not [path for path in UNTESTED if (TESTS / path).exists()]
    assert [name for name in NO_SOURCE if not (TESTS / name).exists()] == []


def _test_of(path: Path) -> str:
    """The mirrored name; the front door of a folder is tested by a file named after the folder."""
    stem = path.parent.name if path.name == "__init__.py" else path.name.removesuffix(".py").replace(".", "_")
    return (path.relative_to(SOURCE).parent / f"test_{stem}.py").as_posix()


def _reads_environment(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            return True
    return False
