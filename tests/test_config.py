"""The config file as operators meet it: what a broken one is told, and what the shipped ones do."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twospeed.config import Config, ConfigError, load, read
from twospeed.problems import render

ROOT = Path(__file__).parent.parent
QUICKSTART = (ROOT / "config/quickstart.yaml").read_bytes()
GOLDEN = sorted((ROOT / "tests/golden/config").glob("*.yaml"))
GOLDEN_ENV = {"SET": "a-secret-0123456789", "OTHER": "another-secret-0123456789", "SPACED": "two words"}

SMALL = """
providers:
  sim: {kind: simulated, models: {quick: {}, slow: {}}}
tiers:
  fast: {models: [sim/quick]}
  deep: {models: [sim/slow]}
"""
REAL = """
keys:
  - {name: ann, key: env:ANN}
  - {name: bob, key: "file:bob.key", models: [fast]}
admin: {key: env:ADMIN}
providers:
  real:
    kind: openai
    base_url: https://api.example.com/v1
    key: env:REAL
    headers: {x-team: env:TEAM, x-plain: visible}
    models: {quick: {family: small}, slow: {context: 1M, images: true}}
tiers:
  fast: {models: [real/quick]}
  deep: {models: [real/slow]}
"""
SECRETS = {"ANN": "ann-hush", "ADMIN": "admin-hush", "REAL": "real-hush", "TEAM": "team-hush"}


def real(tmp_path, text=REAL):
    """Load a config with secrets of every kind."""
    (tmp_path / "bob.key").write_text("bob-hush\n")
    (tmp_path / "twospeed.yaml").write_text(text)
    return load(tmp_path / "twospeed.yaml", SECRETS)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_broken_file_is_told_everything_that_is_wrong(file):
    """Each mistake is named with its line, its column, its path and what to do about it, all in one run."""
    try:
        found = read(file.read_bytes(), file.name, GOLDEN_ENV).warnings
    except ConfigError as error:
        found = error.problems
    assert render(found) + "\n" == file.with_suffix(".txt").read_text()


def test_every_broken_file_has_its_messages():
    """A golden file without a partner would test nothing."""
    texts = {file.stem for file in (ROOT / "tests/golden/config").glob("*.txt")}
    assert {file.stem for file in GOLDEN} == texts
    assert len(GOLDEN) >= 25


@pytest.mark.parametrize(
    ("keys", "fast", "deep"),
    [
        ((), "sim-fast/spark", "sim-deep/thinker"),
        (("OPENAI_API_KEY",), "openai/gpt-5.4-mini", "openai/gpt-5.4"),
        (("CEREBRAS_API_KEY",), "cerebras/gpt-5.3-codex-spark", "cerebras/gpt-oss-120b"),
        (("OPENAI_API_KEY", "CEREBRAS_API_KEY"), "cerebras/gpt-5.3-codex-spark", "openai/gpt-5.4"),
    ],
)
def test_the_quick_start_serves_with_the_keys_there_are(keys, fast, deep):
    """With no key simulated models answer; with any real key only real ones do, in both tiers."""
    loaded = load(ROOT / "config/quickstart.yaml", dict.fromkeys(keys, "k-123"))
    lanes = loaded.catalogue.lanes
    assert [lanes[tier].backends[0].name for tier in ("fast", "deep")] == [f"{fast}@default", f"{deep}@default"]
    kinds = {loaded.providers[backend.provider].kind for backend in loaded.catalogue.backends.values()}
    assert kinds == ({"openai"} if keys else {"simulated"})
    assert loaded.warnings == ()


def test_the_quick_start_can_show_a_fallback():
    """Without keys the fast tier has a spare."""
    assert len(load(ROOT / "config/quickstart.yaml", {}).catalogue.lanes["fast"].backends) == 2


@pytest.mark.parametrize("name", ["gpt-5.4", "claude-opus-4-5", "codex-mini-latest", "o4-mini", "whatever", "auto"])
def test_the_quick_start_knows_any_model_name(name):
    """A client needs no change of its model name."""
    assert load(ROOT / "config/quickstart.yaml", {}).catalogue.route(name).tier is None


def test_the_full_example_is_served_as_it_stands():
    """The commented example is valid without any variable set, and raises no warning."""
    assert load(ROOT / "config/twospeed.yaml", {}).warnings == ()


def test_what_the_full_example_shows_as_comments_is_valid_too():
    """Without the marks in front of it the Redis block works as it stands."""
    text = (ROOT / "config/twospeed.yaml").read_text()
    block = re.search(r"^# stores:\n(#  .*\n)+", text, re.MULTILINE)[0]
    text = text.replace(block, re.sub(r"^# ", "", block, flags=re.MULTILINE))
    redis = read(text.encode(), "f", {}).config.stores.redis
    assert redis is not None
    assert (redis.url, redis.timeout, redis.replicas) == ("redis://127.0.0.1:6379/0", 0.05, 3)


def test_the_address_of_redis_may_be_a_reference(tmp_path):
    """An address with a password is kept out of the file, and out of what is printed."""
    text = SMALL + "stores: {redis: {url: env:REDIS_URL}}\n"
    loaded = read(text.encode(), "f", {"REDIS_URL": "redis://:hush@cache:6379"})
    assert loaded.redis_url == "redis://:hush@cache:6379"
    assert "hush" not in repr(loaded)
    with pytest.raises(
        ConfigError, match=r"stores.redis.url: env:REDIS_URL holds no address: expected one that begins with redis://"
    ):
        read(text.encode(), "f", {"REDIS_URL": "cache:6379"})


def test_a_missing_file_is_a_problem_like_any_other(tmp_path):
    """The message names the file."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "no.yaml", {})
    assert str(raised.value) == f"{tmp_path}/no.yaml:1:1: cannot be read: no such file or directory"


def test_the_environment_of_the_process_is_the_default(tmp_path, monkeypatch):
    """Without an explicit environment the process's own is read."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "bob.key").write_text("bob-hush")
    (tmp_path / "twospeed.yaml").write_text(REAL)
    assert load(tmp_path / "twospeed.yaml").provider_keys == {"real": "real-hush"}


def test_secrets_are_resolved_apart_from_the_config(tmp_path):
    """Variables and files (beside the config, line end ignored) become keys; callers are kept as digests only."""
    loaded = real(tmp_path)
    assert loaded.provider_keys == {"real": "real-hush"}
    assert loaded.provider_headers == {"real": {"x-team": "team-hush", "x-plain": "visible"}}
    assert loaded.admins == {"admin": hashlib.sha256(b"admin-hush").digest()}
    assert loaded.callers == (
        ("ann", hashlib.sha256(b"ann-hush").digest(), ["*"]),
        ("bob", hashlib.sha256(b"bob-hush").digest(), ["fast"]),
    )


def test_secrets_are_never_printed(tmp_path):
    """Neither printing nor dumping a loaded config shows a secret, not even a reference's value."""
    loaded = real(tmp_path)
    shown = [repr(loaded), str(loaded), repr(loaded.config), loaded.config.model_dump_json(), repr(loaded.catalogue)]
    assert not [text for text in shown if "hush" in text]


def test_secrets_are_never_in_messages(tmp_path):
    """A file full of mistakes is told so without its secrets."""
    text = (
        REAL.replace("env:REAL", "real-hush")
        .replace("env:ANN", "{a: ann-hush}")
        .replace("key: env:ADMIN", "key: [admin-hush]")
    )
    with pytest.raises(ConfigError) as raised:
        real(tmp_path, text)
    assert len(raised.value.problems) == 3
    assert "hush" not in render(raised.value.problems, "json") + str(raised.value)


def test_backends_carry_what_was_said_of_their_model(tmp_path):
    """Context, images, family and region of a model are those of the file."""
    slow, quick = (real(tmp_path).catalogue.backends[f"real/{model}@default"] for model in ("slow", "quick"))
    assert (slow.context, slow.images, slow.family) == (1_000_000, True, "")
    assert (quick.context, quick.images, quick.family) == (128_000, False, "small")


def test_who_does_not_take_part_is_told_why():
    """A provider left out is listed with its reason, and its missing key is no error."""
    loaded = load(ROOT / "config/quickstart.yaml", {"OPENAI_API_KEY": "k-123"})
    assert loaded.left_out["cerebras"] == "CEREBRAS_API_KEY is not set"
    assert loaded.left_out["sim-fast"] == "OPENAI_API_KEY is set"
    assert set(loaded.providers) == {"openai"}


def test_an_empty_variable_counts_as_not_set():
    """`OPENAI_API_KEY=` in an env file does not switch the provider on."""
    assert "openai" in load(ROOT / "config/quickstart.yaml", {"OPENAI_API_KEY": ""}).left_out


def test_blocks_may_be_written_once_and_merged():
    """Anchors under `x-` keys and merges save repetition; a mistake is shown where it is written."""
    text = "x-sim: &sim\n  kind: simulated\n  models: {quick: {}, slow: {}}\n" + SMALL.replace(
        "{kind: simulated, models: {quick: {}, slow: {}}}", "{<<: *sim, region: eu}"
    )
    assert "sim/quick@eu" in read(text.encode(), "f", {}).catalogue.backends
    with pytest.raises(ConfigError, match=r"^f:2:9: providers.sim.kind: 'simulatd' is not known here"):
        read(text.replace("kind: simulated", "kind: simulatd").encode(), "f", {})


def test_one_name_may_stand_without_a_list():
    """`coder: fast` and `coder: [fast]` are the same."""
    texts = [SMALL + f"models: {{coder: {to}}}\n" for to in ("fast", "[fast]")]
    routes = [read(text.encode(), "f", {}).catalogue.route("coder") for text in texts]
    assert routes[0] == routes[1]


def test_words_that_older_yaml_took_for_booleans_are_text():
    """`format: off` is the word, not false."""
    assert read((SMALL + "telemetry: {log: {format: off}}").encode(), "f", {}).config.telemetry.log.format == "off"


def test_the_config_cannot_be_changed():
    """A reload builds a new one; nobody edits the one in use."""
    config = read(SMALL.encode(), "f", {}).config
    with pytest.raises(ValueError, match="frozen"):
        config.keys = []


def test_top_level_keys_follow_the_flow():
    """The file reads in the order a request is served."""
    order = [
        "listen",
        "admin",
        "keys",
        "providers",
        "models",
        "rules",
        "tiers",
        "classify",
        "sessions",
        "breaker",
        "rollouts",
        "shadow",
        "flags",
        "stores",
        "reload",
        "telemetry",
    ]
    assert [name for name in order if name in Config.model_fields] == list(Config.model_fields)


def problems_of(data):
    """What is wrong with a file, as a list of places; whatever else goes wrong is a bug."""
    try:
        read(data, "f.yaml", {"A": "x"})
    except ConfigError as error:
        assert error.problems, "a refusal without a reason"  # noqa: PT017
        return json.loads(render(error.problems, "json"))
    return []


PIECES = [
    b"\t",
    b":",
    b"- ",
    b"{",
    b"]",
    b"*a",
    b"&a ",
    b"<<: ",
    b'"',
    b"\n",
    b"  ",
    b"~",
    b"\xff",
    b"sim-fast",
    b"auto",
]
AT = st.integers(0, len(QUICKSTART))
EDIT = st.tuples(AT, st.integers(0, 30), st.sampled_from(PIECES) | st.binary(max_size=3))


@settings(max_examples=200, deadline=None)
@given(st.lists(EDIT, min_size=1, max_size=4))
def test_any_mangled_file_ends_in_a_config_or_in_problems(edits):
    """Whatever happens to a file, the answer is a list of places in it, never a traceback."""
    data = QUICKSTART
    for at, cut, piece in edits:
        data = data[:at] + piece + data[at + cut :]
    lines = len(data.splitlines()) + 1
    assert all(1 <= problem["line"] <= lines and problem["column"] >= 1 for problem in problems_of(data))


WORDS = ["kind", "models", "key", "name", "fast", "deep", "timeouts", "total", "rank", "weights", "limits", "rpm"]
WORDS += ["family", "headers", "when", "unless", "host", "port", "sim", "<<", "simulate", "region"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
LEAVES |= st.sampled_from(["auto", "sim/quick", "80s", "env:A", "openai", "simulated", "weighted", *WORDS])


def nested(inner):
    """Lists and blocks of whatever."""
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), st.recursive(LEAVES, nested, max_leaves=10)))
def test_any_values_end_in_a_config_or_in_problems(value):
    """A section may hold anything at all, of any shape."""
    problems_of(json.dumps(value).encode())


HOUSED = """
providers:
  out: {kind: openai, base_url: "https://api.example/v1", models: {m: {}}, key: "env:KEY"PROXY}
tiers: {fast: {models: [out/m]}, deep: {models: [out/m]}}
"""


@pytest.mark.parametrize(
    ("setting", "env", "proxy"),
    [
        ("", {}, None),
        ("", {"HTTPS_PROXY": "http://me:pw@proxy:3128"}, "http://me:pw@proxy:3128"),
        ("", {"https_proxy": "proxy:3128"}, "proxy:3128"),
        ("", {"HTTP_PROXY": "http://proxy:3128"}, None),
        ("", {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example"}, None),
        (", proxy: none", {"HTTPS_PROXY": "http://proxy:3128"}, None),
        (", proxy: 'http://own:3128'", {"HTTPS_PROXY": "http://proxy:3128"}, "http://own:3128"),
        (", proxy: env:OWN", {"OWN": "http://me:pw@own:3128"}, "http://me:pw@own:3128"),
    ],
)
def test_the_proxy_of_a_provider(setting: str, env: dict[str, str], proxy: str | None):
    """Its own setting wins over the environment; a password never shows."""
    loaded = read(HOUSED.replace("PROXY", setting).encode(), "f", {"KEY": "k", **env})
    assert loaded.proxies.get("out") == proxy
    assert "me:pw" not in repr(loaded)


@pytest.mark.parametrize(
    ("setting", "env", "message"),
    [
        (
            "",
            {"HTTPS_PROXY": "socks5://me:pw@proxy"},
            "out: the environment variable that names it: a proxy is http://",
        ),
        (", proxy: env:OWN", {"OWN": "https://me:pw@own"}, "out.proxy: a proxy is http://host:port"),
        (", proxy: 'http://me:pw@own'", {}, "out.proxy: a password in plain text is refused"),
        (", tls: {verify: false}", {}, "out.tls.verify: certificates are always verified"),
        (", tls: {ca: nowhere.pem}", {}, "out.tls.ca: cannot be read"),
    ],
)
def test_what_cannot_lead_to_a_provider_is_refused(setting: str, env: dict[str, str], message: str):
    """At the start, with the place, without the password."""
    with pytest.raises(ConfigError) as told:
        read(HOUSED.replace("PROXY", setting).encode(), "f", {"KEY": "k", **env})
    assert message in str(told.value)
    assert "pw@" not in str(told.value)
