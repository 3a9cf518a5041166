#!/usr/bin/env bash
# A lock names packages and hashes; an address in it would send everyone to the index of whoever made it.
set -euo pipefail
cd "$(dirname "$0")/.."
! grep -nE '://|find-links|index-url' requirements/*.txt
