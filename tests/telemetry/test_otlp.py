"""Who we are to a collector, and what is said about one."""

from twospeed import __version__
from twospeed.telemetry.otlp import Reached, resource


def test_we_say_who_we_are(monkeypatch):
    """A name, a version and an id of this very process."""
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    said = resource().attributes
    assert (said["service.name"], said["service.version"]) == ("twospeed", __version__)
    assert said["service.instance.id"] != resource().attributes["service.instance.id"]
    assert said["telemetry.sdk.language"] == "python"


def test_an_operator_may_call_us_otherwise(monkeypatch):
    """The variables every OpenTelemetry SDK reads hold here too."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "router-eu")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod")
    said = resource().attributes
    assert (said["service.name"], said["deployment.environment.name"]) == ("router-eu", "prod")


def test_a_change_is_told_once():
    """Neither an ill collector nor a healthy one fills the log, and no password of its address is in it."""
    told = []
    reached = Reached("traces", "http://user:secret@c.example:4318/v1/traces", told.append)
    for good in (True, False, False, True, True):
        reached(good)
    assert told == [
        "traces collector c.example:4318 does not take exports; they are dropped",
        "traces collector c.example:4318 takes exports again",
    ]
