"""Who may talk to whom in the cluster: everything else is shut."""

from __future__ import annotations

import copy
import itertools

import pytest

from tools.manifests.build import ENVIRONMENT, OVERLAYS, built, find, pods
from tools.manifests.network import COMPONENT, Peer, Walls

pytestmark = pytest.mark.skipif(
    not (ENVIRONMENT / "bin/kubectl").exists(),
    reason=f"no kubectl: {ENVIRONMENT} is not there (./dev test makes it)",
)


def ours(component: str) -> Peer:
    return Peer("kefu", {COMPONENT: component, "app.kubernetes.io/part-of": "kefu"})


PEERS = {
    **{name: ours(name) for name in ("gateway", "triton", "valkey")},
    # Somebody's debugging pod in our namespace: no policy but the default one chooses it.
    "stray pod": Peer("kefu", {"app": "stray"}),
    "caller": Peer("shop", {"app": "web"}, {"kefu-caller": "true"}),
    "stranger": Peer("other", {"app": "web"}),
    # Labels of a pod are its owner's to choose: in another namespace they give nothing.
    "impostor": Peer("other", {COMPONENT: "gateway"}),
    "prometheus": Peer("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "ingress": Peer("gateways", {"app": "envoy"}),
    "dns": Peer("kube-system", {"k8s-app": "kube-dns"}),
    "internet": Peer(address="1.1.1.1"),
    "metadata service": Peer(address="169.254.169.254"),
    "private network": Peer(address="10.0.0.1"),
}
PORTS = (53, 80, 443, 4317, 4318, 6379, 8000, 8001, 8002, 8003, 9102, 9464, 50051, 50052, 50053)

CORE = {
    ("caller", "gateway", 50051),
    ("prometheus", "gateway", 9464),
    ("prometheus", "gateway", 9102),
    ("prometheus", "triton", 8002),
    ("gateway", "triton", 8001),
    ("gateway", "triton", 8002),
    ("gateway", "triton", 8003),
    ("gateway", "valkey", 6379),
    ("triton", "internet", 443),  # the init container's weights
    *((name, "dns", 53) for name in ("gateway", "triton", "valkey", "stray pod")),
}
ROUTED = CORE | {("ingress", "gateway", 50051)}
SEVERAL = ROUTED | {("gateway", "internet", 443)}  # the bucket
OPEN = {
    "cpu": CORE,
    "gpu": ROUTED,
    "multi-gateway": SEVERAL,
    # The collector of spans is a pod of the namespace `monitoring`, as Prometheus is.
    "guarded": SEVERAL
    | {(source, "prometheus", port) for source in ("gateway", "triton") for port in (4317, 4318)},
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_what_is_listed_is_open(overlay: str) -> None:
    walls = Walls(built(overlay))
    found = {
        (source, target, port)
        for (source, target), port in itertools.product(itertools.permutations(PEERS, 2), PORTS)
        if "kefu" in (PEERS[source].namespace, PEERS[target].namespace)
        and walls.open(PEERS[source], PEERS[target], port)
    }
    assert found == OPEN[overlay]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_behind_the_default_wall(overlay: str) -> None:
    objects = built(overlay)
    default = find(objects, "NetworkPolicy", "default-deny")["spec"]
    assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert len(list(pods(objects))) == 3


def test_without_the_default_wall_a_stray_pod_reaches_everything() -> None:
    """The reading of policies above is not just always `no`."""
    objects = [o for o in built("cpu") if o["metadata"]["name"] not in ("default-deny", "dns")]
    assert Walls(objects).open(PEERS["stray pod"], PEERS["internet"], 80)
    policies = copy.deepcopy(built("cpu"))
    del find(policies, "NetworkPolicy", "triton")["spec"]["ingress"][0]["from"]
    assert Walls(policies).open(PEERS["stranger"], PEERS["triton"], 8001)
