"""Calls of scripts as they stand on the wire."""

import hashlib

import hiredis
import pytest

from twospeed.stores.redis.script import Form, Script, packed

SCRIPT = Script("return ARGV[1]")


def test_a_script_goes_by_its_digest():
    """The name Redis itself gives it."""
    assert SCRIPT.digest == hashlib.sha1(b"return ARGV[1]").hexdigest()


@pytest.mark.parametrize("line", ["", "a line", "né 12", "x" * 5_000])
@pytest.mark.parametrize("after", [(), (7,), ("é", b"\x00", 0)])
def test_a_form_with_a_word_in_it_is_the_whole_call(line: str, after):
    """Packed in parts or at once: the same bytes; and the same words where Redis has to be told the script."""
    form = Form(SCRIPT, ("clé", "k2"), ("before", 3), after)
    words = ("clé", "k2", "before", 3, line, *after)
    assert form.packed(line) == packed(("EVALSHA", SCRIPT.digest, 2, *words))
    assert form.whole(line) == ("EVAL", SCRIPT.source, 2, *words)
    assert packed(words) == hiredis.pack_command(words)
