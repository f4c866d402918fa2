"""The file that Grafana imports."""

from pathlib import Path

from twospeed.telemetry.dashboard import rows
from twospeed.telemetry.grafana import PAGE, dashboard, document

ROOT = Path(__file__).parent.parent.parent
MADE = dashboard(rows())


def test_the_file_is_fresh():
    """deploy/grafana/dashboard.json is what the code says; if not, run `make docs`."""
    assert (ROOT / "deploy/grafana/dashboard.json").read_text() == document()


def test_panels_do_not_overlap():
    """Each panel has its own place on the page, and each its own number."""
    taken: set[tuple[int, int]] = set()
    for panel in MADE["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= PAGE
        assert cells.isdisjoint(taken)
        taken |= cells
    numbers = [panel["id"] for panel in MADE["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_every_query_goes_to_the_chosen_prometheus():
    """The dashboard holds no address of anybody's server."""
    for panel in MADE["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert target["range"] is not target["instant"]


def test_exemplars_are_asked_for_where_there_are_some():
    """From a slow bucket one gets to the trace of a request in it."""
    with_exemplars = {panel["title"] for panel in MADE["panels"] for t in panel.get("targets", ()) if t["exemplar"]}
    assert {"First token by tier", "Duration by tier"} <= with_exemplars
    assert "Memory" not in with_exemplars


def test_values_with_words_are_shown_as_words():
    """A breaker is open and not 2."""
    (panel,) = (panel for panel in MADE["panels"] if panel["type"] == "state-timeline")
    words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert [words[value]["text"] for value in "012"] == ["closed", "half open", "open"]
