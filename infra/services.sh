#!/usr/bin/env bash
# What the tests need from the machine: a rabbitmq-server binary, Prometheus, Caddy, Chromium, a Korean font and Tesseract.
# infra/services.sh ensure    install what is missing (Debian packages when root), or say what to install and exit 1
#
# RabbitMQ: an installed binary, else apt-get as root on Debian, else Docker, else a sentence. The tests start a
# private node themselves (tests/rabbitmq_node.py); the packaged service is never started or touched.
set -euo pipefail

say() { printf 'services: %s\n' "$*" >&2; }

is_root_on_debian() { [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; }

apt_install() {
  say "installing $* (about a minute)"
  local log; log=$(mktemp)
  # A policy of "never start" for the time of the installation: packages must not bring up services of their own.
  local policy=/usr/sbin/policy-rc.d made_policy=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made_policy=yes; fi
  local status=0
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
    >"$log" 2>&1 || status=$?
  [ -n "$made_policy" ] && rm -f "$policy"
  if [ $status -ne 0 ]; then tail -n 5 "$log" >&2; rm -f "$log"; say "apt-get could not install $*"; exit 1; fi
  rm -f "$log"
}

has_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null; }
has_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
has_hangul_font() { ! command -v fc-list >/dev/null || [ -n "$(fc-list :lang=ko 2>/dev/null | head -n 1)" ]; }
has_prometheus() { command -v prometheus >/dev/null && command -v promtool >/dev/null; }
has_caddy() { command -v caddy >/dev/null; }
has_tesseract() { command -v tesseract >/dev/null && tesseract --list-langs 2>/dev/null | grep -qx kor; }
has_docker() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

ensure() {
  local missing=()
  has_rabbitmq || { has_docker && say "using Docker for RabbitMQ"; } || missing+=(rabbitmq-server)
  has_tesseract || missing+=(tesseract-ocr tesseract-ocr-kor)
  has_prometheus || missing+=(prometheus)
  has_caddy || missing+=(caddy)
  has_chromium || missing+=(chromium)
  has_chromium && has_hangul_font || missing+=(fonts-noto-cjk)
  [ ${#missing[@]} -eq 0 ] && return
  if is_root_on_debian; then
    apt_install "${missing[@]}"
  else
    say "please install: ${missing[*]} (the tests use them; on Debian: apt-get install ${missing[*]})"
    exit 1
  fi
}

case "${1:-}" in
  ensure) ensure ;;
  *) sed -n '2,3p' "$0" | cut -c3-; exit 2 ;;
esac
