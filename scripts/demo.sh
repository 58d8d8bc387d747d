#!/bin/sh
# `make demo`: makes .venv, installs the package, and hands over to scripts/demo.py.
# Needs python3.11 or newer with venv and pip, nothing else. ENGINE=docker|podman|process chooses the engine.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
python=${PYTHON:-}

if [ ! -x "$venv/bin/python" ]; then
  for candidate in $python python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      python=$candidate
      break
    fi
    python=
  done
  if [ -z "$python" ]; then
    echo "Python 3.11 or newer is needed, and none was found (name one: make demo PYTHON=/path/to/python)." >&2
    exit 1
  fi
  echo "Making $venv with $($python --version)"
  if ! "$python" -m venv "$venv" </dev/null; then
    echo "$python cannot make a virtual environment; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi

# Again only when what it depends on has changed; `make venv` installs the same and more.
stamp=$venv/.installed-demo
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  echo "Installing the reconciler into $venv"
  "$venv/bin/python" -m pip install --disable-pip-version-check -qq --editable . </dev/null
  touch "$stamp"
fi

exec "$venv/bin/python" scripts/demo.py "$@" </dev/null
