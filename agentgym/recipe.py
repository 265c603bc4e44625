"""What a recipe may say: the whole of a training run as one strict TOML file.

Every key has a type, a default and a sentence; an unknown key is an error with the nearest name. Loading a recipe
also checks what can be checked without running it: that the environment, dialect and credit modules exist and that
every credit module finds the columns it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agentgym import config, dialects, registry
from agentgym.config import Config
from agentgym.credit.columns import COMPONENT, PLAYED, REQUIRED
from agentgym.credit.pipeline import Pipeline
from agentgym.entries import entries
from agentgym.env import Ability, EnvSpec
from agentgym.errors import ConfigError, CreditError, UnknownNameError, UsageError, did_you_mean
from agentgym.optim import LearnerConfig
from agentgym.scorers import Scorer
from agentgym.select import Selection
from agentgym.track import TrackConfig, check_sinks


class EnvConfig(Config):
    """Which environment is played, and how its tasks are drawn."""

    id: str
    """Versioned id, or `./file.py:SPEC`."""
    options: Mapping[str, Any] = {}
    """Passed to the environment and to its task set."""
    dialect: str | None = None
    """How model text becomes an action; the environment's own default if not given."""
    system: str = ""
    """Put before the task's own prompt in the system message."""


class ModelConfig(Config):
    """The language model."""

    ref: str = "smollm2-135m"
    """`smollm2-135m` (the embedded default), `scratch:tiny`, a local folder, or a hub id."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class LimitsConfig(Config):
    """When an episode is cut off."""

    turns: int | None = Field(default=None, ge=1)
    """The environment's own default if not given."""
    tokens: int | None = Field(default=None, ge=1)
    """Prompt plus answer, in tokens."""
    seconds: float | None = Field(default=None, gt=0)


class SamplingConfig(Config):
    """How tokens are drawn while training."""

    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=24, ge=1)


class RolloutConfig(Config):
    """How episodes are run."""

    slots: int = Field(default=64, ge=1)
    """Episodes in flight."""
    retries: int = Field(default=2, ge=0)
    """Fresh environments tried after an infra error."""
    step_deadline: float = Field(default=60.0, gt=0)
    """Seconds after which a hung environment is killed."""
    host: Literal["auto", "inline", "process"] = "auto"
    """`auto` takes the environment's own."""
    processes: int = Field(default=2, ge=1)
    """Worker processes that share the environments (host `process`)."""
    schedule: Literal["ordered", "eager"] = "ordered"
    """`ordered` gives the same bits every time; `eager` never waits for a slow episode."""


class WarmstartConfig(Config):
    """Supervised warm start on the oracle's own trajectories, or on somebody else's."""

    tasks: int = Field(default=0, ge=0)
    """Demonstrations, one a training task; 0 leaves the stage out."""
    demonstrations: str = ""
    """Run folder whose successful attempts are learnt from instead of the oracle's, `tasks` of them at most: what
    `agentgym play --save` recorded, say. Turns with a fault are read and not learnt."""
    epochs: int = Field(default=1, ge=1)
    lr: float = Field(default=1e-4, gt=0)
    batch: int = Field(default=8, ge=1)
    """Trajectories in one optimizer step."""


class EvalConfig(Config):
    """Evaluation on held-out tasks: before, after the warm start, and at the end."""

    tasks: int = Field(default=50, ge=0)
    """0 leaves evaluation out."""
    attempts: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    every: int = Field(default=0, ge=0)
    """Also after every so many iterations; 0 for never."""


class TrainerConfig(LearnerConfig):
    """The reinforcement learning stage; the optimizer's and the loss's keys stand here, too."""

    iterations: int = Field(default=8, ge=0)
    tasks: int = Field(default=8, ge=1)
    """Groups in an iteration."""
    group: int = Field(default=8, ge=1)
    """Attempts at each task."""
    minibatches: int = Field(default=1, ge=1)
    """Optimizer steps that an iteration's groups are split over."""
    epochs: int = Field(default=1, ge=1)
    """Passes over an iteration's trajectories; from the second on the clipping of the importance ratio matters."""
    refill: int = Field(default=0, ge=0)
    """Dynamic sampling (DAPO): how many times groups whose outcomes are all equal are replaced by fresh tasks."""
    keep_flat: bool = False
    """Train on sequences whose advantages are all zero as well (they only add KL and entropy terms)."""


class AsynchronyConfig(Config):
    """Whether rollouts go on while the learner steps."""

    staleness: int = Field(default=0, ge=0)
    """Most versions of the weights that a token may be behind when it is learnt from; 0 plays and learns in turns."""
    queue: int = Field(default=0, ge=0)
    """Most groups on their way, in play or waiting for the learner; 0 for as many as can be in time. Of no meaning
    where `staleness` is 0."""


class ClusterConfig(Config):
    """Where a run's processes are: on this machine (no `address`), or on a Ray cluster (docs/cluster.md)."""

    address: str = ""
    """`local` starts a cluster on this machine, `auto` or `host:port` joins one; empty for none."""
    rollout_workers: int = Field(default=2, ge=1)
    """Processes that play attempts; `rollout.slots` are shared out among them."""
    hosts: int = Field(default=0, ge=0)
    """Processes that hold environments; 0 leaves them with the rollout workers."""
    engines: int = Field(default=0, ge=0)
    """Processes that sample for all workers; 0 gives each worker a sampler of its own."""
    learner_ranks: int = Field(default=0, ge=0)
    """Processes that learn; 0 learns in the process that was started."""
    cpus: float = Field(default=1.0, ge=0)
    """Cores that each of them asks Ray for, and computes with."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs that each process with a model asks Ray for."""
    restarts: int = Field(default=10, ge=0)
    """How many times Ray may start each of them anew."""
    deadline: float = Field(default=600.0, gt=0)
    """Seconds for one attempt (one answer, one optimizer step); then its process counts as hung and is killed."""
    wait: float = Field(default=120.0, gt=0)
    """Seconds to wait for a place in the cluster, or for anything that still lives, before the run stops."""


class Recipe(Config):
    """A training run."""

    name: str = "run"
    seed: int = Field(default=0, ge=0)
    env: EnvConfig
    model: ModelConfig = ModelConfig()
    limits: LimitsConfig = LimitsConfig()
    sampling: SamplingConfig = SamplingConfig()
    sampler: Mapping[str, Any] = {"use": "transformers"}
    """Policy that samples with the learner's weights: `use` and its own parameters."""
    rollout: RolloutConfig = RolloutConfig()
    cluster: ClusterConfig = ClusterConfig()
    asynchrony: AsynchronyConfig = AsynchronyConfig()
    warmstart: WarmstartConfig = WarmstartConfig()
    credit: tuple[Mapping[str, Any], ...] = ({"use": "anchor-state"},)
    """Credit modules in order; each has `use` and its own parameters."""
    scorers: tuple[Mapping[str, Any], ...] = ()
    """Scorers in order: they add columns that credit modules read."""
    selection: tuple[Mapping[str, Any], ...] = ()
    """Selection modules in order: which tasks, attempts and trajectories take part."""
    trainer: TrainerConfig = TrainerConfig()
    eval: EvalConfig = EvalConfig()
    track: TrackConfig = TrackConfig()

    def pipeline(self) -> Pipeline:
        """The credit pipeline, with its column needs checked.

        Raises:
            CreditError: a module or scorer needs a column that nothing before it writes, or something that the
                environment does not have.
        """
        spec = registry.spec(self.env.id)
        pipeline = Pipeline.from_config(self.credit)
        there = played_columns(spec)
        for position, (name, scorer) in enumerate(self.open_scorers()):
            missing = sorted(scorer.needs - there)
            if missing:
                raise CreditError(
                    f"scorers.{position}: {name!r} needs the column {missing[0]!r}, which nothing before it writes "
                    f"(there are {', '.join(sorted(there))})"
                )
            scorer.check(spec)
            there |= scorer.written()
        pipeline.check(there)
        return pipeline

    def sampler_class(self) -> Any:
        """What makes the policy that plays while the model learns.

        Raises:
            ConfigError: no `use`.
            UnknownNameError: no policy has that name.
            UsageError: the policy does not follow the weights of a model that learns.
        """
        name = self.sampler.get("use")
        if not isinstance(name, str):
            raise ConfigError("sampler: needs use = 'name of a policy', such as 'transformers' or 'vllm'")
        made = registry.load("policies", name)
        if not {"loaded", "max_batch"} <= set(registry.parameters(made)):
            raise UsageError(f"sampler.use = {name!r}: that policy does not follow a model that learns")
        return made

    def open_sampler(self, **given: Any) -> Any:
        """The policy that plays while the model learns.

        Args:
            **given: what is not the recipe's to say: the loaded model, and how many episodes are in flight.

        Raises:
            ConfigError: no `use`, or a parameter that the policy does not have.
            UnknownNameError: no policy has that name.
            UsageError: the policy cannot be made, or does not follow the weights of a model that learns.
        """
        made = self.sampler_class()
        parameters = dict(self.sampler)
        name = parameters.pop("use")
        # The model is the learner's: [model] says what it is and [rollout] how many episodes play at once.
        free = set(registry.parameters(made)) - set(given) - {"model", "dtype", "device", "seed"}
        for key in sorted(set(parameters) - free):
            raise ConfigError(f"sampler.{key}: no parameter of {name!r} in a recipe{did_you_mean(key, free)}")
        try:
            return made(**given, **parameters)
        except TypeError as error:
            raise ConfigError(f"sampler: policy {name!r}: {error}") from error

    def open_scorers(self) -> list[tuple[str, Scorer]]:
        """The scorers by name, not yet at work."""
        return entries("scorers", Scorer, self.scorers)

    def open_selection(self) -> list[tuple[str, Selection]]:
        """The selection modules by name, not yet at work."""
        return entries("selection", Selection, self.selection)


def played_columns(spec: EnvSpec) -> frozenset[str]:
    """Columns of a table made from an environment's trajectories, played by a policy that gives log-probabilities."""
    names = {*REQUIRED, *PLAYED, "logprob", *(COMPONENT + name for name in spec.components)}
    return frozenset(names | ({"progress"} if Ability.PROGRESS in spec.abilities else set()))


def load_recipe(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read a recipe and check everything that can be checked before it runs.

    Raises:
        ConfigError: an unknown key, a wrong type, or a file that is not TOML.
        UnknownNameError: an environment, dialect or credit module that does not exist.
        MissingExtraError: a tracker that is not installed.
        CreditError: a credit module lacks a column that it needs.
    """
    recipe = config.load(Recipe, path, overrides)
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """The checks of `load_recipe` on a recipe that was made otherwise."""
    spec = registry.spec(recipe.env.id)
    if recipe.asynchrony.staleness and recipe.rollout.schedule == "ordered":
        raise ConfigError(
            f"asynchrony.staleness = {recipe.asynchrony.staleness} does not go with rollout.schedule = 'ordered': what "
            "is played while the learner steps has no fixed order. Set rollout.schedule = 'eager', or staleness = 0"
        )
    dialects.get(recipe.env.dialect or spec.dialect)
    check_sinks(recipe.track)
    sampler = recipe.sampler.get("use")
    if isinstance(sampler, str) and ".py:" not in sampler and sampler not in registry.names("policies"):
        raise UnknownNameError("policy", sampler, registry.names("policies"))
    recipe.pipeline()
    for _, module in recipe.open_selection():
        module.check(spec)
    shown = recipe.warmstart.demonstrations
    if shown and not recipe.warmstart.tasks:
        raise ConfigError(f"warmstart.demonstrations = {shown!r}: say how many of them with warmstart.tasks")
    if shown and not (Path(shown) / "run.json").is_file():
        raise ConfigError(f"warmstart.demonstrations: {shown} is no run folder")
