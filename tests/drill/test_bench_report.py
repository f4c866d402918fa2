"""The report of a load test: everything an operator asks for, on a screen and for machines."""

import json

from twospeed.drill.bench import Load
from twospeed.drill.bench_report import as_json, histogram, progress, table
from twospeed.drill.bench_tally import Outcome, Spread, Tally

LOAD = Load("http://h/v1", "/chat/completions", "auto", 10.0, 2.0, 0.5, 100, 30.0, (2_000, 30_000))


def tally() -> Tally:
    """Three good answers, one error, one stream cut off, one never answered."""
    made = Tally()
    made.due = 6
    gaps = Spread()
    gaps.add(0.02, times=4)
    for _ in range(2):
        made.add(Outcome(stream=False, total=0.25, tier="fast", backend="one/m@r"))
    made.add(Outcome(True, 1.5, first_token=0.12, events=5, gaps=gaps, tier="deep", backend="two/m@r"))
    made.add(Outcome(stream=True, total=0.4, error="truncated", truncated=True))
    made.add(Outcome(stream=False, total=0.01, error="429 rate_limited"))
    return made


def test_the_table_says_all_of_it():
    """What was sent and came back, times, tiers, backends, errors, and what was given up."""
    text = table(LOAD, tally(), 2.0)
    for part in (
        "http://h/v1/chat/completions  model auto",
        "10/s for 2s (Poisson, seed 1), 50% streamed, 2 KB, 30 KB, at most 100 at once",
        "sent 6   ok 3   errors 2   truncated streams 1",
        "1.5 good answers/s   2 events/s",
        "abandoned 1",
        "p99.9",
        "2  fast",
        "1  two/m@r",
        "1  429 rate_limited",
    ):
        assert part in text, text
    rows = {line[:12].strip(): line.split() for line in text.splitlines()}
    assert rows["plain"][1:3] == ["2", "250ms"]
    assert rows["first token"][2:4] == ["1", "120ms"]
    assert rows["event gap"][2] == "4"


def test_machines_are_told_the_same():
    """As JSON, with times in milliseconds."""
    told = json.loads(json.dumps(as_json(LOAD, tally(), 2.0)))
    assert (told["sent"], told["ok"], told["failed"], told["truncated"], told["abandoned"]) == (6, 3, 2, 1, 1)
    assert told["plain_ms"]["count"] == 2
    assert 245 < told["plain_ms"]["p50"] < 255
    assert told["errors"] == {"truncated": 1, "429 rate_limited": 1}
    assert told["backends"]["one/m@r"] == 2


def test_the_histogram_counts_every_answer_once():
    """Steps without any are shown as well, so that a gap looks like one."""
    spread = Spread()
    for seconds in (0.0012, 0.0013, 0.03):
        spread.add(seconds)
    lines = histogram(spread)
    assert [line.split()[:3] for line in lines] == [
        ["1ms", "..", "2ms"],
        ["2ms", "..", "5ms"],
        ["5ms", "..", "10ms"],
        ["10ms", "..", "20ms"],
        ["20ms", "..", "50ms"],
    ]
    assert [line.split()[4] for line in lines] == ["2", "0", "0", "0", "1"]
    assert lines[0].count("█") > lines[4].count("█") > lines[1].count("█") == 0


def test_a_run_without_answers_still_has_a_report():
    """Nothing divides by zero."""
    empty = Tally()
    assert "sent 0" in table(LOAD, empty, 0.0)
    assert as_json(LOAD, empty, 0.0)["answers_per_s"] == 0.0
    assert "p50 0us" in progress(0.0, 0.0, empty)


def test_the_line_of_each_second_shows_what_happened_since_the_last():
    """Sums since the start, rate and times since the last line."""
    line = progress(4.0, 2.0, tally())
    assert "4s  sent 6  ok 3  errors 2  open 1  2/s  p50 25" in line.replace("248ms", "250ms")
