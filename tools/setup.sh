#!/bin/sh
# Makes the virtual environment in $1 and installs Understudy into it, with the extra $2; $3 is touched at the end.
# The extra `serve` is what the demo needs, `dev` is everything.
set -eu

venv=${1:-.venv}
extra=${2:-dev}
stamp=${3:-$venv/.installed}

say() { printf 'setup: %s\n' "$*" >&2; }

# The versions in this order: the oldest that we support is the one that CI runs.
find_python() {
    for name in python3.11 python3.12 python3.13 python3 python3.14 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

can_make_venvs() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }

# Debian and its kin ship Python without ensurepip, in a package of its own.
install_venv_module() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "$1 cannot make virtual environments: its venv module is missing."
        say "Install it (on Debian or Ubuntu, as root: apt-get install python$version-venv) and run make again."
        exit 1
    fi
    say "installing python$version-venv"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "python$version-venv" >/dev/null
}

python=$(find_python) || {
    say "expected Python 3.11 or newer on the PATH, found none. Install one and run make again."
    exit 1
}
can_make_venvs "$python" || install_venv_module "$python"

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "making $venv with $python"
    "$python" -m venv --clear "$venv"
fi
say "installing Understudy with its extra '$extra' into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extra]"
touch "$stamp"
