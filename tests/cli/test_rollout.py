"""`twospeed rollout`: lint, plan, replay."""

import json
import subprocess
import sys

import pytest
from tests.policy.judge.traffic import calls

from twospeed.cli import main

CONFIG = """
providers:
  sim: {kind: simulated, models: {old: {}, new: {}}}
models: {coder: [sim/old]}
tiers: {fast: {models: [sim/old]}, deep: {models: [sim/old]}}
rollouts:
  - id: r
    target: {alias: coder, stable: sim/old, candidate: sim/new}
    gates: [{shadow: {}}]
    steps: [30%, 100%]
    bake: {min: 30m, max: 3h, min_sessions: 20}
"""


@pytest.fixture
def config(tmp_path):
    """The path of a config file with one rollout."""
    path = tmp_path / "twospeed.yaml"
    path.write_text(CONFIG)
    return str(path)


def written(path, stream, odd=()):
    """A file of observations, with odd lines at the end."""
    lines = [
        json.dumps({name: getattr(seen, name) for name in seen.__struct_fields__ if getattr(seen, name) is not None})
        for seen in stream
    ]
    path.write_text("\n".join([*lines, *odd]) + "\n")
    return str(path)


def replayed(capsys, config, file, *more):
    """Exit code, decisions and complaints."""
    code = main(["rollout", "replay", "--config", config, "--observations", file, *more])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_a_good_recording_is_promoted(config, tmp_path, capsys):
    """Exit code 0, and one decision."""
    code, decisions, _ = replayed(capsys, config, written(tmp_path / "o", calls(9_000, spread=0.3)))
    assert code == 0
    assert [decision["decision"] for decision in decisions] == ["promote"]


def test_a_bad_recording_is_rolled_back(config, tmp_path, capsys):
    """Exit code 3; the decision says when, after how many candidate requests, and why."""
    code, decisions, _ = replayed(capsys, config, written(tmp_path / "o", calls(4_000, slower=3.0)), "--rollout", "r")
    assert code == 3
    assert list(decisions[-1]) == ["ts", "decision", "n_candidate", "reason"]
    assert decisions[-1]["decision"] == "rollback"
    assert "times the stable version" in decisions[-1]["reason"]


def test_a_short_recording_is_inconclusive(config, tmp_path, capsys):
    """Exit code 5, with the reason as the last decision."""
    code, decisions, _ = replayed(capsys, config, written(tmp_path / "o", calls(300)))
    assert (code, decisions[-1]["decision"]) == (5, "hold")


def test_lines_that_cannot_be_read_are_named_and_skipped(config, tmp_path, capsys):
    """Each with its number; the rest is judged, and the exit code says that something was left out."""
    odd = [
        "{",
        "[1]",
        '{"ts": "now", "session": "s", "arm": "stable"}',
        '{"ts": 1, "session": "s", "arm": "control"}',
        "",
    ]
    code, decisions, complaints = replayed(capsys, config, written(tmp_path / "o", calls(9_000, spread=0.3), odd))
    assert code == 1
    assert [line.partition(":")[0] for line in complaints.splitlines()] == [f"line {n}" for n in range(9_001, 9_005)]
    assert decisions[-1]["decision"] == "promote"


def test_fields_that_nobody_knows_are_ignored(config, tmp_path, capsys):
    """A recording may hold more than the judge reads, and a session id may be a number."""
    line = '{"ts": 1, "session": 7, "arm": "stable", "latency_ms": 5, "weather": "fine"}'
    code, _, complaints = replayed(capsys, config, written(tmp_path / "o", [], [line]))
    assert (code, complaints) == (5, "")


def test_an_empty_recording_says_so(config, tmp_path, capsys):
    """Nothing to judge is not healthy."""
    code, decisions, complaints = replayed(capsys, config, written(tmp_path / "o", []))
    assert (code, decisions, complaints) == (5, [], "no observations: the stream is empty\n")


def test_it_reads_a_pipe(config, tmp_path):
    """`--observations -` reads standard input, in a process of its own."""
    file = written(tmp_path / "o", calls(4_000, slower=3.0))
    command = [sys.executable, "-m", "twospeed", "rollout", "replay", "--config", config, "--observations", "-"]
    with open(file, "rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, check=False, timeout=60)
    assert done.returncode == 3
    assert json.loads(done.stdout.splitlines()[-1])["decision"] == "rollback"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--observations", "nowhere"], "nowhere: cannot be read: no such file"),
        (["--observations", "-", "--rollout", "q"], "has no rollout 'q', only r"),
        (["--observations", "-", "--share", "100%"], "between 0% and 100%"),
    ],
)
def test_wrong_usage_is_told(config, capsys, arguments, complaint):
    """Exit code 2, and what is wrong."""
    assert main(["rollout", "replay", "--config", config, *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_several_rollouts_need_a_name(tmp_path, capsys):
    """With more than one the command does not guess; with none it says so."""
    several, none = tmp_path / "several.yaml", tmp_path / "none.yaml"
    entry = CONFIG[CONFIG.index("  - id") :]
    other = entry.replace("id: r", "id: q").replace("alias: coder", "alias: fast")
    several.write_text(CONFIG + other.lstrip("\n"))
    none.write_text(CONFIG[: CONFIG.index("rollouts:")])
    assert main(["rollout", "plan", "--config", str(several)]) == 2
    assert "say which with --rollout: r, q" in capsys.readouterr().err
    assert main(["rollout", "plan", "--config", str(none)]) == 2
    assert "has no rollouts" in capsys.readouterr().err


def test_the_plan_says_how_long_each_regression_takes(config, capsys):
    """Requests, hours and power for each metric of each step, tails by themselves."""
    assert main(["rollout", "plan", "--config", config, "--rate", "30/m"]) == 0
    text = capsys.readouterr().out
    assert "at 0.5 requests/s" in text
    assert "30% of sessions: 540 candidate requests an hour, bake 30m to 3h" in text
    assert "only the tail" in text
    assert "100% of sessions: nothing to compare with" in text


def test_the_plan_for_machines(config, capsys):
    """The same figures as JSON; a step of everybody has none."""
    assert main(["rollout", "plan", "--config", config, "--rate", "30/m", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first, last = told["steps"]
    assert (told["rollout"], first["share"], first["candidate_rate"], last["metrics"]) == ("r", 0.3, 0.15, [])
    for row in first["metrics"]:
        assert len(row["requests"]) == len(row["hours"]) == len(told["chances"])
        assert 0.0 <= row["power"] <= 1.0
    assert main(["rollout", "plan", "--config", config, "--rollout", "none", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["message"] == err.strip()


@pytest.mark.parametrize("rate", ["0", "fast", "1/d"])
def test_a_rate_has_a_unit_that_is_known(config, rate, capsys):
    """Anything else is wrong usage."""
    with pytest.raises(SystemExit) as stopped:
        main(["rollout", "plan", "--config", config, "--rate", rate])
    assert stopped.value.code == 2
    assert "1/s, 0.2/s or 30/m" in capsys.readouterr().err


def test_lint_gives_advice(config, tmp_path, capsys):
    """A sound rollout is ok; an unwise one is too, with advice."""
    assert main(["rollout", "lint", config]) == 0
    assert "begins with 30% of sessions" in capsys.readouterr().out
    unwise = tmp_path / "unwise.yaml"
    unwise.write_text(
        CONFIG.replace("    gates: [{shadow: {}}]\n", "    guard: [{metric: latency}]\n    on_fail: {action: pause}\n")
    )
    assert main(["rollout", "lint", str(unwise)]) == 0
    text = capsys.readouterr().out
    for advice in ("no shadow gate", "error_rate is not among the guards", "somebody must watch"):
        assert advice in text


def test_lint_for_machines(config, tmp_path, capsys):
    """Problems with their place, and advice by rollout."""
    assert main(["rollout", "lint", config, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], {problem["severity"] for problem in told["problems"]}) == (True, {"warning"})
    assert told["rollouts"] == [{"id": "r", "advice": ["begins with 30% of sessions"]}]
    broken = tmp_path / "broken.yaml"
    broken.write_text(CONFIG.replace("{shadow: {}}", "capacity"))
    assert main(["rollout", "lint", str(broken), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    errors = [problem["path"] for problem in told["problems"] if problem["severity"] == "error"]
    assert (told["ok"], errors, told["rollouts"]) == (False, ["rollouts[0].gates[0]"], [])


def test_lint_refuses_what_does_not_exist_yet(config, tmp_path, capsys):
    """With the place in the file and the reason."""
    broken = tmp_path / "broken.yaml"
    broken.write_text(CONFIG.replace("{shadow: {}}", "capacity").replace("candidate: sim/new", "candidate: sim/newer"))
    assert main(["rollout", "lint", str(broken)]) == 2
    text = capsys.readouterr().out
    assert "rollouts[0].gates[0]: the gate 'capacity' needs the provider's real limits" in text
    assert "rollouts[0].target.candidate: must be provider/model" in text
