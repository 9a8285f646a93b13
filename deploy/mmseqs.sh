#!/usr/bin/env bash
# Sees to it that the tests find MMseqs2, which no Python package has: on the machine, or as Debian's package. In Galaxy
# conda brings it. It is a program of its own, under GPL-3 up to release 15 and MIT since; nothing of it is linked.
set -euo pipefail

if command -v mmseqs >/dev/null; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  echo 'installing mmseqs2 with apt-get'
  "${as_root[@]}" apt-get update -qq || true
  if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mmseqs2 >/dev/null; then exit 0; fi
fi
echo "error: the dataset tool's tests need MMseqs2 (mmseqs) on the PATH and it could not be installed" >&2
exit 1
