#!/bin/sh
# entrypoint.sh TEMPLATE TARGET COMMAND...: writes TEMPLATE with the passwords filled in to TARGET, then runs COMMAND.
set -eu
template=$1 target=$2
shift 2
for name in RABBIT_WEB_PASSWORD RABBIT_WORKER_PASSWORD; do
  eval "password=\${$name:-}"
  case $password in
    "" | *[!A-Za-z0-9_-]*) echo "$name must be letters, digits, - and _ only: openssl rand -hex 16" >&2; exit 2 ;;
  esac
done
umask 077
sed -e "s/@RABBIT_WEB_PASSWORD@/$RABBIT_WEB_PASSWORD/" -e "s/@RABBIT_WORKER_PASSWORD@/$RABBIT_WORKER_PASSWORD/" \
  "$template" >"$target"
exec "$@"
