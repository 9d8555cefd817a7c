#!/bin/sh
# Makes sure that there is a Chromium for the browser tests.
set -eu

say() { printf 'browser: %s\n' "$*" >&2; }

found() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null || true
fi
found || say "no Chromium here, and none could be installed: install one (on Debian or Ubuntu, as root:" \
    "apt-get install chromium), or set UNDERSTUDY_WITHOUT_BROWSER=1 to leave the tests of the page out." \
    "Without either they fail."
