"""What pydantic found wrong, in the operator's words; the whole variety is in golden/config."""

import pytest

from twospeed.config import Config, ConfigError, read
from twospeed.wording import shown, with_kinds

HEAD = "providers: {sim: {kind: simulated, models: {quick: {}, slow: {}}}}\n"
TIERS = "tiers: {fast: {models: [sim/quick]}, deep: {models: [sim/slow]}}\n"


def messages(text):
    """The messages of a text, without their places."""
    with pytest.raises(ConfigError) as raised:
        read(text.encode(), "f", {})
    return [problem.message for problem in raised.value.problems]


def places(text):
    """Where the problems of a text are, and at which paths."""
    with pytest.raises(ConfigError) as raised:
        read(text.encode(), "f", {})
    return [(problem.line, problem.column, problem.path) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("first_tokn", "unknown key 'first_tokn', did you mean 'first_token'?"),
        ("Total", "unknown key 'Total', did you mean 'total'?"),
        ("ttft", "unknown key 'ttft', did you mean 'first_token'?"),
        ("port", "unknown key 'port' here: it belongs to listen.port or admin.port"),
        ("zzz", "unknown key 'zzz', known here: connect, first_token, idle, total"),
    ],
)
def test_an_unknown_key_gets_the_best_advice_there_is(key, message):
    """A near miss, another tool's word for it, the place it belongs to, or else the list of what is known."""
    tiers = f"tiers: {{fast: {{models: [sim/quick], timeouts: {{{key}: 1s}}}}, deep: {{models: [sim/slow]}}}}\n"
    assert messages(HEAD + tiers) == [message]


def test_tags_of_unions_are_not_in_paths():
    """The path is the one in the file, although the kind of provider was found out first."""
    text = HEAD.replace("models:", "region: 5, models:") + TIERS
    assert places(text) == [(1, 44, ("providers", "sim", "region"))]


def test_a_provider_may_be_called_like_its_kind():
    """`openai: {kind: openai}` is told from its tag."""
    text = HEAD.replace("{sim:", "{openai: {kind: openai, models: {}, base_url: ftp://x}, sim:") + TIERS
    assert places(text) == [(1, 58, ("providers", "openai", "base_url"))]


def test_what_is_missing_is_asked_of_the_block_it_is_missing_from():
    """The place is that of the block's own key."""
    assert places(HEAD + "tiers:\n  fast: {}\n  deep: {models: [sim/slow]}\n") == [(3, 3, ("tiers", "fast"))]


def test_a_union_complains_once():
    """A value that fits no member of a union is one problem."""
    assert messages(HEAD + TIERS + "models: {coder: 5}") == ["expected a name or a list of names, got 5"]


def test_numbers_that_should_be_text_are_to_be_quoted():
    """YAML made a number of a model's name."""
    assert "expected text, got 4.1; quote it" in messages(HEAD + TIERS.replace("sim/quick", "4.1"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        ({"key": "sk-hush"}, "a block of keys"),
        (["sk-hush"], "a list"),
        (True, "true"),
        ("x" * 100, repr("x" * 60 + "...")),
        ("redis://user:hush@host:6379", "'redis://***@host:6379'"),
    ],
)
def test_values_are_shown_short_and_without_secrets(value, text):
    """Enough to recognise the value; never a password, never a whole block."""
    assert shown(value) == text


def test_a_secret_is_not_shown():
    """Where the settings say secret, the value stays unseen."""
    assert shown("sk-hush", secret=True) == "a value that is not shown here"
    assert "hush" not in str(messages(HEAD + TIERS + "keys: [sk-hush-1, {name: ann, key: [hush-2]}]"))


def test_reading_goes_on_with_the_likeliest_kind():
    """A missing or misspelt kind does not hide what else is wrong in the block."""
    value = {"providers": {"a": {"kind": "simulate"}, "b": {"base_url": "https://x"}}}
    errors = [
        {"type": "union_tag_invalid", "loc": ("providers", "a")},
        {"type": "union_tag_not_found", "loc": ("providers", "b")},
    ]
    mended = with_kinds(errors, Config, value)
    assert [block["kind"] for block in mended["providers"].values()] == ["simulated", "openai"]
    assert "kind" not in value["providers"]["b"]
