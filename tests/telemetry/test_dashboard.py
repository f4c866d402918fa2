"""What the dashboard shows."""

from tests.promql import selectors

from twospeed.errors import MEANING, Kind, Source
from twospeed.telemetry.dashboard import NOT_THE_CLIENTS, rows
from twospeed.telemetry.instruments import INSTRUMENTS

PANELS = [panel for row in rows() for panel in row.panels]


def test_every_instrument_is_shown():
    """Nothing that is measured stays unseen, also not what was added yesterday."""
    shown = {selector.name for panel in PANELS for query in panel.queries for selector in selectors(query.expr)}
    for instrument in INSTRUMENTS:
        assert ({instrument.sample, f"{instrument.sample}_bucket"} & shown != set()) == instrument.wide


def test_panels_have_names_of_their_own_within_a_row():
    """Whoever says "look at X" is understood."""
    for row in rows():
        titles = [panel.title for panel in row.panels]
        assert len(set(titles)) == len(titles)
        assert all(panel.help for panel in row.panels)


def test_lines_of_one_panel_can_be_told_apart():
    """Several queries in one picture carry legends that differ."""
    for panel in PANELS:
        assert len({query.legend for query in panel.queries}) == len(panel.queries) or panel.kind == "table"


def test_faults_of_clients_are_no_failures():
    """A client that leaves or sends nonsense does not count against the server."""
    left_out = set(NOT_THE_CLIENTS.removeprefix("!~").split("|"))
    assert left_out == {kind.value for kind in Kind if MEANING[kind].source is Source.CLIENT}
    assert Kind.CLIENT_GONE in left_out
    assert Kind.RATE_LIMITED not in left_out
