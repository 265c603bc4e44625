"""The real packages, where they are installed: each plays an environment that needs no network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agentgym import registry
from agentgym.check import check
from agentgym.env import EnvSpec
from agentgym.errors import InfraError, UsageError
from agentgym.types import Step
from agentgym_envs.suites import gem, openenv, reasoning_gym, textarena


def need(module: str, package: str) -> Any:
    return pytest.importorskip(module, reason=f"{package} is not installed: pip install {package}")


def kept(spec: EnvSpec, **options: Any) -> None:
    findings = check(spec, quick=True, options=options)
    assert [(f.name, f.detail) for f in findings if not f.ok] == []


def begin(spec: EnvSpec, index: int = 0, **options: Any) -> tuple[Any, str]:
    env = registry.make(spec, **options)
    first, _ = env.reset(options={"task": registry.tasks(spec, **options)[index]})
    return env, first.text


def bisect(env: Any, high: int, say: str) -> Step:
    """Guess a number by halves, told higher or lower."""
    low, step = 1, None
    while low <= high:
        middle = (low + high) // 2
        step = env.step(say.format(middle))
        if step.terminated:
            return step
        low, high = (middle + 1, high) if "higher" in step.observation.text else (low, middle - 1)
    raise AssertionError(step)


def test_textarena_guess_the_number() -> None:
    need("textarena", "textarena")
    spec = textarena.SUITE.find("textarena:GuessTheNumber-v0")
    assert spec.id == "textarena-guessthenumber-v0"
    kept(spec, size=50)
    for index in range(3):
        env, first = begin(spec, index)
        assert "between 1 and 20" in first
        last = bisect(env, 20, "{}")  # Without brackets: they are put around it.
        assert last.info["success"]
        assert last.reward == 1.0


def test_textarena_shows_what_is_new_and_ends_after_two_invalid_moves() -> None:
    need("textarena", "textarena")
    env, first = begin(textarena.SUITE.find("textarena-towerofhanoi-v0"))
    step = env.step("[A C]")
    assert first not in step.observation.text
    assert "fault" not in step.info
    assert env.step("[A C]").info["fault"] == "invalid"  # A larger disk on a smaller one.
    last = env.step("[A C]")
    assert last.terminated
    assert last.info == {"success": False, "fault": "invalid"}
    env.reset(options={"task": env.task})
    for move in ("AC", "AB", "CB", "AC", "BA", "BC", "AC"):
        last = env.step(f"[{move[0]} {move[1]}]")
    assert last.info["success"]


def test_textarena_games_for_two_are_refused() -> None:
    need("textarena", "textarena")
    with pytest.raises(UsageError, match="TicTacToe-v0 is not a game for one player"):
        begin(textarena.SUITE.find("textarena:TicTacToe-v0"))


def test_gem_refuses_scorers_that_evaluate() -> None:
    need("gem", "gem-llm")
    spec = gem.SUITE.find("gem:rg:countdown")
    with pytest.raises(UsageError, match="gem:rg:countdown scores answers by evaluating them"):
        registry.make(spec)
    assert begin(spec, unsafe=True)[1]


def test_gem_guess_the_number() -> None:
    need("gem", "gem-llm")
    spec = gem.SUITE.find("gem:game:GuessTheNumber-v0-hard")
    assert spec.id == "gem-game-guessthenumber-hard-v0"
    kept(spec, size=50)
    env, first = begin(spec)
    assert "between 1 and 50" in first
    assert "Enter your next guess." in first
    last = bisect(env, 50, "\\boxed{{{}}}")
    assert last.info == {"success": True}
    assert last.reward == 1.0
    env.reset(options={"task": env.task})
    last = env.step("I do not know")
    assert (last.reward, last.info) == (-0.1, {"success": False, "fault": "format"})


def test_reasoning_gym_scores_with_its_own_scorer() -> None:
    need("reasoning_gym", "reasoning-gym")
    spec = reasoning_gym.SUITE.find("reasoning-gym-chain-sum-v0")
    kept(spec, size=50, config={"max_terms": 3})
    task = registry.tasks(spec)[7]
    env = registry.make(spec)
    first, _ = env.reset(seed=1, options={"task": task})
    assert env.reset(seed=2, options={"task": task})[0].text == first.text  # Attempts get one question.
    assert env.step(task.data["answer"]).info == {"success": True}
    env.reset(options={"task": task})
    last = env.step("not a number")
    assert (last.reward, last.info["success"]) == (0.0, False)


def test_reasoning_gym_scorers_that_break_or_evaluate() -> None:
    need("reasoning_gym", "reasoning-gym")
    env, _ = begin(reasoning_gym.SUITE.find("reasoning-gym:prime_factorization"))
    assert env.step("seven").info == {"success": False, "fault": "unreadable"}
    spec = reasoning_gym.SUITE.find("reasoning-gym:countdown")
    with pytest.raises(UsageError, match="evaluating them as Python"):
        registry.tasks(spec)
    env, _ = begin(spec, unsafe=True)
    assert env.step(str(env.oracle())).info["success"]


def test_reasoning_gym_configurations_are_checked() -> None:
    need("reasoning_gym", "reasoning-gym")
    spec = reasoning_gym.SUITE.find("reasoning-gym:chain_sum")
    with pytest.raises(UsageError, match=r"config: .*unexpected keyword argument 'terms'"):
        begin(spec, config={"terms": 3})
    with pytest.raises(UsageError, match="may not set seed or size"):
        begin(spec, config={"seed": 3})
    lacking = reasoning_gym.SUITE.find("reasoning-gym:rush_hour")
    assert lacking.abilities == {"deterministic"}
    assert "answer" not in registry.tasks(lacking)[0].data


def test_openenv_needs_an_address() -> None:
    with pytest.raises(UsageError, match="needs url, the address of a server"):
        registry.make(openenv.SUITE.spec("server"))
    with pytest.raises(UsageError, match="timeout must be above 0"):
        registry.make(openenv.SUITE.spec("server"), url="http://x", timeout=0)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Our own key-and-door behind an OpenEnv server, in a thread."""
    need("openenv", "openenv")
    import uvicorn

    from agentgym.integrations.env_openenv import app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app("keydoor-v0"), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(300):
        if server.started:
            break
        thread.join(0.1)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def test_an_openenv_server_is_played_over_its_socket(address: str) -> None:
    spec = openenv.SUITE.find("openenv:server")
    kept(spec, size=50, url=address)
    env, first = begin(spec, url=address)
    assert first.startswith("find the key and open the door")
    assert "room" in first
    step = env.step("fly")
    assert step.info["fault"] == "invalid"
    assert step.observation.text.startswith("you can not.")
    env.close()


def test_our_server_tells_splits_and_tasks_and_no_answers(address: str) -> None:
    import httpx
    from openenv.core import GenericEnvClient

    listed = httpx.get(f"{address}/openapi.json", timeout=10).json()["paths"]
    assert any("reset" in path for path in listed)
    with GenericEnvClient(base_url=address).sync() as client:
        one = client.reset(split="heldout", index=3)
        again = client.reset(split="heldout", index=3)
        assert one.observation == again.observation
        assert not one.done
        assert set(one.observation) >= {"text", "prompt"}
        assert "key" not in one.observation["metadata"]
        step = client.step({"action": "left"})
        assert step.reward == 0.0
        assert isinstance(step.observation["text"], str)
        assert client.state()["step_count"] == 1


def test_a_server_that_is_not_there_is_an_infra_error() -> None:
    need("openenv", "openenv")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InfraError):
        begin(openenv.SUITE.spec("server"), url=f"http://127.0.0.1:{port}", timeout=2.0)
