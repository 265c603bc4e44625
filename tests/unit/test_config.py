"""Strict configuration: what is wrong is said in one line, what is right survives a round trip."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.config import Config, dump, load, parse, parse_overrides
from agentgym.errors import ConfigError


class Trainer(Config):
    """How to learn."""

    lr: float = 1e-3
    """Step size."""
    steps: int = 10
    loss: Literal["clip", "plain"] = "clip"
    betas: tuple[float, float] = (0.9, 0.99)


class Inner(Config):
    names: tuple[str, ...] = ()
    trainer: Trainer | None = None


class Run(Config):
    name: str = "run"
    seed: int = 0
    flag: bool = False
    options: Mapping[str, Any] = {}
    trainer: Trainer = Trainer()
    stages: tuple[Inner, ...] = ()
    credit: tuple[Mapping[str, Any], ...] = ()


TEXT = """
name = "x"
[trainer]
lr = 0.5
[[stages]]
names = ["a"]
[[stages]]
[stages.trainer]
steps = 3
[[credit]]
use = "grpo"
eps = 0.1
[[credit]]
use = "rloo"
"""


@pytest.fixture
def file(tmp_path):
    def write(text=TEXT):
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        return tmp_path / "recipe.toml"

    return write


def test_overrides_go_over_the_file(file):
    words = "--trainer.lr 1e-5 --seed=3 --flag --credit.0.use rloo --stages.1.trainer.steps 7 --options.level 5"
    run = load(Run, file(), [*words.split(), "--options.day=2024-01-02", "--trainer.betas=[0, 1]"])
    assert (run.trainer.lr, run.seed, run.flag, run.name) == (1e-5, 3, True, "x")
    assert run.credit == ({"use": "rloo", "eps": 0.1}, {"use": "rloo"})
    assert run.stages[0] == Inner(names=("a",))
    assert run.stages[1].trainer == Trainer(steps=7)
    assert run.options == {"level": 5, "day": "2024-01-02"}
    assert run.trainer.betas == (0.0, 1.0)
    assert load(Run, file(), ["--name", "two words"]).name == "two words"
    assert load(Run, file(), {"trainer.lr": 0.25, "seed": 1}).trainer.lr == 0.25


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["--trainer.lrr", "1"], "trainer.lrr: unknown key, did you mean 'lr'?"),
        (["--sed", "1"], "sed: unknown key, did you mean 'seed'?"),
        (["--stages.0.nams", "[]"], "stages.0.nams: unknown key, did you mean 'names'?"),
        (["--stages.1.trainer.step", "1"], "stages.1.trainer.step: unknown key, did you mean 'steps'?"),
        (["--seed", '"3"'], "seed: input should be a valid integer, got '3'"),
        (["--seed", "true"], "seed: input should be a valid integer, got True"),
        (["--seed", "1.5"], "seed: input should be a valid integer, got 1.5"),
        (["--trainer.lr", "fast"], "trainer.lr: input should be a valid number, got 'fast'"),
        (["--trainer.lr", "nan"], "trainer.lr: input should be a finite number"),
        (["--trainer.loss", "clop"], "trainer.loss: input should be 'clip' or 'plain', got 'clop'"),
        (["--flag", "1"], "flag: input should be a valid boolean, got 1"),
        (["--trainer", "3"], "trainer: "),
        (["--name", "7"], "name: input should be a valid string, got 7"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_key_and_reason(file, overrides, said):
    path = file()
    with pytest.raises(ConfigError) as error:
        load(Run, path, overrides)
    assert str(error.value).startswith(f"{path}: {said}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["--credit.2.use", "x"], "--credit.2.use: credit has entries 0 to 1, not '2'"),
        (["--credit.first.use", "x"], "not 'first'"),
        (["--name.x", "1"], "--name.x: name is a value, not a table"),
        (["seed", "1"], "'seed' is no override; write --key.subkey value"),
        (["--", "1"], "no override"),
    ],
)
def test_overrides_that_lead_nowhere(file, overrides, said):
    with pytest.raises(ConfigError) as error:
        load(Run, file(), overrides)
    assert said in str(error.value)


def test_every_mistake_has_its_own_line(file):
    with pytest.raises(ConfigError) as error:
        load(Run, file('sed = 1\nseed = "x"\n[trainer]\nlrr = 2\n'))
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert all("recipe.toml: " in line for line in lines)


@pytest.mark.parametrize("text", ["a = ", "[x\n", "a = 1\na = 2", "\0", "x = " + "[" * 100_000])
def test_broken_toml_names_the_file_and_the_place(file, text):
    with pytest.raises(ConfigError, match=r"recipe\.toml: not valid TOML") as error:
        load(Run, file(text))
    assert "line" in str(error.value) or len(text) > 1000


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        load(Run, tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigError, match=r"latin\.toml: cannot be read"):
        load(Run, tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Run, tmp_path)


def test_a_config_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        Run().seed = 1


def test_docstrings_under_fields_are_descriptions():
    assert Trainer.model_fields["lr"].description == "Step size."


scalars = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    scalars.filter(lambda v: v is not None) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
trainers = st.builds(
    Trainer,
    lr=st.floats(allow_nan=False, allow_infinity=False),
    steps=st.integers(-(2**62), 2**62),
    loss=st.sampled_from(["clip", "plain"]),
)
runs = st.builds(
    Run,
    name=texts,
    flag=st.booleans(),
    options=st.dictionaries(texts, values, max_size=4),
    trainer=trainers,
    stages=st.lists(
        st.builds(Inner, names=st.lists(texts, max_size=3).map(tuple), trainer=st.none() | trainers), max_size=3
    ).map(tuple),
    credit=st.lists(st.dictionaries(texts, values, max_size=3), max_size=3).map(tuple),
)


@given(runs)
def test_what_is_dumped_is_loaded_again(tmp_path_factory, run):
    path = tmp_path_factory.getbasetemp() / "round.toml"
    path.write_text(dump(run), encoding="utf-8", newline="")
    assert load(Run, path) == run


@given(st.lists(st.text(max_size=30), max_size=6))
def test_overrides_fail_only_as_config_errors(arguments):
    with suppress(ConfigError):
        parse(Run, dict(parse_overrides(arguments)), "command line")
