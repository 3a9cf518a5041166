#!/usr/bin/env bash
# Generates the Python stubs into protos/gen (checked in). Usage: protos/generate.sh [OUT]
# With OUT, `./dev check` compares a fresh generation with what is checked in.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/gen}
python=${PYTHON:-$here/../.venv/bin/python}
rm -rf "${out:?}/kefu"
mkdir -p "$out"
cd "$here"
# shellcheck disable=SC2046
"$python" -m grpc_tools.protoc -I . --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" \
  $(find kefu -name '*.proto' | sort)
# A typed package: callers' type checkers read the .pyi files.
touch "$out/kefu/py.typed"
# One service a file: a file without a service needs no grpc stub.
find "$out" -name '*_pb2_grpc.py' | while read -r file; do
  grep -q 'class .*Stub' "$file" || rm "$file"
done
