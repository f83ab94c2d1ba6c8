#!/usr/bin/env bash
# infra/locks/resolve.sh PYTHON   resolve pyproject.toml into infra/locks/{run,test,training,embedding}.txt
# Every version is pinned and hashed; torch alone is left out (torch.txt says why). The others hold all of run.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=build/lock-venv
[ -x $tools/bin/pip-compile ] || { "$1" -m venv $tools && $tools/bin/pip install --quiet 'pip<26' pip-tools; }
compile() {
  local output=infra/locks/$1.txt; shift
  echo "resolving $output"
  CUSTOM_COMPILE_COMMAND='make lock' $tools/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-options \
    --allow-unsafe --unsafe-package torch --no-header --resolver=backtracking "$@" --output-file "$output" pyproject.toml build/lock-torch.in
  # pip-compile notes what it left out; the note names nothing that pip can read
  sed -i '/^# The following packages are considered to be unsafe/,$d' "$output"
}
grep -v '^#' infra/locks/torch.txt >build/lock-torch.in
echo 'setuptools' >>build/lock-torch.in   # builds our own package without fetching anything
compile run
compile test --extra test --constraint infra/locks/run.txt
compile training --extra training --constraint infra/locks/run.txt
compile embedding --extra embedding --constraint infra/locks/run.txt
