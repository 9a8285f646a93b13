#!/usr/bin/env bash
# Sees to it that the browser test finds a Chromium: one on the machine, Debian's package, or playwright's own.
set -euo pipefail

playwright=${PLAYWRIGHT:-.venvs/planemo/bin/playwright}
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name" >/dev/null; then exit 0; fi
done

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
  echo 'installing chromium with apt-get'
  "${as_root[@]}" apt-get update -qq || true
  if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; then exit 0; fi
fi
# Fetched once; a second run finds it and is quick.
if "$playwright" install chromium; then exit 0; fi
echo 'error: the browser test needs Chromium or Chrome on the PATH and none could be installed' >&2
exit 1
