#!/usr/bin/env bash
# The distribution's Chromium, for the report's tests in a real browser: installed if missing (Debian's package; as root). Prints its path.
set -euo pipefail

fail() { echo "error: $*" >&2; exit 1; }
find_chromium() { command -v chromium || command -v chromium-browser || true; }

if [ -z "$(find_chromium)" ]; then
    command -v apt-get >/dev/null \
        || fail "the browser tests lack a browser – chromium – there is no apt-get here: run this on Debian (a container will do), or install Chromium"
    [ "$(id -u)" = 0 ] \
        || fail "the browser tests lack a browser – chromium – run as root: apt-get install --no-install-recommends chromium"
    echo "installing chromium" >&2
    log=$(mktemp)
    if ! { apt-get -qq -o DPkg::Lock::Timeout=120 update \
        && DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends chromium; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "the browser for the browser tests could not be installed – chromium – see apt-get's lines above: it must come from Debian 12 or later, main"
    fi
    rm -f "$log"
    [ -n "$(find_chromium)" ] || fail "apt-get ended well, but something is still missing – chromium – is there one outside the PATH?"
fi
find_chromium
