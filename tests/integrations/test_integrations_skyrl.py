"""SkyRL: the function of the documented signature, the wrapped trainer method, and the registry where installed."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from integration_cases import GROUPS, expected, nested, tokens

from agentgym.errors import CreditError, UsageError
from agentgym.integrations import common, skyrl


def utils() -> Any:
    """SkyRL's own module, or a skip that says why there is none."""
    try:
        return importlib.import_module(skyrl.UTILS)
    except Exception as error:  # It asks for a newer Python than its metadata says.
        pytest.skip(f"SkyRL cannot be imported ({type(error).__name__}): the registration itself is not tested here")


class Batch(dict[str, Any]):
    """SkyRL's batch: tensors by name, and `metadata`."""

    metadata: dict[str, Any]


def batch(left: bool = True) -> Batch:
    """Sequences padded on the left, responses in their last columns; the response mask covers observations."""
    arrays = tokens(left=left)
    size, width = arrays["mask"].shape
    starts = [int(np.flatnonzero(arrays["turns"][i] >= 0)[0]) for i in range(size)]
    response = np.arange(width) >= np.asarray(starts)[:, None]
    sequences = np.where(np.pad(arrays["mask"], ((0, 0), (4, 0))) == 1, 7, 9)
    made = Batch(
        sequences=torch.tensor(sequences),
        attention_mask=torch.ones(size, 4 + width, dtype=torch.int64),
        response_mask=torch.tensor(response, dtype=torch.int64),
        loss_mask=torch.tensor(arrays["mask"], dtype=torch.float32),
        rewards=torch.tensor(arrays["rewards"], dtype=torch.float32),
        values=None,
    )
    made.metadata = {"uids": list(GROUPS)}
    return made


class Trainer:
    """The part of SkyRL's trainer that this is about, with the keywords of its call."""

    def __init__(self, estimator: Any, step_wise: bool = False) -> None:
        self.estimator = estimator
        self.cfg = SimpleNamespace(generator=SimpleNamespace(step_wise_trajectories=step_wise))

    def compute(self, data: Batch) -> Batch:
        data["advantages"], data["returns"] = self.estimator(
            token_level_rewards=data["rewards"],
            response_mask=data["response_mask"],
            index=data.metadata["uids"],
            values=data["values"],
            grpo_norm_by_std=True,
            gamma=1.0,
            lambd=1.0,
            config=None,
        )
        return data

    compute_advantages_and_returns = skyrl.observing(compute)


@pytest.mark.parametrize("credit", ["rloo", "discounted-return", "grpo"])
def test_a_wrapped_trainer_gives_each_turn_its_advantage(credit: str) -> None:
    done = Trainer(skyrl.estimator(credit)).compute_advantages_and_returns(batch())
    wanted = expected(common.pipeline(credit)(nested())["advantage"], tokens(left=True)["turns"])
    np.testing.assert_allclose(done["advantages"].numpy(), wanted, rtol=0, atol=1e-6)
    assert torch.equal(done["advantages"], done["returns"])


def test_states_come_from_the_sequences() -> None:
    done = Trainer(skyrl.estimator("anchor-state")).compute_advantages_and_returns(batch())
    assert torch.isfinite(done["advantages"]).all()
    plain = Trainer(skyrl.estimator("dr-grpo")).compute_advantages_and_returns(batch())
    assert (done["advantages"] - plain["advantages"]).abs().max() > 0.05


def test_rows_that_are_not_trained_on_change_nothing() -> None:
    padded = batch()
    for name in ("sequences", "attention_mask", "response_mask", "loss_mask", "rewards"):
        padded[name] = torch.cat([padded[name], padded[name][:1]])
    padded["loss_mask"][-1] = 0
    padded.metadata["uids"].append(GROUPS[0])
    done = Trainer(skyrl.estimator("grpo")).compute_advantages_and_returns(padded)
    alone = Trainer(skyrl.estimator("grpo")).compute_advantages_and_returns(batch())
    assert torch.equal(done["advantages"][:-1], alone["advantages"])
    assert (done["advantages"][-1] == 0).all()


def test_an_unwrapped_trainer_and_step_wise_batches_are_refused() -> None:
    with pytest.raises(CreditError, match="covers the environment's tokens too"):
        Trainer(skyrl.estimator("rloo")).compute(batch())
    with pytest.raises(UsageError, match="last step of each trajectory only"):
        Trainer(skyrl.estimator("rloo"), step_wise=True).compute_advantages_and_returns(batch())


def test_real_registry_hands_out_what_was_registered() -> None:
    ppo = utils()
    name = skyrl.register("rloo", name="agentgym-test")
    try:
        with common.facts(mask=batch()["loss_mask"]):
            got, _ = ppo.compute_advantages_and_returns(
                batch()["rewards"], batch()["response_mask"], np.asarray(GROUPS), name, None
            )
    finally:
        ppo.AdvantageEstimatorRegistry.unregister(name)
    wanted = expected(common.pipeline("rloo")(nested())["advantage"], tokens(left=True)["turns"])
    np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=1e-6)


def test_without_skyrl_registering_says_what_to_install() -> None:
    try:
        importlib.import_module(skyrl.UTILS)
    except ImportError:
        with pytest.raises(UsageError, match="install skyrl first"):
            skyrl.register("rloo")
    except Exception:
        pytest.skip("SkyRL is installed and cannot be imported here")
    else:
        pytest.skip("SkyRL is installed")
