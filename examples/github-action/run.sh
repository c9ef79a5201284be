#!/usr/bin/env bash
# The action's work, which runs by itself as well: MODEL, TARGET, ARGUMENTS and OUT in the environment.
# Ends with the exit code of `compress run`: 0 good, 1 a budget was missed, 2 to mend, 4 undecided.
set -euo pipefail
words=()
if [ -n "${MODEL:-}" ]; then words+=("$MODEL"); fi
if [ -n "${TARGET:-}" ]; then words+=(--target "$TARGET"); fi
# Word by word, as on a command line, but without expansion: the text comes from a workflow's file.
read -r -a more <<< "${ARGUMENTS:-}"
compress run "${words[@]}" "${more[@]}" \
  --out "${OUT:-artifact}" \
  --summary "${GITHUB_STEP_SUMMARY:-compress-summary.md}" \
  --junit compress-junit.xml
