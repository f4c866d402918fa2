"""The table of instruments."""

import re

import pytest

from twospeed.telemetry.instruments import BY_NAME, INSTRUMENTS, Instrument

UNITS = {"s": "_seconds", "By": "_bytes", "{token}/s": "_per_second"}
BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda i: i.name)
def test_every_instrument_is_fit_to_be_shown(instrument: Instrument):
    """Names, units and labels follow the rules of both worlds, and each says what it means."""
    assert re.fullmatch(r"(twospeed|gen_ai\.client)(\.[a-z_]+)+", instrument.name)
    assert instrument.help.endswith(".")
    assert "\n" not in instrument.help
    assert instrument.family.endswith(UNITS.get(instrument.unit, ""))
    assert all(re.fullmatch(r"[a-z_]+", label) for label in instrument.labels)
    assert list(instrument.bounds) == sorted(set(instrument.bounds))
    assert bool(instrument.bounds) == (instrument.kind == "histogram")


def test_ids_are_never_labels():
    """No label can take a value for each request, session or caller; keys are those the operator named, bounded besides."""
    labels = {label for instrument in INSTRUMENTS for label in instrument.labels}
    assert labels.isdisjoint({"id", "request", "session", "caller", "client", "trace", "key", "user"})


def test_names_are_unique():
    """Neither name of an instrument is that of another."""
    assert len(BY_NAME) == len(INSTRUMENTS)
    assert len({instrument.family for instrument in INSTRUMENTS}) == len(INSTRUMENTS)


def test_genai_instruments_are_those_of_the_convention():
    """Names, units and buckets are taken from the pinned conventions."""
    from opentelemetry.semconv._incubating.metrics import gen_ai_metrics as known

    assert BY_NAME[known.GEN_AI_CLIENT_OPERATION_DURATION].bounds == BOUNDS
    assert BY_NAME[known.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK].bounds == BOUNDS
    tokens = BY_NAME[known.GEN_AI_CLIENT_TOKEN_USAGE]
    assert tokens.bounds == (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
    assert tokens.unit == "{token}"
