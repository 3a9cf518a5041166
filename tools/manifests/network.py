"""Who may talk to whom, as the NetworkPolicies of an overlay say: both ends must allow it.

walls = Walls(built("gpu"))
walls.open(Peer("kefu", {"app.kubernetes.io/component": "gateway"}), Peer("kefu", {…triton…}), 8001)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from tools.manifests.build import Object, containers

COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod (namespace, labels; `namespace_labels` beyond its name), or an address outside."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


class Walls:
    """The policies of one namespace, and the ports' names of its pods."""

    def __init__(self, objects: list[Object], namespace: str = "kefu") -> None:
        self._namespace = namespace
        self._policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]
        self._templates = [
            o["spec"]["template"] for o in objects if "template" in o.get("spec", {})
        ]

    def open(self, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
        return self._allows("Egress", source, target, target, port, protocol) and self._allows(
            "Ingress", target, source, target, port, protocol
        )

    def _allows(
        self, way: str, selected: Peer, other: Peer, target: Peer, port: int, protocol: str
    ) -> bool:
        if selected.namespace != self._namespace:
            return True  # what other namespaces allow is theirs to say
        mine = [
            spec
            for spec in self._policies
            if way in spec["policyTypes"] and _chooses(spec["podSelector"], selected.labels)
        ]
        if not mine:
            return True  # Kubernetes: a pod that no policy chooses may do everything
        peers = "to" if way == "Egress" else "from"
        return any(
            self._fits(rule.get(peers), other)
            and self._port_fits(rule.get("ports"), target, port, protocol)
            for spec in mine
            for rule in spec.get(way.lower(), [])
        )

    def _fits(self, peers: list[Object] | None, other: Peer) -> bool:
        return peers is None or any(self._is(peer, other) for peer in peers)

    def _is(self, rule: Object, other: Peer) -> bool:
        if "ipBlock" in rule:
            if not other.address:
                return False
            address = ipaddress.ip_address(other.address)
            inside = address in ipaddress.ip_network(rule["ipBlock"]["cidr"])
            return inside and not any(
                address in ipaddress.ip_network(block)
                for block in rule["ipBlock"].get("except", [])
            )
        if other.address:
            return False
        if "namespaceSelector" in rule:
            labels = {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels}
            if not _chooses(rule["namespaceSelector"], labels):
                return False
        elif other.namespace != self._namespace:
            return False
        return "podSelector" not in rule or _chooses(rule["podSelector"], other.labels)

    def _port_fits(
        self, ports: list[Object] | None, target: Peer, port: int, protocol: str
    ) -> bool:
        if ports is None:
            return True
        names = {
            p["name"]: p["containerPort"]
            for template in self._templates
            if template["metadata"]["labels"].get(COMPONENT) == target.labels.get(COMPONENT)
            for container in containers(template["spec"])
            for p in container.get("ports", [])
        }
        return any(
            rule.get("protocol", "TCP") == protocol
            and names.get(rule["port"], rule["port"]) == port
            for rule in ports
        )


def _chooses(selector: Object, labels: Mapping[str, str]) -> bool:
    expressions = selector.get("matchExpressions", [])
    if set(selector) - {"matchLabels", "matchExpressions"} or any(
        expression["operator"] != "In" for expression in expressions
    ):
        raise NotImplementedError(f"a selector like {selector}")
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= {**labels}.items() and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )
