"""`agentgym eval`: how well a policy does on tasks it has not been trained on, alone or beside others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from agentgym.cli.machine import require_extra
from agentgym.cli.show import settings

if TYPE_CHECKING:
    from agentgym.tasks import TaskSet

Flag = Annotated[bool, Parameter(negative="")]
Several = Annotated[list[str] | None, Parameter(negative="")]
Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")]
PolicyOptions = Annotated[list[str] | None, Parameter(name=["--policy-option", "-p"], negative="")]

DEFAULT_TASKS = 20
DEFAULT_MAX_TOKENS = 64
DEFAULT_CONTINUATIONS = 8


def eval_(
    env: str,
    /,
    *,
    policy: Several = None,
    model: Several = None,
    tasks: int | None = None,
    attempts: int = 1,
    split: Literal["train", "heldout"] = "heldout",
    seed: int = 0,
    temperature: float | None = None,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    turns: int | None = None,
    tokens: int | None = None,
    seconds: float | None = None,
    total_turns: int | None = None,
    total_tokens: int | None = None,
    total_seconds: float | None = None,
    max_cost: float | None = None,
    prices: Path | None = None,
    dialect: str | None = None,
    system: str = "",
    option: Options = None,
    policy_option: PolicyOptions = None,
    slots: int = 64,
    save: Path | None = None,
    resume: Flag = False,
    retry_errors: Flag = False,
    decisive: int | None = None,
    credit_check: Flag = False,
    dry_run: Flag = False,
    sample: int = 0,
    json: Flag = False,
) -> int:
    """Evaluate policies: success with a 95 % interval, pass@k, what happens turn by turn, endings, kinds of tasks.

    Exits with 3 where a limit on everything together kept attempts from being played, with 130 after Ctrl-C, with 1
    where no attempt counts. What was saved can be resumed.

    Args:
        env: id, or ./file.py:SPEC.
        policy: a registered policy, e.g. oracle, random, transformers, openai; given several times, all play.
        model: reference of the policy's model: smollm2-135m, a folder, a hub id, or a server's model name; given
            several times, all play.
        tasks: how many tasks; 20, or all there are, if not given.
        attempts: at each task; more than one gives pass@k.
        split: of the tasks.
        seed: of the sampling and the environments.
        temperature: of the sampling; 0 for one attempt and 1 for more, if not given.
        max_tokens: most tokens in one turn.
        turns: most turns of an attempt; the environment's own limit if not given.
        tokens: most tokens of an attempt's conversation.
        seconds: most seconds of an attempt.
        total_turns: no new attempt begins after so many turns in all.
        total_tokens: no new attempt begins after so many tokens in all, read and written.
        total_seconds: no new attempt begins after so many seconds.
        max_cost: no new attempt begins after so many dollars; needs --prices.
        prices: TOML file with dollars per million tokens: [models."NAME"] input, output, cached.
        dialect: how text becomes an action; the environment's own if not given.
        system: put before each task's prompt.
        option: name=value for the environment; may be given several times.
        policy_option: name=value for the policy, or LABEL.name=value for one of several; may be given several times.
        slots: attempts in flight, of each policy.
        save: run folder to record trajectories in.
        resume: go on with an evaluation that was cut; what is in the folder is not played again.
        retry_errors: with --resume, play attempts again that met an infra error.
        decisive: branch from each turn with so many fresh continuations, and name the turn that decided.
        credit_check: how each credit module ranks the turns, compared with branched values.
        dry_run: say what would be done, and what it would take.
        sample: with --dry-run, play so many attempts to measure what the rest takes.
        json: print JSON.
    """
    from agentgym import dialects, registry
    from agentgym.cli.contestants import arguments_of, entrants, prices_of
    from agentgym.env import Ability
    from agentgym.errors import UsageError
    from agentgym.evaluate.budget import Totals
    from agentgym.evaluate.plan import Extras, Plan
    from agentgym.limits import Limits

    options = settings(option or (), "--option")
    spec = registry.spec(env)
    dialects.get(dialect or spec.dialect)
    require_extra(spec)
    registry.make(env, **options).close()  # A wrong option shows here, not in a worker process.
    counts = {"tasks": tasks, "attempts": attempts, "max-tokens": max_tokens, "slots": slots, "decisive": decisive}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, not {value}")
    if sample < 0 or (sample and not dry_run):
        raise UsageError("--sample takes how many attempts --dry-run plays to measure, at least 1")
    if attempts > 1 and temperature == 0:
        raise UsageError("--attempts above 1 with --temperature 0 would play the same attempt again and again")
    if max_cost is not None and prices is None:
        raise UsageError("--max-cost needs --prices FILE, a table of dollars per million tokens")
    if (resume or retry_errors) and save is None:
        raise UsageError("--resume needs --save DIR, the folder of the evaluation that was cut")
    if retry_errors and not resume:
        raise UsageError("--retry-errors goes with --resume")
    if save is not None and save.exists() and not resume and not dry_run:
        raise UsageError(f"{save} exists already: choose another --save, or go on with it with --resume")
    if (decisive or credit_check) and not spec.abilities & {Ability.SNAPSHOT, Ability.DETERMINISTIC}:
        raise UsageError(f"--decisive: {env} can neither restore a state nor be replayed, so no turn can be branched")
    Totals(total_turns, total_tokens, total_seconds, max_cost)
    Limits(turns=turns, tokens=tokens, seconds=seconds)
    picked = pick(registry.tasks(env, split, **options), tasks, env)
    made = entrants(policy or ["random"], model or [], policy_option or ())
    for entrant in made:
        arguments_of(entrant, dialect or spec.dialect)
    plan = Plan(
        env=env,
        options=options,
        split=split,
        tasks=tuple(task.id for task in picked),
        attempts=attempts,
        seed=seed,
        temperature=temperature if temperature is not None else (0.0 if attempts == 1 else 1.0),
        max_tokens=max_tokens,
        turns=turns or spec.max_turns,
        tokens=tokens,
        seconds=seconds,
        dialect=dialect,
        system=system,
        entrants=made,
    )
    extras = Extras(
        slots=slots,
        total_turns=total_turns,
        total_tokens=total_tokens,
        total_seconds=total_seconds,
        max_cost=max_cost,
        prices=prices_of(made, prices) if prices is not None else {},
    )
    if dry_run:
        from agentgym.cli.eval_plan import show_plan

        return show_plan(plan, picked, extras, near=save, sample=sample, json=json)
    from agentgym.cli.eval_run import Wishes, run

    continuations = decisive or (DEFAULT_CONTINUATIONS if credit_check else 0)
    wishes = Wishes(save, resume, retry_errors, continuations, credit_check, json)
    return run(plan, picked, extras, wishes)


def resume_evaluation(folder: Path, json: bool) -> int:
    """Go on with the evaluation in a run folder, as its own plan says.

    Raises:
        StoreError: the plan is damaged or of another format.
        UsageError: the environment no longer has its tasks, or the plan was written without a key that it needs.
    """
    from agentgym import registry, secrets
    from agentgym.cli.eval_run import Wishes, run
    from agentgym.errors import UsageError
    from agentgym.evaluate.plan import read_plan

    saved = read_plan(folder)
    assert saved is not None
    plan = saved.plan
    if secrets.SHOWN in plan.model_dump_json():
        raise UsageError(f"{folder}: its plan was kept without a key: use `agentgym eval ... --save {folder} --resume`")
    require_extra(registry.spec(plan.env))
    picked = list(registry.tasks(plan.env, plan.split, **plan.options)[: len(plan.tasks)])
    if tuple(task.id for task in picked) != plan.tasks:
        raise UsageError(f"{folder}: {plan.env} no longer has the {plan.split} tasks of this evaluation")
    return run(plan, picked, saved.extras, Wishes(folder, resume=True, json=json))


def pick(available: TaskSet, count: int | None, env: str) -> list[Any]:
    """The first tasks of a split.

    Raises:
        UsageError: there are not so many, or none.
    """
    from agentgym.errors import UsageError

    if count is not None and count > len(available):
        raise UsageError(f"--tasks {count}: {env} has {len(available)} {available.split} tasks")
    if not len(available):
        raise UsageError(f"{env} has no {available.split} tasks")
    return list(available[: count or min(DEFAULT_TASKS, len(available))])


def policy_arguments(
    name: str, dialect: str, model: str | None = None, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The keyword arguments to make a registered policy with.

    Raises:
        UnknownNameError: there is no such policy, or it has no such option.
        MissingExtraError: an optional part is not installed.
    """
    from agentgym import registry
    from agentgym.errors import UnknownNameError, UsageError

    known = registry.parameters(registry.load("policies", name))
    arguments = dict(given or {})
    for key in arguments:
        if key not in known:
            raise UnknownNameError(f"option of the policy {name}", key, known)
    if model is not None:
        if "model" not in known:
            raise UsageError(f"the policy {name!r} takes no --model")
        arguments["model"] = model
    if "dialect" in known:
        arguments.setdefault("dialect", dialect)
    return arguments


def build_policy(name: str, dialect: str, model: str | None = None, given: Mapping[str, Any] | None = None) -> Any:
    """A registered policy; raises as `policy_arguments` does."""
    from agentgym import registry

    arguments = policy_arguments(name, dialect, model, given)
    return registry.load("policies", name)(**arguments)
