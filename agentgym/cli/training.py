"""`agentgym train` and `resume`."""

from __future__ import annotations

import importlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from agentgym.cli.machine import require_extra
from agentgym.cli.show import out_json, pairs, say, table

if TYPE_CHECKING:
    from agentgym.recipe import Recipe
    from agentgym.store import RunFolder

Flag = Annotated[bool, Parameter(negative="")]
Overrides = Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]


def train(
    recipe: Path,
    /,
    *overrides: Overrides,
    name: str | None = None,
    root: Path = Path("runs"),
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Train as a recipe says, and write a report. Any key of the recipe can be changed: --trainer.lr 1e-5.

    Ctrl-C stops it; everything up to the last finished stage is saved, and `agentgym resume` continues.

    Args:
        recipe: TOML file.
        name: of the run's folder; the recipe's name, made unique, if not given.
        root: folder of all runs.
        dry_run: say what would be done: stages, episodes, tokens, time.
        json: print JSON.
    """
    from agentgym import config, registry
    from agentgym.errors import UsageError
    from agentgym.recipe import load_recipe
    from agentgym.store import RunFolder

    loaded = load_recipe(recipe, list(overrides))
    if dry_run:
        from agentgym.cli.planning import plan, plan_rows

        work = plan(loaded, root)
        if json:
            out_json(work)
        else:
            pairs(plan_rows(work), title=f"would train {loaded.name}")
        return 0
    # What is not installed must show before a folder is made.
    require_extra(registry.spec(loaded.env.id))
    importlib.import_module("agentgym.train")
    run = RunFolder.create(name or loaded.name, root=root, config_text=config.dump(loaded), free=name is None)
    try:
        return _train(loaded, run, json)
    except UsageError:
        if not run.metrics.exists():  # What cannot even begin leaves no folder behind that takes the name.
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def resume(run: Path, /, *, json: Flag = False) -> int:
    """Continue a run from its last checkpoint: it comes to the same bits as if it had not been stopped.

    An evaluation that was saved goes on with the attempts that it has not played.

    Args:
        run: the run's folder.
        json: print JSON.
    """
    from agentgym.recipe import load_recipe
    from agentgym.store import RunFolder

    if (run / "evaluation.json").exists():
        from agentgym.cli.evaluating import resume_evaluation

        return resume_evaluation(run, json)
    folder = RunFolder(run, write=True)
    try:
        loaded = load_recipe(folder.config_path)
    except BaseException:
        folder.close()
        raise
    return _train(loaded, folder, json)


def _train(recipe: Recipe, run: RunFolder, json: bool) -> int:
    from agentgym.cli.bars import Bars
    from agentgym.report import write_report
    from agentgym.store import RunFolder
    from agentgym.train import train as train_recipe

    began = time.monotonic()
    with run:
        say(f"run {run.path}")
        try:
            with Bars(quiet=json) as bars:
                summary = train_recipe(recipe, run, bars)
        except KeyboardInterrupt:
            say(f"stopped; continue with: agentgym resume {run.path}")
            return 130
        for warning in run.trajectories.warnings:
            say(f"warning: {warning}")
    page = write_report(RunFolder(run.path))
    seconds = time.monotonic() - began
    if json:
        out_json({"run": str(run.path), "report": str(page), "evals": summary.evals, "seconds": round(seconds, 1)})
        return 0
    if summary.evals:
        rows = [_row(stage, values) for stage, values in summary.evals.items()]
        table(("evaluation", "success", "95 % interval", "turns", "attempts"), rows)
    print(f"{seconds / 60:.1f} minutes")
    print(f"report: {page}")
    print(f"model:  {run.model}")
    return 0


def _row(stage: str, values: dict[str, Any]) -> list[str]:
    def of(name: str, form: str) -> str:
        value = values.get(f"eval/{name}")
        return "-" if value is None else format(value, form)

    interval = f"{of('success_low', '.1%')} to {of('success_high', '.1%')}"
    return [stage.removeprefix("eval:"), of("success", ".1%"), interval, of("turns", ".1f"), of("attempts", ".0f")]
