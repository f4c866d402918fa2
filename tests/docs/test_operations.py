"""docs/operations.md: what each kind of fault means is what the code does."""

import re
from pathlib import Path

from twospeed.errors import MEANING

TEXT = (Path(__file__).parent.parent.parent / "docs/operations.md").read_text()


def test_every_kind_of_fault_is_explained():
    """With its status, and whether it falls back and counts against the breaker; a new kind is a new row."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (yes)? ?\| (yes)? ?\| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
    told = {kind: (int(status), bool(falls), bool(opens)) for kind, status, falls, opens, _, _ in rows}
    assert told == {kind.value: (of.status, of.fallback, of.trips) for kind, of in MEANING.items()}


def test_the_log_line_is_one_of_ours():
    """The example has the columns of the log, in their order."""
    (line,) = re.findall(r"^req_\w+ .*$", TEXT, re.MULTILINE)
    shape = r"req_\w+ \d+ /v1/\S+ (fast|deep) \S+@\S+ [\d.]+ms first=\d+ms tokens=\d+/\d+ caller=\w+ model=\w+ why=\S+ \[\S+ \w+\]"
    assert re.fullmatch(shape, line)
