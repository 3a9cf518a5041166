"""k8s/ as `kubectl apply -k` would send it: schemas, custom resources' types, policy. And that the checks can fail."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tools.manifests import build, schemas
from tools.manifests.build import ENVIRONMENT, OVERLAYS, Object, built, distinct, find, name_of
from tools.manifests.policy import Explanation, Finding, explanations, findings, unexplained

pytestmark = pytest.mark.skipif(
    not (ENVIRONMENT / "bin/kubectl").exists(),
    reason=f"no kubectl: {ENVIRONMENT} is not there (./dev test makes it)",
)


def test_every_object_fits_two_kubernetes_versions() -> None:
    objects = distinct()
    assert len(objects) > max(len(built(overlay)) for overlay in OVERLAYS)
    with ThreadPoolExecutor(2) as pool:
        problems = pool.map(lambda v: schemas.schema_problems(objects, v), schemas.VERSIONS)
    assert [problem for version in problems for problem in version] == []


def test_the_schemas_refuse_what_is_wrong_and_what_is_unknown() -> None:
    service = copy.deepcopy(find(built("cpu"), "Service", "kefu-triton"))
    service["spec"]["clusterIPz"] = service["spec"].pop("clusterIP")
    toy = {"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "x"}}
    problems = "\n".join(schemas.schema_problems([toy, service], schemas.VERSIONS[0]))
    assert "kind Toy" in problems
    assert "clusterIPz" in problems
    assert "0 of 2 objects passed" in problems


def custom_problems(objects: list[Object]) -> list[str]:
    try:
        return schemas.custom_problems(objects)
    except schemas.TypesMissing as error:
        pytest.skip(str(error))


def test_custom_resources_fit_their_publishers_types() -> None:
    kinds = {"GRPCRoute", "ScaledObject", "PodMonitor", "PrometheusRule"}
    for overlay, more in {
        "gpu": set(),
        "multi-gateway": set(),
        "guarded": {"BackendTLSPolicy"},
    }.items():
        assert {o["kind"] for o in built(overlay) if schemas.is_custom(o)} == kinds | more
    assert custom_problems(distinct()) == []


def test_the_types_refuse_unknown_fields_and_wrong_values() -> None:
    scaled = copy.deepcopy(find(built("gpu"), "ScaledObject", "kefu-triton"))
    unknown = copy.deepcopy(scaled)
    unknown["spec"]["polingInterval"] = unknown["spec"].pop("pollingInterval")
    scaled["spec"]["minReplicaCount"] = "one"
    problems = "\n".join(custom_problems([scaled, unknown]))
    assert "polingInterval" in problems
    assert "must be integer" in problems


def test_the_cpu_overlay_needs_no_operator() -> None:
    assert [name_of(o) for o in built("cpu") if schemas.is_custom(o)] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_finding_of_the_policy_is_unexplained(overlay: str) -> None:
    left, _ = unexplained(findings(built(overlay)), explanations())
    assert [str(finding) for finding in left] == []


def container(objects: list[Object]) -> Object:
    return find(objects, "Deployment", "kefu-triton")["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


def pod(objects: list[Object]) -> Object:
    return find(objects, "Deployment", "kefu-triton")["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def security(objects: list[Object]) -> Object:
    return container(objects)["securityContext"]  # type: ignore[no-any-return]


SPOILED: dict[str, Callable[[list[Object]], Any]] = {
    "pss-host-namespaces": lambda o: pod(o).update(hostPID=True),
    "pss-volume-types": lambda o: pod(o)["volumes"].append(
        {"name": "x", "hostPath": {"path": "/"}}
    ),
    "pss-sysctls": lambda o: pod(o)["securityContext"].update(
        sysctls=[{"name": "kernel.msgmax", "value": "1"}]
    ),
    "pss-privileged": lambda o: security(o).update(privileged=True),
    "pss-privilege-escalation": lambda o: security(o).pop("allowPrivilegeEscalation"),
    "pss-capabilities": lambda o: security(o)["capabilities"].update(add=["SYS_ADMIN"]),
    "pss-non-root": lambda o: security(o).update(runAsNonRoot=False),
    "pss-non-root-user": lambda o: security(o).update(runAsUser=0),
    "pss-seccomp": lambda o: security(o).update(seccompProfile={"type": "Unconfined"}),
    "pss-proc-mount": lambda o: security(o).update(procMount="Unmasked"),
    "pss-app-armor": lambda o: security(o).update(appArmorProfile={"type": "Unconfined"}),
    "pss-selinux": lambda o: security(o).update(seLinuxOptions={"type": "spc_t"}),
    "pss-host-ports": lambda o: container(o)["ports"][0].update(hostPort=80),
    "pss-host-probes": lambda o: container(o)["livenessProbe"].update(
        httpGet={"host": "example.com", "port": 80}
    ),
    "kefu-empty-dir-bounded": lambda o: pod(o)["volumes"].append({"name": "x", "emptyDir": {}}),
    "kefu-no-token": lambda o: pod(o).pop("automountServiceAccountToken"),
    "kefu-own-account": lambda o: pod(o).pop("serviceAccountName"),
    "kefu-no-service-links": lambda o: pod(o).pop("enableServiceLinks"),
    "kefu-read-only-root": lambda o: security(o).update(readOnlyRootFilesystem=False),
    "kefu-numeric-user": lambda o: pod(o)["securityContext"].pop("runAsUser"),
    "kefu-image-pinned": lambda o: container(o).update(image="registry.example.com:5000/kefu/x"),
    "kefu-requests": lambda o: container(o)["resources"]["requests"].pop("cpu"),
    "kefu-memory-limit": lambda o: container(o)["resources"].pop("limits"),
    "kefu-no-secrets": lambda o: o.append(
        {"kind": "Secret", "metadata": {"name": "x", "namespace": "kefu"}}
    ),
    "kefu-namespace": lambda o: o[-1]["metadata"].update(namespace="default"),
    "kefu-no-reach": lambda o: find(o, "Service", "kefu-gateway")["spec"].update(
        type="LoadBalancer"
    ),
}


@pytest.mark.parametrize("rule", sorted(SPOILED))
def test_the_policy_finds(rule: str) -> None:
    objects = copy.deepcopy(built("cpu"))
    SPOILED[rule](objects)
    assert rule in {finding.rule for finding in findings(objects)}


def test_images_named_latest_are_found_in_every_spelling() -> None:
    for image in ("kefu/x", "kefu/x:latest", "registry.example.com:5000/kefu/x"):
        objects = copy.deepcopy(built("cpu"))
        container(objects)["image"] = image
        assert "kefu-image-pinned" in {finding.rule for finding in findings(objects)}, image
    objects = copy.deepcopy(built("cpu"))
    container(objects)["image"] = "kefu/x@sha256:" + "0" * 64
    assert "kefu-image-pinned" not in {finding.rule for finding in findings(objects)}


def test_every_object_can_be_applied_and_applied_again() -> None:
    """`kubectl apply` keeps what it applied in an annotation, and annotations end at 256 KiB."""
    for thing in distinct():
        assert len(json.dumps(thing)) < 200 * 1024, name_of(thing)


def test_an_explanation_of_nothing_is_told() -> None:
    finding = Finding("r", "here", "text")
    assert unexplained([finding], [Explanation("r", "elsewhere", "…")])[0] == [finding]
    assert unexplained([finding], [Explanation("r", "*", "…")]) == ([], [])
    assert unexplained([], [Explanation("r", "*", "…")])[1] == [Explanation("r", "*", "…")]


def test_every_explanation_says_why() -> None:
    for explained in explanations():
        assert len(explained.why) > 80, explained.rule


def test_nothing_in_the_tree_of_manifests_is_forgotten() -> None:
    """A file that no kustomization names would never be applied and never be checked."""
    folder = build.ROOT / "k8s"
    named = "\n".join(path.read_text() for path in folder.rglob("kustomization.yaml"))
    left = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and path.name not in ("kustomization.yaml", "explained.toml")
        and path.name not in named
    ]
    assert left == []
    assert Path(folder / "base/kustomization.yaml").is_file()
