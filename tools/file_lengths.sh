#!/usr/bin/env bash
# A file is a room with one purpose: past 400 lines it has two.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.py' | grep -v '^protos/gen/' | xargs wc -l |
  awk '$2 != "total" && $1 > 400 { print; long = 1 } END { exit long }'
