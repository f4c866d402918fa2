"""What tells two answers to one request apart."""

import pytest

from twospeed.policy.pairing import LONGEST, Pair, Side, agreement, finish_of, similarity
from twospeed.types import Called, Heard


def _calls(*pairs: tuple[str, str]) -> Heard:
    return Heard(calls=tuple(Called(*pair) for pair in pairs))


LS, CAT = ("ls", '{"path":"a","all":true}'), ("cat", '{"path":"b"}')


@pytest.mark.parametrize(
    ("stable", "candidate", "expected"),
    [
        ((), (), ("", None)),
        ((LS,), (LS,), ("same", 1.0)),
        ((LS,), (("ls", '{"all": true, "path": "a"}'),), ("same", 1.0)),
        ((LS,), (("ls", '{"path":"b","all":true}'),), ("arguments", 0.5)),
        ((LS,), (("ls", '{"path":"a"}'),), ("arguments", 0.5)),
        ((LS, CAT), (CAT, LS), ("same", 1.0)),
        ((LS,), (CAT,), ("tool", 0.0)),
        ((LS, CAT), (LS,), ("tool", 1.0)),
        ((LS,), (), ("only_stable", None)),
        ((), (LS,), ("only_candidate", None)),
        ((("patch", "*** a"),), (("patch", "*** a"),), ("same", 1.0)),
        ((("patch", "*** a"),), (("patch", "*** b"),), ("arguments", 0.0)),
        ((("now", ""),), (("now", ""),), ("same", 1.0)),
    ],
)
def test_tool_calls_agree_by_tool_and_arguments(stable, candidate, expected):
    """The same tool with the same arguments is the same call, however it is written and in whichever order."""
    assert agreement(_calls(*stable), _calls(*candidate)) == expected


def test_what_was_not_heard_is_not_compared():
    """Where an answer could not be read nothing is said about its calls."""
    assert agreement(Heard(deaf=True), _calls(LS)) == ("", None)


def test_similar_texts_share_most_of_their_words():
    """Equal is 1, nothing in common is 0, a changed word costs a little; case does not matter."""
    text = "First read the file, then change the name of the function and run the tests again."
    assert similarity(text, text.upper()) == 1.0
    assert similarity(text, "Nope!") == 0.0
    assert 0.7 < similarity(text, text.replace("name", "body")) < 1.0
    assert similarity("yes", "yes") == 1.0
    assert similarity("yes", "") == 0.0


def test_only_the_beginnings_of_long_texts_are_compared():
    """An answer of a megabyte costs no more than one of a few pages."""
    text = "a b " * LONGEST
    assert similarity(text, text + "c d " * 1_000) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [("stop", "end_turn"), ("completed", "stop"), ("length", "max_tokens"), ("tool_use", "tool_calls")],
)
def test_ends_have_one_word_in_all_dialects(one, other):
    """A candidate of another API ends alike in another word."""
    assert finish_of(one, Heard()) == finish_of(other, Heard())


def test_a_pair_names_what_differs():
    """Fault alone where one failed; else finish, tools, refusal and text."""
    whole, failed = Side(finish="stop"), Side(fault="reset")
    assert Pair("r", 0.0, whole, failed).differs() == ["fault"]
    assert Pair("r", 0.0, failed, failed).differs() == []
    assert Pair("r", 0.0, whole, whole, similarity=0.9).differs() == []
    other = Side(finish="length", refusal=True)
    assert Pair("r", 0.0, whole, other, tools="tool", similarity=0.1).differs() == ["finish", "tool", "refusal", "text"]
    assert Pair("r", 0.0, whole, whole, tools="arguments").differs() == ["arguments"]
