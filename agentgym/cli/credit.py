"""`agentgym credit`: what another credit pipeline would have given to the turns of a stored run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from agentgym.cli.show import out_json, say, settings, table

if TYPE_CHECKING:
    from agentgym.cli.recredit import Recomputed

Flag = Annotated[bool, Parameter(negative="")]
SHOWN = 60
"""Characters of an action in the table of turns."""


def credit(
    run: Path,
    /,
    *,
    use: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    parameter: Annotated[tuple[str, ...], Parameter(name=["--parameter", "-p"], negative="")] = (),
    scorer: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    iteration: int | None = None,
    limit: int = 10,
    json: Flag = False,
) -> int:
    """Compute the credit of a stored run again, with another pipeline or other parameters, and show the difference.

    Nothing is played, no model is loaded, and the run stays as it is. Turns that got no credit stay out of it.

    Args:
        run: the run's folder.
        use: credit module, with its defaults; give it once for each, in order. The run's own pipeline if not given.
        parameter: of a module, as NAME.KEY=VALUE: -p anchor-state.gamma=1.0. It is for every module of that name.
        scorer: scorer to run first, with the recipe's parameters where the recipe has it. One that asks a judge may
            cost what the judge costs.
        iteration: compare this one only, counted from 0.
        limit: how many turns to show, those whose credit differs most first.
        json: print JSON.
    """
    from agentgym import config
    from agentgym.cli.differences import differing_turns, summary
    from agentgym.cli.recredit import components_of, open_scorers, read_iterations, recompute
    from agentgym.credit import Pipeline
    from agentgym.errors import UsageError
    from agentgym.recipe import Recipe
    from agentgym.store import RunFolder

    with RunFolder(run) as folder:
        recorded = read_iterations(folder)
        for warning in folder.trajectories.warnings:
            say(f"warning: {warning}")
        recipe = config.load(Recipe, folder.config_path)
    numbers = [one.number for one in recorded]
    if iteration is not None and iteration not in numbers:
        raise UsageError(f"--iteration {iteration}: {run} has credit of iterations {_ranges(numbers)}")
    listed = with_parameters([{"use": name} for name in use] or [dict(entry) for entry in recipe.credit], parameter)
    opened = open_scorers(recipe, scorer)
    # Scorers learn from iteration to iteration; without them only the one that was asked for is computed.
    needed = [r for r in recorded if iteration is None or r.number == iteration or (opened and r.number < iteration)]
    try:
        done = recompute(needed, Pipeline.from_config(listed), components_of(recipe), opened)
    finally:
        for _, working in opened:
            working.close()
    done = [one for one in done if iteration is None or one.recorded.number == iteration]
    if recipe.selection:
        say("note: the recipe has selection modules; what they scaled advantages by is not stored, and not done again")
    rows = [summary([one]) for one in done]
    turns = differing_turns(done, limit)
    if json:
        out_json({"run": str(run), "credit": listed, "iterations": rows, "all": summary(done), "turns": turns})
        return 0
    _print(rows, summary(done), turns, done)
    return 0


def with_parameters(listed: Sequence[dict[str, Any]], given: Sequence[str]) -> list[dict[str, Any]]:
    """Pipeline entries with `NAME.KEY=VALUE` put into every entry of that name.

    Raises:
        UsageError: an entry that is not in the pipeline, or something that is no NAME.KEY=VALUE.
    """
    from agentgym.errors import UsageError, did_you_mean

    made = [dict(entry) for entry in listed]
    names = [str(entry.get("use")) for entry in made]
    for one in given:
        path, equals, text = one.partition("=")
        name, dot, key = path.rpartition(".")  # Names may have dots (./file.py:Module), keys have none.
        if not (equals and dot and name and key):
            raise UsageError(f"-p takes NAME.KEY=VALUE, such as anchor-state.gamma=1.0, not {one!r}")
        if name not in names:
            raise UsageError(f"-p {one}: the pipeline has no module {name!r}{did_you_mean(name, names)}")
        value = settings([f"{key}={text}"], "-p")[key]
        for entry in made:
            if entry.get("use") == name:
                entry[key] = value
    return made


def _print(
    rows: Sequence[Mapping[str, Any]],
    total: Mapping[str, Any],
    turns: Sequence[Mapping[str, Any]],
    done: Sequence[Recomputed],
) -> None:
    titles = ("iteration", "turns", "no credit", "changed", "correlation", "mean diff", "flips")
    table(titles, [_row(row, str(row["iteration"])) for row in rows] + [_row(total, "all")])
    if not turns:
        print(f"every advantage is as recorded ({total['turns']} turns, {len(done)} iterations)")
        return
    shown = [
        (
            str(turn["iteration"]),
            str(turn["trajectory"]),
            str(turn["turn"]),
            _short(str(turn["action"])),
            f"{turn['recorded']:+.4g}",
            f"{turn['new']:+.4g}",
        )
        for turn in turns
    ]
    table(("iteration", "trajectory", "turn", "action", "recorded", "new"), shown, title="largest differences")


def _row(row: Mapping[str, Any], name: str) -> list[str]:
    correlation = "-" if row["correlation"] is None else f"{row['correlation']:.4f}"
    return [
        name,
        str(row["turns"]),
        str(row["left_out"]),
        f"{row['changed']:.1%}",
        correlation,
        f"{row['mean_absolute_difference']:.4g}",
        str(row["sign_flips"]),
    ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."


def _ranges(numbers: Sequence[int]) -> str:
    whole = list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))
