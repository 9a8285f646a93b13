#!/usr/bin/env bash
# planemo's checks of the tools, the Tool Shed repositories and the workflows, as many at once as there are cores.
# Quiet unless something is wrong.
set -euo pipefail

export PLANEMO=${PLANEMO:-.venvs/planemo/bin/planemo}

check() {
  local output
  if output=$("$PLANEMO" "$@" 2>&1); then
    echo "ok: planemo $*"
  else
    grep -E 'WARNING|ERROR|Linting|Error' <<<"$output" || echo "$output"
    echo "failed: planemo $*"
    return 1
  fi
}
export -f check

mapfile -t tools < <(grep -l '^<tool ' tools/*.xml data_managers/*/data_manager/*.xml)
{
  echo "lint --fail_level warn ${tools[*]}"
  # version_bumped asks the Tool Shed, which a machine without a network cannot.
  for repositories in . data_managers/*/; do
    echo "shed_lint --fail_level error --skip version_bumped --ensure_metadata $repositories"
  done
  # tool_ids asks it too.
  for workflow in workflows/*/*/; do
    echo "workflow_lint --iwc --fail_level warn --skip tool_ids $workflow"
  done
} | xargs --max-procs "$(nproc)" --max-lines=1 bash -c 'check "$@"' check
