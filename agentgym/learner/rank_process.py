"""The process of one rank on this machine: a loop that answers the parent, which `agentgym.learner.ranks` is.

Words go over a socket as JSON, tensors through files in memory. The process ends when the parent does.
"""

# torch and transformers are typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from agentgym.errors import AgentgymError, UsageError
from agentgym.learner.packs import put_together
from agentgym.learner.rank import Rank
from agentgym.learner.shared_files import mapped, put, taken
from agentgym.optim import LearnerConfig

PR_SET_PDEATHSIG = 1
BEAT = 0.5
"""Seconds between signs of life of the process itself."""
MODEL, PULSE = "model.safetensors", "pulse.safetensors"


def main(fd: int, parent: int) -> None:
    """Serve the parent over the socket `fd` until it closes.

    Args:
        fd: an inherited, connected stream socket.
        parent: process id of the parent, or 0 if its thread's death should not kill this process at once.
    """
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It died before we asked.
            os._exit(1)
    connection = Connection(fd)
    serving: _Serving | None = None
    while True:
        try:
            message = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
        try:
            if serving is None:
                serving, answer = _Serving(message), {}
            else:
                answer = getattr(serving, message.pop("do"))(**message)
            connection.send_bytes(json.dumps({"ok": answer}).encode())
        except AgentgymError as error:
            connection.send_bytes(json.dumps({"kind": type(error).__name__, "text": str(error)}).encode())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            connection.send_bytes(json.dumps({"kind": "", "text": text}).encode())


class _Serving:
    """A rank, its model, and where both sides find tensors."""

    def __init__(self, told: dict[str, Any]) -> None:
        torch.set_num_threads(told["threads"])
        self.folder, self.rank = Path(told["folder"]), int(told["rank"])
        self.pulse = mapped(self.folder / PULSE)["pulse"][self.rank]
        threading.Thread(target=self._beat, daemon=True).start()
        config = LearnerConfig.model_validate_json(json.dumps(told["config"]))
        self.weights = mapped(self.folder / MODEL)
        model = rebuilt(told["model"], self.weights, told["device"])
        self.work = Rank(model, config, self.rank, told["world"], told["meet"], told["timeout"], self._layer)

    def _beat(self) -> None:
        while True:
            self.pulse[1] = time.monotonic_ns()
            time.sleep(BEAT)

    def _layer(self) -> None:
        self.pulse[0] += 1

    def step(self, file: str, packs: list[dict[str, Any]], mode: Any, lr: float | None) -> dict[str, Any]:
        """One step; the parent's weights are this rank's new rows afterwards."""
        tensors = taken(self.folder / file) if packs else {}
        metrics, wrong = self.work.step(put_together(tensors, packs), mode, lr)
        self._layer()
        if not wrong:
            self.work.write(self.weights)
        return {"metrics": metrics, "wrong": wrong}

    def state(self, file: str) -> dict[str, Any]:
        """The first rank writes the whole."""
        tensors, meta = self.work.state()
        if self.rank == 0:
            put(self.folder / file, tensors)
        return {"meta": meta}

    def load_state(self, file: str, meta: dict[str, Any]) -> dict[str, Any]:
        """Every rank takes its rows of the whole."""
        self.work.load_state(mapped(self.folder / file), meta)
        self.work.write(self.weights)
        return {}


def described(model: Any) -> dict[str, Any]:
    """What `rebuilt` needs to know of a transformers model besides its tensors, as JSON values.

    Raises:
        UsageError: the model's class cannot be imported by name.
    """
    kind = type(model)
    if getattr(importlib.import_module(kind.__module__), kind.__qualname__, None) is not kind:
        raise UsageError(f"trainer.ranks: the class of the model, {kind.__qualname__}, cannot be imported by name")
    config = type(model.config)
    return {
        "model": [kind.__module__, kind.__qualname__],
        "config": [config.__module__, config.__qualname__],
        "values": json.loads(model.config.to_json_string(use_diff=False)),
    }


def rebuilt(told: dict[str, Any], tensors: dict[str, torch.Tensor], device: str) -> Any:
    """The described model with these parameters and buffers; on a processor, in the very memory they are in.

    Raises:
        UsageError: a tensor of the model is missing.
    """
    (kind, config) = (getattr(importlib.import_module(told[k][0]), told[k][1]) for k in ("model", "config"))
    with torch.device("meta"):
        model = kind(config.from_dict(told["values"]))
    model.tie_weights()
    made: dict[int, Any] = {}
    for which in ("parameters", "buffers"):
        for name, old in list(getattr(model, f"named_{which}")(remove_duplicate=False)):
            if id(old) not in made:
                if name not in tensors:
                    raise UsageError(
                        f"trainer.ranks: the model has no tensor {name!r}: it cannot be made again from its config"
                    )
                new = tensors[name].to(device)
                made[id(old)] = (
                    torch.nn.Parameter(new, requires_grad=new.is_floating_point()) if which == "parameters" else new
                )
            path, _, leaf = name.rpartition(".")
            getattr(model.get_submodule(path), f"_{which}")[leaf] = made[id(old)]
    return model.eval()
