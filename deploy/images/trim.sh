#!/bin/sh
# trim.sh FOLDER [PACKAGE…]: takes out of installed Python packages what never runs: tests, headers, sources, type stubs;
# and whole packages that are only there because another one could use them.
set -eu
cd "$1"
shift
for package in "$@"; do
  [ -d "$package" ] || { echo "trim: there is no $package" >&2; exit 1; }
  rm -rf "$package" "$package"-*.dist-info
done
find . -depth -type d \( -name tests -o -name include \) -path './*/*' -exec rm -rf {} +
find . -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.h' -o -name '*.c' -o -name '*.cpp' \) -delete
rm -rf bin
