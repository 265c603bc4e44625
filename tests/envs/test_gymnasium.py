"""Gymnasium's users find every environment, and Gymnasium's own checks are content."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import textwrap
import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import agentgym
from agentgym import registry
from agentgym.env import AnyObservation, AnyText
from agentgym.errors import EpisodeOverError, UsageError
from agentgym.types import Observation


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("order", ["import agentgym, gymnasium", "import gymnasium, agentgym"])
def test_every_environment_is_registered_and_none_imported(order):
    code = f"""
        {order}, sys
        assert agentgym.__version__
        from agentgym import registry
        assert {{f"agentgym/{{n}}" for n in registry.names("envs")}} <= set(gymnasium.registry)
        assert not {{"agentgym.env", "agentgym_envs", "torch"}} & set(sys.modules)
        assert gymnasium.make("agentgym/keydoor-v0").reset(seed=0)[0].text
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], check=True)


def test_import_agentgym_brings_neither_gymnasium_nor_torch():
    code = "import agentgym, sys; assert not {'gymnasium', 'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_check_env_passes_without_a_warning():
    check_env(gymnasium.make("agentgym/keydoor-v0", rooms=5).unwrapped)


def test_an_episode_through_gymnasium():
    env = gymnasium.make("agentgym/keydoor-v0", render_mode="ansi")
    observation, info = env.reset(seed=4)
    assert observation in env.observation_space
    assert info["task"].startswith("keydoor-4-")
    assert env.render() == observation.text
    total, turns = 0.0, 0
    while True:
        observation, reward, terminated, truncated, info = env.step(env.get_wrapper_attr("oracle")())
        total, turns = total + reward, turns + 1
        if terminated or truncated:
            break
    assert (total, terminated, truncated, info["success"]) == (1.0, True, False, True)
    with pytest.raises(EpisodeOverError):
        env.step("left")
    env.close()
    env.close()


def test_the_default_limit_of_turns_holds_and_can_be_set():
    for options, turns in (({}, registry.spec("keydoor-v0").max_turns), ({"max_turns": 3}, 3)):
        env = gymnasium.make("agentgym/keydoor-v0", **options)
        env.reset(seed=0)
        cut = [env.step("dance")[3] for _ in range(turns)]
        assert cut == [False] * (turns - 1) + [True]


def test_seeds_fix_the_task_and_the_episode():
    env = gymnasium.make("agentgym/keydoor-v0")
    first = [env.reset(seed=s)[1]["task"] for s in range(20)]
    assert first == [env.reset(seed=s)[1]["task"] for s in range(20)]
    assert len(set(first)) > 5
    env.reset(seed=1)
    later = [env.reset()[1]["task"] for _ in range(5)]
    env.reset(seed=1)
    assert later == [env.reset()[1]["task"] for _ in range(5)]


def test_environments_in_a_row():
    envs = gymnasium.make_vec("agentgym/keydoor-v0", num_envs=2, vectorization_mode="sync")
    observations, _ = envs.reset(seed=0)
    assert all(isinstance(o, Observation) for o in observations)
    envs.close()


def test_wrong_options_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UsageError, match="render_mode must be 'ansi'"):
            gymnasium.make("agentgym/keydoor-v0", render_mode="human")
    with pytest.raises(UsageError, match="did you mean 'rooms'"):
        gymnasium.make("agentgym/keydoor-v0", room=5)
    with pytest.raises(gymnasium.error.NameNotFound, match="keydoor"):
        gymnasium.make("agentgym/keydor-v0")


def test_registering_twice_changes_nothing():
    from agentgym.gym import register

    before = dict(gymnasium.registry)
    register()
    assert before == gymnasium.registry


@pytest.mark.parametrize("space", [AnyText(), AnyObservation()])
def test_spaces_are_values(space):
    for twin in (copy.deepcopy(space), pickle.loads(pickle.dumps(space))):  # noqa: S301
        assert twin == space
        assert hash(twin) == hash(space)
    assert space.sample() in space
    assert 3 not in space
    assert AnyText() != AnyObservation()


def test_text_samples_follow_the_seed():
    one, two = AnyText(seed=3), AnyText(seed=3)
    assert [one.sample() for _ in range(5)] == [two.sample() for _ in range(5)]


def test_reset_refuses_what_is_no_task():
    env = agentgym.make("keydoor-v0")
    with pytest.raises(UsageError, match="must be a Task, not str"):
        env.reset(options={"task": "keydoor-4-0-1-2"})
    with pytest.raises(EpisodeOverError, match="call reset first"):
        env.step("left")
    env.reset(seed=0)
    with pytest.raises(UsageError, match="must be a string, not int"):
        env.step(3)
