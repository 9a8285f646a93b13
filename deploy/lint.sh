#!/usr/bin/env bash
# planemo's checks of the tools, the Tool Shed repositories and the workflows. Quiet unless something is wrong.
set -euo pipefail

planemo=${PLANEMO:-.venvs/planemo/bin/planemo}
status=0

check() {
  local output
  if output=$("$planemo" "$@" 2>&1); then
    echo "ok: planemo $*"
  else
    grep -E 'WARNING|ERROR|Linting|Error' <<<"$output" || echo "$output"
    echo "failed: planemo $*"
    status=1
  fi
}

mapfile -t tools < <(grep -l '^<tool ' tools/*.xml)
check lint --fail_level warn "${tools[@]}"
# version_bumped asks the Tool Shed, which a machine without a network cannot.
check shed_lint --fail_level error --skip version_bumped --ensure_metadata .
for workflow in workflows/*/*/; do
  check workflow_lint --fail_level error "$workflow"
done
exit $status
