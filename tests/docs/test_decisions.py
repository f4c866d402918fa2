"""docs/decisions: each on one page, with the four things a page says, and listed."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent / "docs/decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_four_things(page):
    """Context, choice, what was rejected, and how we would notice that it was wrong; no longer than a page."""
    text = page.read_text()
    assert re.match(rf"# {page.name[:3]}: ", text)
    assert re.findall(r"^\*\*(\w+)", text, re.MULTILINE) == ["Context", "Choice", "Rejected", "We"]
    assert len(text.split()) <= 400


def test_all_are_listed_by_their_titles():
    """The index is complete, numbers run without a gap."""
    titles = [page.read_text().partition("\n")[0].removeprefix("# ") for page in PAGES]
    listed = re.findall(r"^- \[(.*)\]\((.*)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert listed == [(title, page.name) for title, page in zip(titles, PAGES, strict=True)]
    assert [int(page.name[:3]) for page in PAGES] == list(range(1, len(PAGES) + 1))
