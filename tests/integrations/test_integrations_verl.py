"""verl: the function of the documented signature, and, where verl is installed, its real registry and trainer code."""

from __future__ import annotations

import importlib
import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from integration_cases import GROUPS, STATES, expected, nested, tokens

from agentgym.errors import CreditError, UsageError
from agentgym.integrations import common, verl

UIDS = np.array(GROUPS, dtype=object)


def core() -> Any:
    """verl's own module, or a skip that says why there is none."""
    if importlib.util.find_spec("verl") is None:
        pytest.skip("verl is not installed: the registration itself is not tested here")
    return importlib.import_module(verl.CORE)


def tensors() -> dict[str, torch.Tensor]:
    """A batch's tensors by verl's names, types and shapes; observations are told apart by their tokens."""
    batch = tokens()
    vocabulary = {name: 100 + i for i, name in enumerate(sorted({s for row in STATES for s in row}))}
    responses = np.where(batch["mask"] == 1, 7, 0)
    size, width = responses.shape
    prompts, attention = np.zeros((size, 3), int), np.zeros((size, 3 + width), int)
    for i, row in enumerate(STATES):
        prompts[i, 1:] = [5, vocabulary[row[0]]]  # Padded on the left.
        attention[i, 1 : 4 + np.flatnonzero(batch["mask"][i])[-1]] = 1
        attention[i, 3 : 3 + int(np.flatnonzero(batch["mask"][i])[0])] = 0
        for t, name in enumerate(row[1:], start=1):
            begins = int(np.flatnonzero(batch["turns"][i] == t)[0])
            ends = int(np.flatnonzero(batch["turns"][i] == t - 1)[-1]) + 1
            # An observation of one token, however long the gap: the rest is template of no matter.
            responses[i, ends:begins] = [vocabulary[name]] + [0] * (begins - ends - 1)
            attention[i, 3 + ends + 1 : 3 + begins] = 0
    return {
        "token_level_rewards": torch.tensor(batch["rewards"], dtype=torch.float32),
        "response_mask": torch.tensor(batch["mask"], dtype=torch.int64),
        "responses": torch.tensor(responses),
        "prompts": torch.tensor(prompts),
        "attention_mask": torch.tensor(attention),
    }


@pytest.mark.parametrize("credit", ["rloo", "grpo", "discounted-return"])
def test_the_documented_call_gives_the_pipelines_advantages(credit: str) -> None:
    batch = tensors()
    advantages, returns = verl.estimator(credit)(
        token_level_rewards=batch["token_level_rewards"],
        response_mask=batch["response_mask"],
        index=UIDS,
        config=SimpleNamespace(gamma=1.0),
    )
    wanted = expected(common.pipeline(credit)(nested())["advantage"], tokens()["turns"])
    np.testing.assert_allclose(advantages.numpy(), wanted, rtol=0, atol=1e-6)
    assert advantages.shape == returns.shape == batch["response_mask"].shape
    assert advantages.dtype == torch.float32


def test_no_uid_and_unknown_states_are_refused() -> None:
    batch = tensors()
    with pytest.raises(CreditError, match="no index"):
        verl.estimator("rloo")(batch["token_level_rewards"], batch["response_mask"])
    with pytest.raises(CreditError, match="observing"):
        verl.estimator("anchor-state")(batch["token_level_rewards"], batch["response_mask"], UIDS)


def test_observing_tells_states_by_what_stood_before_a_turn() -> None:
    batch, estimator = tensors(), verl.estimator("anchor-state")

    def compute_advantage(data: Any, adv_estimator: str, **_: Any) -> Any:
        """What verl's function of that name does for an estimator that it does not know."""
        assert adv_estimator == "agentgym-anchor-state"
        data.batch["advantages"], data.batch["returns"] = estimator(
            token_level_rewards=data.batch["token_level_rewards"],
            response_mask=data.batch["response_mask"],
            config=None,
            index=data.non_tensor_batch["uid"],
        )
        return data

    data = SimpleNamespace(batch=dict(batch), non_tensor_batch={"uid": UIDS})
    done = verl.observing(compute_advantage)(data, adv_estimator="agentgym-anchor-state")
    line = common.pipeline("anchor-state")
    # The first turn's state is the whole prompt, "hall" later is an observation: they are not the same anchor here.
    states = [["in " + row[0], *row[1:]] for row in STATES]
    table = common.turn_table(tokens()["rewards"], tokens()["mask"], GROUPS, states=states)
    np.testing.assert_allclose(done.batch["advantages"].numpy(), table.advantages(line), rtol=0, atol=1e-6)
    plain = common.pipeline("dr-grpo")(nested())["advantage"]
    assert abs(done.batch["advantages"].numpy() - expected(plain, tokens()["turns"])).max() > 0.1


def test_batches_without_tokens_are_refused() -> None:
    data = SimpleNamespace(batch={"response_mask": torch.ones(1, 2)})
    with pytest.raises(UsageError, match="no prompts, responses, attention_mask, so states"):
        verl.observing(lambda data: data)(data)


@pytest.mark.skipif(importlib.util.find_spec("verl") is not None, reason="verl is installed")
def test_without_verl_registering_says_what_to_install() -> None:
    with pytest.raises(UsageError, match="install verl first"):
        verl.register("rloo")


def test_credit_that_cannot_run_is_refused_before_verl_is_asked_for() -> None:
    with pytest.raises(CreditError, match="needs the column 'value'"):
        verl.register("gae")


def test_real_registry_knows_our_names_and_takes_them_twice() -> None:
    registry = core()
    names = verl.register_all()
    assert {"agentgym-rloo", "agentgym-anchor-state"} <= set(names)
    assert verl.register_all() == names
    assert registry.get_adv_estimator_fn("agentgym-rloo") == verl.estimator("rloo")
    assert verl.register([{"use": "anchor-state", "gamma": 0.9}], name="mine") == "mine"
    with pytest.raises(ValueError, match="already been registered"):
        verl.register("rloo", name="mine")


def test_real_grpo_of_verl_has_the_same_advantages() -> None:
    batch = tensors()
    call = {"token_level_rewards": batch["token_level_rewards"], "response_mask": batch["response_mask"], "index": UIDS}
    theirs, _ = core().compute_grpo_outcome_advantage(**{k: v.clone() if k != "index" else v for k, v in call.items()})
    ours, _ = verl.estimator("grpo")(**call)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-5)


def test_real_compute_advantage_of_verl_is_observed() -> None:
    core()
    try:
        trainer: Any = importlib.import_module("verl.trainer.ppo.ray_trainer")
    except ImportError as error:
        pytest.skip(f"verl's trainer cannot be imported ({error})")
    name = verl.register("anchor-state")
    from tensordict import TensorDict

    data = SimpleNamespace(batch=TensorDict(tensors(), batch_size=4), non_tensor_batch={"uid": UIDS})
    verl.observing(trainer.compute_advantage)(data, adv_estimator=name)
    states = [["in " + row[0], *row[1:]] for row in STATES]
    table = common.turn_table(tokens()["rewards"], tokens()["mask"], GROUPS, states=states)
    wanted = table.advantages(common.pipeline("anchor-state"))
    np.testing.assert_allclose(data.batch["advantages"].numpy(), wanted, rtol=0, atol=1e-6)
