"""deploy/k8s: names, ports, probes and times fit together and fit the server."""

import re
from pathlib import Path

import pytest
import yaml
from tests.serving import serving

from twospeed.config import read

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
KUBERNETES = DEPLOY / "k8s"
EXAMPLES = {"secret.example.yaml", "monitor.example.yaml"}
OBJECTS = [
    document
    for path in sorted(KUBERNETES.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]


def one(kind, name="twospeed"):
    """The object of that kind and name."""
    (found,) = (it for it in OBJECTS if it["kind"] == kind and it["metadata"]["name"] == name)
    return found


DEPLOYMENT = one("Deployment")["spec"]
POD = DEPLOYMENT["template"]["spec"]
(CONTAINER,) = POD["containers"]
LABELS = DEPLOYMENT["template"]["metadata"]["labels"]
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
SECRET = one("Secret")["stringData"]
CONFIG = one("ConfigMap")["data"]["twospeed.yaml"]
LOADED = read(CONFIG.encode(), "twospeed.yaml", {**SECRET, "TWOSPEED_SIMULATE": ""})


def test_each_file_is_applied_or_an_example():
    """Nothing lies about that nobody uses."""
    listed = set(yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"])
    assert {path.name for path in KUBERNETES.iterdir()} == listed | EXAMPLES | {"kustomization.yaml"}


def test_the_configuration_is_that_of_the_fleet():
    """One text, in two places: deploy/fleet.yaml is the one to edit."""
    assert (DEPLOY / "fleet.yaml").read_text() == CONFIG


def test_the_secret_holds_what_the_configuration_asks_for():
    """Keys of callers, admin and Redis, and of at least one provider."""
    needed = set(re.findall(r"(?:key|url): env:([A-Z_]+)", CONFIG))
    assert needed <= SECRET.keys()
    assert LOADED.providers.keys() == {"openai"}
    assert CONTAINER["envFrom"] == [{"secretRef": {"name": one("Secret")["metadata"]["name"]}}]


def test_selectors_find_the_pods():
    """Deployment, services, budget and network policy mean the same pods."""
    selectors = [
        DEPLOYMENT["selector"]["matchLabels"],
        one("Service")["spec"]["selector"],
        one("Service", "twospeed-admin")["spec"]["selector"],
        one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in POD["topologySpreadConstraints"]),
    ]
    assert all(selector == LABELS for selector in selectors)
    assert one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == one("Deployment")["metadata"]["name"]
    monitored = one("ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    assert monitored <= one("Service", "twospeed-admin")["metadata"]["labels"].items()


def test_ports_are_those_the_server_listens_on():
    """By number where they are opened, by name everywhere else."""
    assert {"http": LOADED.config.listen.port, "admin": LOADED.config.admin.port} == PORTS
    for name, target in (("twospeed", "http"), ("twospeed-admin", "admin")):
        assert [port["targetPort"] for port in one("Service", name)["spec"]["ports"]] == [target]
    assert [port["port"] for rule in one("NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]] == [
        "http",
        "admin",
    ]
    (endpoint,) = one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["port"] == one("Service", "twospeed-admin")["spec"]["ports"][0]["name"]
    assert endpoint["authorization"]["credentials"]["key"] in SECRET


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
async def test_probes_ask_what_the_server_answers(probe):
    """Without a key, on the port of the requests."""
    asked = CONTAINER[probe]["httpGet"]
    assert asked["port"] == "http"
    async with serving() as server:
        answer = await server.http.get(server.url + asked["path"])
        assert answer.status == 200


async def test_a_draining_server_is_not_ready_but_alive():
    """It gets no new requests, and is not killed while streams end."""
    async with serving() as server:
        server.server.api.draining = True
        answers = [await server.http.get(server.url + CONTAINER[probe]["httpGet"]["path"]) for probe in PROBES]
        assert [answer.status for answer in answers] == [503, 200]


PROBES = ("readinessProbe", "livenessProbe")


def test_pods_are_given_time_to_drain():
    """The grace period covers the wait before SIGTERM, the drain, the cut and the last telemetry."""
    *_, wait = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert POD["terminationGracePeriodSeconds"] > int(wait) + LOADED.config.listen.drain + 7


def test_pods_may_do_nothing_they_need_not():
    """No root, no new rights, nothing writable but what is mounted for it."""
    context = CONTAINER["securityContext"]
    assert POD["securityContext"]["runAsNonRoot"]
    user = re.search(r"^USER (\d+)$", (DEPLOY.parent / "Dockerfile").read_text(), re.MULTILINE)[1]
    assert POD["securityContext"]["runAsUser"] == int(user)
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}


def test_the_configuration_is_mounted_where_it_is_read():
    """And the state where the image says it is; a folder and not a file, so that changes arrive."""
    paths = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert CONTAINER["args"][-1] == f"{paths['config']}/twospeed.yaml"
    assert f"TWOSPEED_STATE_DIR={paths['state']}" in (DEPLOY.parent / "Dockerfile").read_text()
    assert not any("subPath" in mount for mount in CONTAINER["volumeMounts"])


def test_one_goes_while_the_others_serve():
    """Two at least, and never two away on purpose."""
    assert DEPLOYMENT["replicas"] == one("HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2
    assert DEPLOYMENT["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert {"cpu", "memory"} <= CONTAINER["resources"]["requests"].keys()
