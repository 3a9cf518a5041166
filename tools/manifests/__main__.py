"""`./dev manifests [--scan]`: builds every overlay and checks it; exit code 1 when something is wrong."""

from __future__ import annotations

import argparse
import sys

from tools.manifests.build import OVERLAYS, BuildError, built, distinct
from tools.manifests.policy import Finding, explanations, findings, unexplained
from tools.manifests.scan import scan_overlays
from tools.manifests.schemas import VERSIONS, TypesMissing, custom_problems, schema_problems


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev manifests", description=__doc__)
    parser.add_argument("--scan", action="store_true", help="scan with trivy as well")
    options = parser.parse_args()
    problems: list[str] = []
    found: list[Finding] = []
    for overlay in OVERLAYS:
        try:
            objects = built(overlay)
        except BuildError as error:
            print(f"PROBLEM  {overlay}: {error}")
            return 1
        found += findings(objects)
        print(f"{overlay}: {len(objects)} objects")
    everything = distinct()
    for version in VERSIONS:
        problems += schema_problems(everything, version)
    try:
        problems += custom_problems(everything)
    except TypesMissing as error:
        print(f"NOT CHECKED  custom resources: {error}", file=sys.stderr)
    explained = [e for e in explanations() if options.scan or not e.rule[:3].isupper()]
    if options.scan:
        found += scan_overlays()
    left, stale = unexplained(found, explained)
    problems += [str(finding) for finding in left]
    problems += [f"k8s/explained.toml: nothing is found by {e.rule} any more" for e in stale]
    for problem in problems:
        print("PROBLEM ", problem)
    print(f"schemas of Kubernetes {' and '.join(VERSIONS)}, types of custom resources, policy:")
    print(f"{len(problems)} problems, {len(set(found)) - len(left)} findings explained")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
