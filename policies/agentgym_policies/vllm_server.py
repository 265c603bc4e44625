"""The vLLM server as a process of ours: start it, know whether it lives, read what it said, stop it.

It speaks over a socket file in a folder that only we can enter: its interface for new weights must be open to nobody
else, and no port can be taken by another. A guardian process (`vllm_guard`) ends it when this process is gone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentgym.errors import UsageError
from agentgym.secrets import scrubbed

HERE = Path(__file__).parent
NAME = "agentgym"
"""What the server calls the model."""
SIGNS = (
    "OutOfMemory",
    "out of memory",
    "MemoryError",
    "Cannot allocate memory",
    "can't allocate memory",
    "bad_alloc",
    "cache blocks",
    "KV cache",
    "kv cache",
)
"""What is said where memory has run out, for keys and values in particular."""
KILLED = 128 + signal.SIGKILL
"""What the guardian ends with if the server was killed, by the system as a rule."""
TAIL = 20_000
"""Characters of the server's log that are searched for a reason."""


def find_python(python: str | None) -> str:
    """The interpreter that has vLLM: as given, `$AGENTGYM_VLLM_PYTHON`, `.venv-vllm` here, or this one.

    Raises:
        UsageError: there is none.
    """
    named = python or os.environ.get("AGENTGYM_VLLM_PYTHON")
    if named:
        found = shutil.which(named)
        if found is None:
            raise UsageError(f"vllm: there is no interpreter {named!r}; make one with: sh scripts/setup_vllm.sh")
        return os.path.abspath(found)
    beside = Path(".venv-vllm/bin/python")
    if beside.exists():
        return os.path.abspath(beside)
    if importlib.util.find_spec("vllm") is not None:
        return sys.executable
    raise UsageError(
        "vllm is in no environment that is known: make one with `sh scripts/setup_vllm.sh`, or name its interpreter "
        "with the policy's `python` or with AGENTGYM_VLLM_PYTHON"
    )


def scratch(size: int) -> Path:
    """A folder for sockets, weights and logs that only this user can enter.

    Args:
        size: bytes of the model. It is in shared memory where that has room for the model and for two packs of
            weights (containers often have 64 MiB of it), else where temporary files go.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 3 * size + 2**24
    return Path(tempfile.mkdtemp(prefix="agentgym-vllm-", dir=memory if roomy else None))


def memory_hint(said: str, device: str) -> str:
    """Which settings to lower, if it was memory that ran out; else an empty text.

    Args:
        said: what vLLM or the system said.
        device: `cpu` or `cuda`.
    """
    if not any(sign in said for sign in SIGNS):
        return ""
    room = "kv_gib" if device == "cpu" else "options' gpu-memory-utilization"
    return f" (out of memory: lower sampler.{room}, rollout.slots or sampler.context)"


class Server:
    """One server process and its guardian.

    Attributes:
        socket: where it listens.
        log: file with all it says.
        starts: how many times it was started.
    """

    def __init__(
        self,
        python: str,
        folder: Path,
        log: Path,
        options: Mapping[str, Any],
        environment: Mapping[str, str],
        device: str = "cpu",
    ) -> None:
        """Args: `python` interpreter with vLLM; `folder` ours alone, with the model in `model/`; `log` appended to;
        `options` of the server, as `{"max-model-len": 512}`; `environment` more variables; `device` `cpu` or
        `cuda`."""
        self.socket, self.log = folder / "server.sock", log
        self.starts = 0
        self._python, self._folder, self._options = python, folder, options
        self._environment, self._device = environment, device
        self._ended: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        plugin = folder / "plugin"
        plugin.mkdir()
        # Alone in its folder: on the server's path, the folder of policies would hide packages of the same names.
        shutil.copy(HERE / "vllm_worker.py", plugin / "agentgym_vllm_worker.py")

    @property
    def alive(self) -> bool:
        """Whether the process runs; whether it answers is another question."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Id of the guardian's process."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it; returns at once.

        Raises:
            UsageError: the interpreter cannot be run.
        """
        self.stop()
        self.socket.unlink(missing_ok=True)
        command = [self._python, "-W", "ignore", "-m", "vllm.entrypoints.openai.api_server"]
        given = {
            "model": str(self._folder / "model"),
            "served-model-name": NAME,
            "uds": str(self.socket),
            "worker-extension-cls": "agentgym_vllm_worker.WeightsFromFile",
            "generation-config": "vllm",  # Else the model folder's own penalties and truncations would sample.
            "logprobs-mode": "raw_logprobs",
            "enable-prefix-caching": True,
            "enable-prompt-tokens-details": True,
            "enable-scale-out": True,  # The interface of token ids.
            "disable-uvicorn-access-log": True,
            **self._options,
        }
        for name, value in given.items():
            command += [f"--{name}"] if value is True else [] if value is False else [f"--{name}", str(value)]
        # Models are local files: no key is needed, and one for its own interface would shut us out.
        environment = {k: v for k, v in scrubbed(os.environ).items() if k not in ("PYTHONHOME", "VIRTUAL_ENV")}
        environment |= {
            "PYTHONPATH": str(self._folder / "plugin"),
            "VLLM_SERVER_DEV_MODE": "1",  # The interface for new weights; the socket is ours alone.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            # Threads that spin while they wait would slow a learner on the same cores many times over.
            "OMP_WAIT_POLICY": "PASSIVE",
            "KMP_BLOCKTIME": "0",
            **self._environment,
        }
        guard = [sys.executable, "-I", "-S", str(HERE / "vllm_guard.py"), str(self._folder), "3.0"]
        self.starts += 1
        try:
            with self.log.open("ab") as log:
                log.write(f"--- start {self.starts}\n".encode())
                log.flush()
                self._process = subprocess.Popen(
                    [*guard, *command],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise UsageError(f"vllm: the server could not be started: {error}") from error

    def stop(self) -> None:
        """Stop it and all its children; may be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        self._ended = process.poll()  # Before we end it ourselves.
        if process.stdin is not None:
            # The guardian removes the folder where the trainer is gone; we are not, and may start again.
            with contextlib.suppress(OSError):
                process.stdin.write(b"k")
                process.stdin.close()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def tail(self) -> str:
        """The end of what it said."""
        try:
            return self.log.read_bytes()[-TAIL:].decode("utf-8", "replace")
        except OSError:
            return ""

    def reason(self) -> str:
        """Why it may have ended: the last line of the log that tells of an error, and which setting to lower."""
        tail = self.tail().rpartition("--- start")[2]
        lines = [" ".join(line.split()) for line in tail.splitlines() if line.strip()] or ["it said nothing"]
        errors = [i for i, line in enumerate(lines) if "Error" in line or "Killed" in line]
        # The engine's own error says more than what the front end makes of it.
        told = [i for i in errors if "EngineDeadError" not in lines[i] and "Engine core init" not in lines[i]] or errors
        # What is wrong may stand in the lines below the error's name.
        said = " ".join(lines[told[-1] : told[-1] + 3] if told else lines[-1:])[:500]
        if told:
            return said + memory_hint(" ".join(lines[i] for i in errors), self._device)
        ended = self._ended if self._process is None else self._process.poll()
        if ended == KILLED:
            said += " and then it was killed" + memory_hint("out of memory", self._device).replace("memory:", "memory?")
        return said
