"""The schema that editors use, and the generated reference."""

import re
from pathlib import Path

import jsonschema
import pytest

from twospeed import reference, shape
from twospeed.config import Config, ConfigError, read
from twospeed.locate import Document

ROOT = Path(__file__).parent.parent
EXAMPLES = ["config/quickstart.yaml", "config/twospeed.yaml"]
VALIDATOR = jsonschema.Draft7Validator(reference.schema())


def errors(text):
    """What an editor would underline."""
    return [error.message for error in VALIDATOR.iter_errors(Document(text.encode(), "f").value)]


def test_the_schema_is_fresh():
    """config/schema.json is what the code says; if not, run `make docs`."""
    assert (ROOT / reference.SCHEMA_FILE).read_text() == reference.rendered_schema()


def test_the_reference_is_fresh():
    """docs/config.md is what the code says; if not, run `make docs`."""
    assert (ROOT / reference.DOCS_FILE).read_text() == reference.document()


def test_both_files_are_written_where_they_belong(tmp_path):
    """`make docs` writes the schema and the reference."""
    (tmp_path / "config").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "deploy/grafana").mkdir(parents=True)
    (tmp_path / "deploy/prometheus").mkdir()
    reference.write(tmp_path)
    assert (tmp_path / "config/schema.json").read_text() == reference.rendered_schema()
    assert (tmp_path / "docs/config.md").read_text() == reference.document()


def test_the_schema_is_a_schema():
    """Editors can load it."""
    jsonschema.Draft7Validator.check_schema(reference.schema())


@pytest.mark.parametrize("file", EXAMPLES)
def test_the_shipped_files_fit_the_schema(file):
    """An editor underlines nothing in them, and finds the schema by itself."""
    text = (ROOT / file).read_text()
    assert errors(text) == []
    assert text.startswith("# yaml-language-server: $schema=./schema.json\n")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("first_token: {median", "first_tokn: {median"),
        ("kind: simulated", "kind: simulatd"),
        ("kind: openai", ""),
        ("median: 120ms", "median: 120"),
        ("key: env:OPENAI_API_KEY", "key: sk-proj-123"),
        ("port: 8080", "port: 80800"),
        ("context: 128k", "context: much"),
        ("  sim-fast:", "  sim/fast:"),
        ("tiers:", "teirs:"),
        ("gpt-*: auto", "gpt-*: 5"),
    ],
)
def test_an_editor_underlines_what_the_server_refuses(right, wrong):
    """A typo, a number without unit or a secret in plain text is seen while typing, and refused later."""
    text = (ROOT / "config/quickstart.yaml").read_text()
    assert right in text
    broken = text.replace(right, wrong)
    assert errors(broken)
    with pytest.raises(ConfigError):
        read(broken.encode(), "f", {"OPENAI_API_KEY": "k", "CEREBRAS_API_KEY": "k"})


def test_every_key_is_described():
    """No key without a sentence."""
    bare = [
        ".".join(entry.path) for entry in shape.entries(Config) if not shape.description(entry.owner, entry.path[-1])
    ]
    assert bare == []


def test_every_key_is_in_the_reference():
    """The reference leaves nothing out."""
    text = reference.document()
    assert {entry.path[-1] for entry in shape.entries(Config)} <= set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_every_key_is_in_the_full_example():
    """config/twospeed.yaml shows every key, the few that exclude each other as comments."""
    text = (ROOT / "config/twospeed.yaml").read_text()
    shown = set(re.findall(r"(\w+):", text))
    assert {entry.path[-1] for entry in shape.entries(Config)} - shown == set()


def test_defaults_are_written_as_they_would_be_read():
    """A default copied from the reference or completed by an editor is accepted and changes nothing."""
    blocks = reference.schema()["properties"]
    for name in ("listen", "breaker", "telemetry"):
        written = {key: node["default"] for key, node in blocks[name]["properties"].items() if "default" in node}
        default = Config.model_fields[name].default
        assert type(default).model_validate(written) == default


def test_the_schema_holds_nothing_that_only_code_understands():
    """Descriptions are for operators: no examples in Python, no class names."""
    text = reference.rendered_schema()
    assert ">>>" not in text
    assert "$ref" not in text
    assert "x-unit" not in text
    assert text.count('"title"') == 1
