"""deploy/compose.yaml and the files it mounts fit together."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from twospeed.config import load

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
COLLECTOR = yaml.safe_load((DEPLOY / "collector/collector.yaml").read_text())
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
ENVIRONMENT = SERVICES["twospeed"]["environment"]


def mounts(service):
    """What a service sees of the repository, by its path there."""
    volumes = [volume.split(":") for volume in SERVICES[service].get("volumes", ())]
    return {inside: DEPLOY / source for source, inside, *_ in volumes if source.startswith(".")}


def test_it_holds_what_a_fleet_needs():
    """Redis, a collector, Prometheus and Grafana beside the server, each at a version."""
    assert SERVICES.keys() == {"twospeed", "redis", "collector", "prometheus", "grafana"}
    for service in SERVICES.values():
        assert re.fullmatch(r"\S+:(\d[\w.-]*|v\d\S*|local)", service["image"])


def test_what_is_mounted_exists():
    """A missing file would become an empty folder."""
    for service in SERVICES:
        for source in mounts(service).values():
            assert source.exists()


def test_what_is_named_is_declared():
    """Volumes and secrets."""
    for service in SERVICES.values():
        names = {volume.split(":")[0] for volume in service.get("volumes", ()) if volume[0] not in "./"}
        assert names <= COMPOSE["volumes"].keys()
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()


def test_nothing_is_open_beyond_this_machine():
    """Each port is published on loopback, the admin listener's not at all."""
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not any(port.endswith(":8081") for port in published)


def test_the_server_gets_what_its_file_asks_for():
    """Every variable of the configuration is handed on, and those that are needed are asked for."""
    served = SERVICES["twospeed"]["command"][-1]
    text = mounts("twospeed")[served].read_text()
    assert set(re.findall(r"env:([A-Z_]+)", text)) <= ENVIRONMENT.keys()
    for name in ("TWOSPEED_KEY", "TWOSPEED_ADMIN_KEY"):
        assert ENVIRONMENT[name].startswith(f"${{{name}:?")


def test_stopping_waits_for_the_drain():
    """Streams in flight may end; nobody is killed at the tenth second."""
    env = {
        "TWOSPEED_KEY": "k",
        "TWOSPEED_ADMIN_KEY": "a",
        "TWOSPEED_SIMULATE": "1",
        "REDIS_URL": ENVIRONMENT["REDIS_URL"],
    }
    loaded = load(DEPLOY / "fleet.yaml", env)
    grace = int(SERVICES["twospeed"]["stop_grace_period"].removesuffix("s"))
    assert grace > loaded.config.listen.drain + 7  # the cut at the deadline, and telemetry that is still to leave


def test_addresses_lead_to_services():
    """Redis, the collector, and what Prometheus and Grafana ask."""
    assert re.match(r"redis://(\w+):6379", ENVIRONMENT["REDIS_URL"])[1] in SERVICES
    assert re.match(r"http://(\w+):4318", ENVIRONMENT["OTEL_EXPORTER_OTLP_ENDPOINT"])[1] in SERVICES
    targets = [
        target
        for job in PROMETHEUS["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    assert {target.partition(":")[0] for target in targets} <= SERVICES.keys()
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_prometheus_may_ask_the_server():
    """It sends the admin key, to the admin port, and reads the alerts."""
    (job,) = (job for job in PROMETHEUS["scrape_configs"] if job["job_name"] == "twospeed")
    (secret,) = SERVICES["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret] == {"environment": "TWOSPEED_ADMIN_KEY"}
    assert job["static_configs"] == [{"targets": ["twospeed:8081"]}]
    assert [(DEPLOY / "prometheus" / file).exists() for file in PROMETHEUS["rule_files"]] == [True]


def test_the_collector_passes_on_what_it_takes():
    """Each pipeline begins and ends in something that is set up, and Prometheus scrapes its end."""
    for pipeline in COLLECTOR["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= COLLECTOR[part].keys()
    assert COLLECTOR["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    port = COLLECTOR["exporters"]["prometheus"]["endpoint"].rpartition(":")[2]
    assert f"collector:{port}" in str(PROMETHEUS["scrape_configs"])


def test_grafana_finds_the_dashboard():
    """The folder it is told to read is where the file is mounted."""
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/twospeed.yaml").read_text())["providers"]
    file = f"{provider['options']['path']}/dashboard.json"
    assert mounts("grafana")[file] == DEPLOY / "grafana/dashboard.json"
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == file


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_reads_its_file():
    """As Prometheus itself says."""
    command = ["promtool", "check", "config", "--syntax-only", str(DEPLOY / "prometheus/prometheus.yaml")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
