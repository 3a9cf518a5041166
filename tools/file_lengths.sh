#!/usr/bin/env bash
# A file is a room with one purpose: past about 400 lines it has two. A contract suite may be longer: it is one list.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.py' | grep -v '^protos/gen/' | xargs wc -l |
  awk '$2 != "total" && $1 > ($2 ~ /^tests\/contract\// ? 600 : 420) { print; long = 1 } END { exit long }'
