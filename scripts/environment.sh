# Sourced by the scripts beside it: finds a Python that is new enough and keeps `.venv` in step with pyproject.toml.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }

suits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

# The first interpreter that is Python 3.12 or newer: $PYTHON, the usual names, pyenv's versions.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python; do
        if [ -n "$candidate" ] && suits "$candidate"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

make_venv() {
    local python
    if [ -x .venv/bin/python ] && suits .venv/bin/python; then
        return 0
    fi
    rm -rf .venv
    if python=$(find_python); then
        say "creating .venv with $("$python" --version)"
        if ! "$python" -m venv .venv; then
            rm -rf .venv
            say "error: $python cannot create a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"
            return 1
        fi
    elif command -v uv >/dev/null 2>&1; then
        say "creating .venv with uv"
        uv venv --quiet --seed --python '>=3.12' .venv
    else
        say "error: no Python 3.12 or newer was found."
        say "looked for: \$PYTHON, python3.14, python3.13, python3.12, python3, pyenv's versions, uv"
        say "install one of them, for instance: apt-get install python3.12 python3.12-venv, pyenv install 3.13, or uv"
        return 1
    fi
}

# install EXTRAS: installs this project into .venv, unless that was done for the same pyproject.toml before.
install() {
    local extras=$1 stamp
    make_venv
    stamp=".venv/installed-${extras//,/-}"
    if [ -f "$stamp" ] && cmp -s pyproject.toml "$stamp"; then
        return 0
    fi
    say "installing into .venv (the first time takes a minute) ..."
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" || return
    cp pyproject.toml "$stamp"
}
