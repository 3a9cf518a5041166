#!/usr/bin/env bash
# Does the public API break its callers? Compared with the last release's tag, else with the first commit that had protos.
set -euo pipefail
cd "$(dirname "$0")/.."
against=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || git rev-list --max-parents=0 HEAD | tail -n 1)
if ! git cat-file -e "$against:protos/buf.yaml" 2>/dev/null; then
  echo "no protos at $against to compare with (a shallow clone?)" && exit 0
fi
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
git archive "$against" protos | tar -x -C "$old"
.venv/bin/buf breaking protos --against "$old/protos"
