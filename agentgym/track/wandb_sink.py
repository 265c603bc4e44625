"""Weights & Biases: offline files in the run's folder, or its servers where the recipe says `offline = false`.

Only metrics and the recipe are handed over. What the package would collect by itself (command line, machine, git
remote, source, console, installed packages) is switched off: all of those are places where secrets end up.

Offline, a resumed run's file is written anew from the lines that count, so there is one file and one curve. What
`wandb sync` has uploaded already stays as it is. Online, steps are a value of their own (`step`), which curves are
drawn over, because a server takes no step twice.
"""

from __future__ import annotations

import importlib
import shutil
from typing import Any, cast

from agentgym.track.identity import run_id
from agentgym.track.lines import Line
from agentgym.track.sinks import Start

INIT_SECONDS = 60.0
"""How long its server may take to accept a run before the run goes on without it."""


class WandbSink:
    """One open run of Weights & Biases."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def write(self, line: Line) -> None:
        """One entry of its history."""
        self._run.log({**line.values, "step": line.step, "stage": line.stage})

    def close(self) -> None:
        """Write out what waits."""
        self._run.finish()


def open_sink(start: Start) -> WandbSink:
    """Open the run, and give it what counts of its past.

    Raises:
        Exception: whatever the package raises.
    """
    wandb = cast(Any, importlib.import_module("wandb"))
    name, offline = run_id(start.folder), start.track.offline
    # Its service writes the files, and may have been started in another working folder, for an earlier run.
    folder = str(start.folder.resolve())
    if offline:
        for old in (start.folder / "wandb").glob(f"offline-run-*-{name}"):
            shutil.rmtree(old)
    settings = wandb.Settings(
        mode="offline" if offline else "online",
        root_dir=folder,
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        save_code=False,
        init_timeout=INIT_SECONDS,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    run = wandb.init(
        project=start.track.project,
        id=name,
        name=start.folder.name,
        dir=folder,
        config=dict(start.config),
        resume=None if offline else "allow",
        reinit="create_new",  # A second run in one process leaves the first one's alone.
        settings=settings,
    )
    sink = WandbSink(run)
    run.define_metric("*", step_metric="step")
    for line in start.past if offline else ():
        sink.write(line)
    return sink
