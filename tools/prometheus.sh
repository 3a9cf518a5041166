#!/usr/bin/env bash
# Prometheus and Alertmanager for `./dev watch` where the system has none: Debian's packages, unpacked into .kefu; needs
# no root and installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
there() { command -v "$1" >/dev/null 2>&1 || [ -x ".kefu/prometheus/usr/bin/$1" ]; }
if { there prometheus && there promtool; } && { there prometheus-alertmanager || there alertmanager; }; then exit 0; fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "dev watch: needs prometheus, promtool and alertmanager on the PATH (https://prometheus.io/download/)" >&2
  exit 1
fi
mkdir -p .kefu/prometheus
echo "==> fetching Debian's prometheus and prometheus-alertmanager into .kefu/prometheus" >&2
(
  cd .kefu/prometheus
  apt-get -qq download prometheus prometheus-alertmanager ||
    { echo "dev watch: apt-get could not fetch them; as root: apt-get update && apt-get install prometheus prometheus-alertmanager" >&2 && exit 1; }
  for package in ./*.deb; do dpkg-deb -x "$package" . && rm "$package"; done
)
