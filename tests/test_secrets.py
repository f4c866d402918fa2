"""References to secrets."""

import pytest

from twospeed.secrets import LONGEST_BYTES, Unresolved, is_set, resolve

ENV = {
    "KEY": "sk-hush",
    "EMPTY": "",
    "SPACED": "sk hush",
    "LINE": "sk-hush\n",
    "BAD": "sk-\nhush",
    "DIGEST": "sha256:1",
}
HEX = "0123456789abcdef" * 4


def test_a_variable_stands_for_its_value(tmp_path):
    """Line ends around a secret are not part of it."""
    assert resolve("env:KEY", ENV, tmp_path) == "sk-hush"
    assert resolve("env:LINE", ENV, tmp_path) == "sk-hush"


def test_a_file_stands_for_what_it_holds(tmp_path):
    """Relative paths begin at the config file, absolute ones at the root."""
    (tmp_path / "a.key").write_text("sk-hush\n")
    assert resolve("file:a.key", ENV, tmp_path) == "sk-hush"
    assert resolve(f"file:{tmp_path}/a.key", ENV, tmp_path / "elsewhere") == "sk-hush"


def test_a_digest_is_good_where_only_comparing_is_needed(tmp_path):
    """Callers can be known without their key; a provider cannot be called with a digest."""
    assert resolve(f"sha256:{HEX}", ENV, tmp_path, digests=True) == f"sha256:{HEX}"
    with pytest.raises(Unresolved, match="a digest is not enough"):
        resolve(f"sha256:{HEX}", ENV, tmp_path)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:NO", "environment variable NO is not set"),
        ("env:EMPTY", "environment variable EMPTY is not set"),
        ("env:sk-hush", "env: needs the name of an environment variable"),
        ("env:SPACED", "environment variable SPACED holds a space"),
        ("env:BAD", "environment variable BAD holds a space, a line break"),
        ("env:DIGEST", "sha256: needs the 64 hexadecimal digits"),
        ("sha256:hush", "sha256: needs the 64 hexadecimal digits"),
        ("file:no", "cannot be read: no such file or directory"),
        ("file:.", "cannot be read: is a directory"),
        ("file:empty", "file empty is empty"),
        ("file:long", "is larger than a secret can be"),
        ("file:\x00", "cannot be read: not a path"),
        ("sk-hush", "a secret in plain text is refused: move it out of this file and write env:NAME"),
        ("$KEY", "write env:KEY"),
        ("${KEY}", "write env:KEY"),
        ("os.environ/KEY", "write env:KEY"),
        ("OPENAI_API_KEY", "write env:OPENAI_API_KEY"),
        ("", "a secret in plain text is refused"),
    ],
)
def test_what_cannot_be_used_is_refused_without_being_shown(reference, message, tmp_path):
    """The message says what to do, and never what was found."""
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "long").write_bytes(b"x" * (LONGEST_BYTES + 1))
    with pytest.raises(Unresolved, match=r"(?s).*") as raised:
        resolve(reference, ENV, tmp_path, digests=True)
    assert message in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_variable_that_is_empty_is_not_set():
    """`NAME=` switches nothing on."""
    assert [is_set(f"env:{name}", ENV) for name in ("KEY", "EMPTY", "NO")] == [True, False, False]
