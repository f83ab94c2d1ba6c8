#!/usr/bin/env bash
# infra/locks/audit.sh PYTHON   look up known holes in everything infra/locks/*.txt pins
# Asks PyPI's advisories with pip-audit, in an environment of its own. Ends with 1 for a hole that
# infra/audit-exceptions.txt does not list with its reason, and when the advisories cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=build/audit-venv
[ -x $tools/bin/pip-audit ] || { "$1" -m venv $tools && $tools/bin/pip install --quiet --disable-pip-version-check 'pip-audit==2.10.1'; }

ignored=()
while read -r id reason; do
  case $id in "" | "#"*) continue ;; esac
  [ -n "$reason" ] || { echo "audit: $id in infra/audit-exceptions.txt has no reason" >&2; exit 2; }
  echo "audit: leaving out $id ($reason)"
  ignored+=(--ignore-vuln "$id")
done <infra/audit-exceptions.txt

status=0
for lock in infra/locks/*.txt; do
  # Nothing is resolved or installed: a lock names everything, with hashes (torch.txt says why it has none).
  how=--require-hashes
  [ "$lock" = infra/locks/torch.txt ] && how=--no-deps
  echo "audit: $lock"
  $tools/bin/pip-audit --strict --disable-pip $how --progress-spinner off --timeout 20 "${ignored[@]}" -r "$lock" || status=1
done
exit $status
