"""The policy scan: Kubernetes' Pod Security Standard `restricted`, and rules of our own.

    for finding in findings(built("gpu")): ...

Restricted, rule by rule: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (without the rules for
Windows: our pods name none). Ours say what that standard does not: a root that nobody can write to, a bound on memory,
an image that is the same tomorrow, a user that the image does not choose, no token, no secret in the repository.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.manifests.build import ROOT, Object, containers, name_of, pods

EXPLANATIONS = ROOT / "k8s/explained.toml"

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}
_SELINUX = {
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`rule` and `where` are what an explanation names; `where` has no hash of a generated name in it."""

    rule: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}  {self.where}: {self.text}"


def findings(objects: list[Object]) -> list[Finding]:
    """Everything that the standard or one of our rules forbids, sorted."""
    found: list[Finding] = []
    for owner, pod in pods(objects):
        found += (Finding(rule, owner, text) for rule, text in _pod(pod))
        for container in containers(pod):
            where = f"{owner}/{container['name']}"
            for rules in (_restricted, _ours):
                found += (Finding(rule, where, text) for rule, text in rules(container, pod))
    found += _objects(objects)
    return sorted(set(found))


def _pod(pod: Object) -> Iterator[tuple[str, str]]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield "pss-host-namespaces", f"{field} is set"
    for volume in pod.get("volumes", []):
        for kind in set(volume) - {"name"} - _VOLUMES:
            yield "pss-volume-types", f"volume {volume['name']} is a {kind}"
        if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
            yield "kefu-empty-dir-bounded", f"volume {volume['name']} has no sizeLimit"
    for sysctl in pod.get("securityContext", {}).get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield "pss-sysctls", f"{sysctl['name']} is set"
    if pod.get("automountServiceAccountToken") is not False:
        yield "kefu-no-token", "a token of the service account would be mounted"
    if pod.get("serviceAccountName", "default") == "default":
        yield "kefu-own-account", "runs under the namespace's default account"
    if pod.get("enableServiceLinks") is not False:
        yield "kefu-no-service-links", "KEFU_…_PORT of Services would be read as settings"


def _restricted(container: Object, pod: Object) -> Iterator[tuple[str, str]]:
    own, whole = container.get("securityContext", {}), pod.get("securityContext", {})

    def effective(field: str) -> object:
        return own[field] if field in own else whole.get(field)

    if own.get("privileged"):
        yield "pss-privileged", "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "pss-privilege-escalation", "allowPrivilegeEscalation is not false"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "pss-capabilities", "does not drop ALL"
    for added in set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "pss-capabilities", f"adds {added}"
    if effective("runAsNonRoot") is not True:
        yield "pss-non-root", "runAsNonRoot is not true"
    if effective("runAsUser") == 0:
        yield "pss-non-root-user", "runs as user 0"
    seccomp = effective("seccompProfile")
    if not isinstance(seccomp, dict) or seccomp.get("type") not in _SECCOMP:
        yield "pss-seccomp", "has no seccomp profile"
    if own.get("procMount", "Default") != "Default":
        yield "pss-proc-mount", "unmasks /proc"
    armor = effective("appArmorProfile")
    if isinstance(armor, dict) and armor.get("type") == "Unconfined":
        yield "pss-app-armor", "is not confined"
    selinux = effective("seLinuxOptions")
    if isinstance(selinux, dict) and (
        selinux.get("type", "") not in _SELINUX or selinux.get("user") or selinux.get("role")
    ):
        yield "pss-selinux", "chooses its SELinux labels"
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield "pss-host-ports", f"takes port {port['hostPort']} of the node"
    for handler in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        if '"host":' in repr(container.get(handler, {})).replace("'", '"'):
            yield "pss-host-probes", f"{handler} names a host"


def _ours(container: Object, pod: Object) -> Iterator[tuple[str, str]]:
    own, whole = container.get("securityContext", {}), pod.get("securityContext", {})
    if own.get("readOnlyRootFilesystem") is not True:
        yield "kefu-read-only-root", "its root can be written to"
    if not {**whole, **own}.get("runAsUser"):
        yield "kefu-numeric-user", "the image chooses the user"
    image = container["image"]
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        yield "kefu-image-pinned", f"{image} is another one tomorrow"
    resources = container.get("resources", {})
    for wanted in ("cpu", "memory"):
        if wanted not in resources.get("requests", {}):
            yield "kefu-requests", f"requests no {wanted}"
    if "memory" not in resources.get("limits", {}):
        yield "kefu-memory-limit", "memory is not bounded"


def _objects(objects: list[Object]) -> Iterator[Finding]:
    for thing in objects:
        where = name_of(thing)
        if thing["kind"] == "Secret":
            yield Finding("kefu-no-secrets", where, "a secret stands in the repository")
        if thing["kind"] != "Namespace" and thing["metadata"].get("namespace") != "kefu":
            yield Finding("kefu-namespace", where, "is not in the namespace kefu")
        if thing["kind"] == "ServiceAccount" and (
            thing.get("automountServiceAccountToken") is not False
        ):
            yield Finding("kefu-no-token", where, "mounts its token unless a pod says no")
        if thing["kind"] in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
            yield Finding("kefu-no-reach", where, "gives rights in the cluster")
        if thing["kind"] == "Service" and thing["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield Finding("kefu-no-reach", where, "opens a door past the network policies")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a finding stays. `where` may be `*`."""

    rule: str
    where: str
    why: str

    def covers(self, finding: Finding) -> bool:
        return self.rule == finding.rule and self.where in ("*", finding.where)


def explanations(path: Path = EXPLANATIONS) -> list[Explanation]:
    with path.open("rb") as file:
        return [Explanation(**entry) for entry in tomllib.load(file)["explained"]]


def unexplained(
    found: Iterable[Finding], explained: Iterable[Explanation]
) -> tuple[list[Finding], list[Explanation]]:
    """Findings that nobody explains, and explanations of what is not found any more."""
    found, explained = list(found), list(explained)
    left = [f for f in found if not any(e.covers(f) for e in explained)]
    return left, [e for e in explained if not any(e.covers(f) for f in found)]
