"""The alerts: fresh, and saying what they mean."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from twospeed.telemetry.alerts import ALERTS, BURNS, OBJECTIVE, document

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "deploy/prometheus/alerts.yaml"


def rules():
    """Every alert of the file, by name."""
    groups = yaml.safe_load(document())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_the_file_is_fresh():
    """deploy/prometheus/alerts.yaml is what the code says; if not, run `make docs`."""
    assert FILE.read_text() == document()


def test_every_window_of_the_budget_is_computed():
    """What an alert compares is recorded."""
    text = document()
    recorded = set(re.findall(r"record: (\S+)", text))
    assert recorded == set(re.findall(r"tier:twospeed_fault_ratio:rate\w+", text))


def test_the_budget_alerts_are_those_of_the_book():
    """Two page and two write a ticket, each over a long window and a short one."""
    assert [(burn.factor, burn.short, burn.long, burn.severity) for burn in BURNS] == [
        (14.4, "5m", "1h", "page"),
        (6, "30m", "6h", "page"),
        (3, "2h", "1d", "ticket"),
        (1, "6h", "3d", "ticket"),
    ]
    assert f"> 14.4 * {1 - OBJECTIVE:g} and" in rules()["TwospeedBudgetBurns14_4x"]["expr"]


def test_whoever_is_woken_knows_what_to_do():
    """Each alert names a heading of the runbook that exists."""
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in rules().values():
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / file).is_file()
        assert anchor in anchors


def test_only_what_users_feel_wakes_anybody():
    """Pages are for failing requests and for nothing running; the rest can wait for the morning."""
    assert [alert.name for alert in ALERTS if alert.severity == "page"] == ["TwospeedDown"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_agrees():
    """Over made-up hours what is broken alerts within minutes, and thirty clean days stay silent."""
    cases = [str(path) for path in sorted(FILE.parent.glob("*.test.yaml"))]
    ran = subprocess.run(["promtool", "test", "rules", *cases], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
