"""Settings of the simulated provider."""

from random import Random

import pytest
from pydantic import ValidationError

from twospeed.upstream.script.settings import FaultKind, Latency, Length, Simulation


def test_defaults_answer_at_once():
    """A simulated provider needs no settings at all and then never fails."""
    assert Simulation().faults == []
    assert Simulation().first_token.median == 0.15


def test_reads_the_documented_form():
    """Speed, length and faults are written with units, as everywhere in the file."""
    simulation = Simulation.model_validate(
        {
            "first_token": {"median": "800ms", "spread": 0.2},
            "tokens_per_second": 1500,
            "output_tokens": {"median": "2k", "spread": 0},
            "faults": [{"kind": "http_429", "share": "5%", "retry_after": "2s"}, {"kind": "stall", "share": "1%"}],
        }
    )
    assert simulation.first_token.median == 0.8
    assert simulation.output_tokens.median == 2000
    assert [rule.kind for rule in simulation.faults] == [FaultKind.HTTP_429, FaultKind.STALL]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"faults": [{"kind": "hang", "share": "60%"}, {"kind": "reset", "share": "50%"}]}, "add up to 110%"),
        ({"faults": [{"kind": "slow"}]}, "needs a delay"),
        ({"faults": [{"kind": "explode"}]}, "refuse"),
        ({"speed": 3}, "Extra inputs"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], complaint: str):
    """A mistake in the file is named, not guessed around."""
    with pytest.raises(ValidationError, match=complaint):
        Simulation.model_validate(settings)


def test_distributions_have_their_median():
    """Half of all drawn values lie below the median, and spread 0 always gives it."""
    chance = Random(1)
    slower = sum(Latency(median="1s", spread=0.5).draw(chance) > 1.0 for _ in range(2000))
    assert 900 < slower < 1100
    assert {Length(median=7, spread=0).draw(chance) for _ in range(20)} == {7}
