#!/usr/bin/env bash
# Are the checked-in stubs those that the protos give today?
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
protos/generate.sh "$fresh"
diff -r -x __pycache__ "$fresh" protos/gen || { echo "stale stubs: run ./dev protos and commit the result" && exit 1; }
