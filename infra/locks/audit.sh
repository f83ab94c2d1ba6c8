#!/usr/bin/env bash
# infra/locks/audit.sh PYTHON   look up known holes in everything infra/locks/*.txt pins
# Asks PyPI's advisories with pip-audit, in an environment of its own. Ends with 1 for a hole that
# infra/audit-exceptions.txt does not list with its reason, with 2 for an exception without one, and with 3 and one
# line when the advisories (https://pypi.org/pypi/NAME/VERSION/json) cannot be reached: then nothing is known.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=build/audit-venv
[ -x $tools/bin/pip-audit ] || "$1" -m venv $tools
[ -x $tools/bin/pip-audit ] || $tools/bin/pip install --quiet --disable-pip-version-check 'pip-audit==2.10.1' \
  || { echo "audit: nothing was looked up: pip-audit cannot be installed" >&2; exit 3; }

# pip-audit calls each package "not found" where the advisories are out of reach (a mirror serves wheels only).
advisories=https://pypi.org/pypi/pip-audit/2.10.1/json
$tools/bin/python -c 'import json, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=20) as answer:
    json.load(answer)["vulnerabilities"]' $advisories 2>/dev/null \
  || { echo "audit: nothing was looked up: the advisories cannot be reached ($advisories)" >&2; exit 3; }

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
