"""What an overlay becomes: the very objects that `kubectl apply -k` would send.

objects = built("gpu")
objects[0]["kind"]
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".kefu/envs/deploy"
OVERLAYS = ("cpu", "gpu", "multi-gateway", "guarded")

Object = dict[str, Any]

# What kustomize appends to a generated ConfigMap's name.
HASH = re.compile(r"-[0-9a-z]{10}$")
# libyaml's reader where PyYAML was built with it: ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BuildError(Exception):
    """kustomize refuses; the text is its own."""


@functools.cache
def text(overlay: str) -> str:
    """The overlay as YAML. BuildError where kustomize refuses it."""
    done = subprocess.run(
        [str(ENVIRONMENT / "bin/kubectl"), "kustomize", str(ROOT / "k8s/overlays" / overlay)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise BuildError(done.stderr.strip())
    return done.stdout


@functools.cache
def built(overlay: str) -> list[Object]:
    """The overlay's objects, in the order in which they are applied. Shared: copy before you change one."""
    return [document for document in yaml.load_all(text(overlay), _LOADER) if document]


def name_of(thing: Object) -> str:
    """`Deployment/kefu-gateway`; a generated ConfigMap without the hash of its content."""
    name: str = thing["metadata"]["name"]
    if thing["kind"] == "ConfigMap":
        name = HASH.sub("", name)
    return f"{thing['kind']}/{name}"


def distinct(overlays: tuple[str, ...] = OVERLAYS) -> list[Object]:
    """The objects of several overlays, each once: they share most of them."""
    found: list[Object] = []
    for overlay in overlays:
        found += [thing for thing in built(overlay) if thing not in found]
    return found


def find(objects: list[Object], kind: str, name: str) -> Object:
    return next(o for o in objects if name_of(o) == f"{kind}/{name}")


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """The pods that the objects make: who makes them, and their spec."""
    for thing in objects:
        if "template" in thing.get("spec", {}):
            yield name_of(thing), thing["spec"]["template"]["spec"]


def containers(pod: Object) -> Iterator[Object]:
    """All containers of a pod, init containers first."""
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def environment(objects: list[Object], container: Object) -> dict[str, str]:
    """The variables that a container gets where none of the Secrets exists that it may do without."""
    maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    values: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            values |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        if "value" in variable:
            values[variable["name"]] = variable["value"]
    return values


def secret_variables(container: Object) -> dict[str, Object]:
    """The variables that come from Secrets, and the reference of each."""
    return {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]
        for variable in container.get("env", [])
        if "valueFrom" in variable
    }
