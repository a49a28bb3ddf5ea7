#!/bin/sh
# Put Debian's prometheus and promtool into a folder, for the tests. Nothing is installed: no service, no user.
#
#     tests/tools/unpack_prometheus.sh .venv/bin
#
# Tools already there, or on PATH, are left alone. Elsewhere than on Debian and its kin nothing is unpacked, which is said
# with exit code 1: the tests then skip what needs them.
set -eu
target=$(cd "$1" && pwd)
for tool in prometheus promtool; do
  [ -x "$target/$tool" ] || command -v $tool > /dev/null || missing=$tool
done
[ -n "${missing:-}" ] || exit 0
command -v apt-get > /dev/null || { echo "no $missing, and no apt-get to fetch Debian's with"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# apt drops to a user of its own, who may not write here otherwise.
chmod 777 "$folder"
apt-get download -qq prometheus > log 2>&1 \
  || { apt-get update -qq > log 2>&1 && apt-get download -qq prometheus >> log 2>&1; } \
  || { echo "no $missing: apt-get cannot fetch it"; tail -n 3 log; exit 1; }
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/prometheus ./usr/bin/promtool
mv usr/bin/prometheus usr/bin/promtool "$target"
