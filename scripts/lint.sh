#!/bin/sh
# All that is checked without running anything; every checker runs, whatever the one before said.
# Usage: scripts/lint.sh [FOLDER WITH THE TOOLS]
set -u
bin=${1:-.venv/bin}
status=0
check() {
  echo "+ $*"
  "$bin/$@" </dev/null || status=1
}
check ruff check --quiet .
check ruff format --check --quiet .
check mypy --no-error-summary
check lint-imports --no-logo
exit $status
