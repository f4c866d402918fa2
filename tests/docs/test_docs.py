"""What documents say about commands, keys, metrics and files is so."""

import re
import shlex
from pathlib import Path

import pytest
from tests.serving import serving

from twospeed import shape
from twospeed.cli import parser
from twospeed.config import Config, read
from twospeed.telemetry.dashboard import rows
from twospeed.telemetry.instruments import INSTRUMENTS

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*/README.md"))]
GENERATED = {"config.md", "metrics.md"}
ENTRIES = [entry.path for entry in shape.entries(Config)]
UNFINISHED = "are required|expected one argument"  # a command or an option that is only spoken of
PLACES = {"<name>", "<item>"}
SUFFIXES = {"py", "md", "yaml", "json", "sh", "c"}


def named(path):
    """How a document is called in the output of a failing test."""
    return path.relative_to(ROOT).as_posix()


def commands(text):
    """Every `twospeed ...` command of a text, in blocks of shell and in backticks."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in [*lines, *re.findall(r"`([^`\n]+)`", text)] if re.match(r"(twospeed|serve) \S", line)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_commands_exist(path, capsys):
    """Whoever copies a command gets what it says, and no message about its usage."""
    for command in commands(path.read_text()):
        assert understood(command) or re.search(UNFINISHED, capsys.readouterr().err), command


def understood(command):
    """Say whether the program takes a command. Where a capital stands for a value, a number fits everywhere."""
    words = [re.sub(r"^[A-Z]$", "1", word) for word in shlex.split(command, comments=True)]
    words = words[1:] if words[0] == "twospeed" else words
    cut = next((place for place, word in enumerate(words) if re.search(r"[<>|]|\.\.\.", word)), len(words))
    try:
        parser().parse_args(words[:cut])
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_targets_of_make_exist(path):
    """`make x` is in the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", path.read_text(), re.MULTILINE)) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path):
    """Each link within the repository ends at a file, and at a heading of it where it names one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def anchors(path):
    """The headings of a document, as links name them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name not in GENERATED], ids=named)
def test_keys_exist(path):
    """`listen.drain` is a key of the config file."""
    for text in re.findall(r"`((?:[a-z_]+|<[a-z]+>)(?:\.(?:[a-z_]+|<[a-z]+>))+)`", path.read_text()):
        steps = text.split(".")
        if steps[0] in Config.model_fields and steps[-1] not in SUFFIXES:
            assert any(fits(steps, entry) for entry in ENTRIES), text


def fits(steps, entry):
    """Say whether a path that is written means an entry; any name may stand for <name>."""
    return len(steps) == len(entry) and all(
        step == known or known in PLACES or (step[0] == "<" and known in ("fast", "deep"))
        for step, known in zip(steps, entry, strict=True)
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_metrics_exist(path):
    """`twospeed_x` is on /metrics."""
    known = {name for of in INSTRUMENTS for name in (of.sample, of.family)}
    assert set(re.findall(r"`(twospeed_[a-z_]+)`", path.read_text())) <= known


def test_panels_exist():
    """What the runbook says to look at is on the dashboard."""
    titles = {row.title for row in rows()} | {panel.title for row in rows() for panel in row.panels}
    text = (ROOT / "docs/operations.md").read_text().partition("## Faults by kind")[0]
    looked_at = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", text))
    assert {title for title in looked_at if not any(known.startswith(title) for known in titles)} == set()


async def test_the_first_request_of_the_readme_works():
    """The curl command, word for word, against a server with the quick-start configuration."""
    text = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"^(curl -N .*?)\n```", text, re.DOTALL | re.MULTILINE)
    words = shlex.split(command.replace("\\\n", " "))
    (url,) = (word for word in words if word.startswith("http"))
    (body,) = (words[place + 1] for place, word in enumerate(words) if word == "-d")
    async with serving((ROOT / "config/quickstart.yaml").read_text().replace("port: 8080", "port: 0")) as server:
        path = url.removeprefix("http://127.0.0.1:8080")
        answer = await server.http.post(server.url + path, data=body, headers={"content-type": "application/json"})
        assert answer.status == 200
        assert (await answer.text()).rstrip().endswith("data: [DONE]")
        told = {"x-twospeed-tier", "x-twospeed-backend", "x-twospeed-reason", "x-twospeed-attempts"}
        assert told <= {name.lower() for name in answer.headers}
        assert all(name in text for name in told)


def test_the_config_of_the_walk_through_is_served():
    """docs/rollouts.md begins with it, and edits what it says it edits."""
    text = (ROOT / "config/rollout.yaml").read_text()
    loaded = read(text.encode(), "rollout.yaml", {"TWOSPEED_ADMIN_KEY": "any-long-secret"})
    assert [rollout.id for rollout in loaded.config.rollouts] == ["coder-2"]
    assert not loaded.warnings
    candidate = text[text.index("\n  next:") : text.index("\n  thinker:")]
    assert candidate.count("80ms") == 1
