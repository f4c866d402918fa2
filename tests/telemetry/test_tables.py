"""The generated page about metrics."""

from pathlib import Path

from twospeed.telemetry.instruments import INSTRUMENTS
from twospeed.telemetry.tables import document

ROOT = Path(__file__).parent.parent.parent


def test_the_page_is_fresh():
    """docs/metrics.md is what the code says; if not, run `make docs`."""
    assert (ROOT / "docs/metrics.md").read_text() == document()


def test_every_instrument_is_on_the_page():
    """Under both of its names where it has two."""
    text = document()
    for instrument in INSTRUMENTS:
        assert f"`{instrument.name}`" in text
        assert (f"| `{instrument.sample}` |" in text) == instrument.wide
