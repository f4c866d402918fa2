"""The chain of the audit ledger."""

from msgspec.structs import replace

from twospeed.policy.audit import ORIGIN, Entry, Line, broken, chained, proof


def chain(count=4):
    """A whole chain."""
    lines, last = [], ORIGIN
    for number in range(1, count + 1):
        entry = Entry(float(number), "rollout", "r", "advance", reason=f"passed {number}")
        last = chained(last, number, entry)
        lines.append(Line(number, entry, last))
    return lines


def test_a_whole_chain_is_whole():
    """Nothing is found where nothing was done."""
    assert broken(chain(), 4) is None
    assert broken([], 0) is None


def test_a_changed_entry_is_found():
    """Whoever rewrites a reason is found at that line."""
    lines = chain()
    lines[1] = lines[1]._replace(entry=replace(lines[1].entry, reason="it was fine"))
    assert broken(lines, 4).number == 2


def test_a_changed_entry_with_a_new_hash_is_found_behind_it():
    """Whoever also mends its hash is found at the next line."""
    lines = chain()
    entry = replace(lines[1].entry, actor="nobody")
    lines[1] = Line(2, entry, chained(lines[0].hash, 2, entry))
    assert broken(lines, 4).number == 3


def test_a_removed_entry_is_found():
    """A gap is named by the number that is missing."""
    lines = chain()
    del lines[2]
    assert broken(lines, 4) == (3, "line 3 is missing: the next is 4")


def test_a_missing_end_is_found():
    """Numbers that were given and are not there were cut off."""
    assert broken(chain()[:3], 4) == (4, "the end is missing: 4 lines were written, 3 are there")
    assert broken([], 4).number == 1


def test_a_slipped_in_entry_is_found():
    """An entry between two others does not follow the first."""
    lines = chain()
    lines.insert(2, Line(3, lines[0].entry, lines[0].hash))
    assert broken(lines, 5).number == 3


def test_evidence_has_one_form():
    """The same figures have the same hash, in whatever order they were written down."""
    assert proof({"a": 1, "b": [2.5]}) == proof({"b": [2.5], "a": 1})
    assert proof(None) == ("", b"")
