#!/bin/sh
# Runs tests with the lowest versions that pyproject.toml admits: sh tools/lowest.sh VENV PATHS…
# They are installed into an environment of their own, .cache/lowest.
set -eu

bin=$1/bin
shift
lowest=.cache/lowest
export UV_CACHE_DIR="$PWD/.cache/uv"

mkdir -p .cache
"$bin/uv" venv --quiet --clear --python "$bin/python" "$lowest"
"$bin/uv" pip compile --quiet --resolution lowest-direct --extra serve --extra test pyproject.toml -o "$lowest/versions.txt"
"$bin/uv" pip install --quiet --python "$lowest/bin/python" --requirement "$lowest/versions.txt"
"$bin/uv" pip install --quiet --python "$lowest/bin/python" --no-deps --editable .
exec "$lowest/bin/python" -m pytest -p no:cacheprovider --quiet "$@"
