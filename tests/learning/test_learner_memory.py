"""Less memory by computing activations again, and what is said when there is not enough."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from learning_cases import make_batch, tiny_model

from agentgym.batch import pack
from agentgym.errors import UsageError
from agentgym.learner import Learner
from agentgym.optim import LearnerConfig

CLOCK = {"seconds", "tokens_per_second"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("trainable", ["all", "upper:1"])
def test_checkpointing_gives_the_same_bits(trainable, dtype):
    found = []
    for checkpointing in (False, True):
        model = tiny_model().to(dtype)
        learner = Learner(model, LearnerConfig(lr=1e-3, kl=0.1, trainable=trainable, checkpointing=checkpointing))
        steps = [learner.step(pack(make_batch(i, 6, 50, shared=20), 128)) for i in range(2)]
        found.append(([{k: v for k, v in m.items() if k not in CLOCK} for m in steps], model.state_dict()))
    (plain, weights), (again, others) = found
    assert plain == again
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def kept(learner: Learner, p) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters left out."""
    own = {t.untyped_storage().data_ptr() for t in learner.model.parameters()}
    seen: dict[int, int] = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        out = learner.logprobs(p)
    del out
    return sum(seen.values())


def test_checkpointing_keeps_far_less():
    (p,) = pack(make_batch(0, 8, 200), 4096)
    plain, again = (kept(Learner(tiny_model(), LearnerConfig(checkpointing=on)), p) for on in (False, True))
    assert again < plain / 4


def test_the_backward_pass_may_be_called_anywhere_and_the_sampler_notices_nothing():
    (p,) = pack(make_batch(0, 6, 50, shared=20), 4096)
    gradients = []
    for checkpointing in (False, True):
        learner = Learner(tiny_model(), LearnerConfig(checkpointing=checkpointing))
        total = learner.logprobs(p)[0].sum()
        # The same module samples between the two passes, with its own attention and with a cache.
        with torch.no_grad():
            out = learner.model(input_ids=torch.arange(5)[None], use_cache=True)
        assert out.past_key_values.get_seq_length() == 5
        assert not any(module.training for module in learner.model.modules())
        total.backward()
        gradients.append([parameter.grad for parameter in learner.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_layers_that_cannot_are_refused():
    model = tiny_model()
    model.model.layers = torch.nn.ModuleList([torch.nn.Identity()])
    learner = Learner(model, LearnerConfig(checkpointing=True))
    with pytest.raises(UsageError, match="set checkpointing = false"):
        learner.step(pack(make_batch(0, 2, 40), 4096))


SCRIPT = """
    import resource
    import torch
    from learning_cases import make_batch, tiny_model
    from agentgym.batch import pack
    from agentgym.errors import UsageError
    from agentgym.learner import Learner
    from agentgym.optim import LearnerConfig

    torch.set_num_threads(1)
    model = tiny_model(hidden_size=192, intermediate_size=1024)
    learner = Learner(model, LearnerConfig(token_budget=20000, checkpointing=CHECKPOINTING))
    many, long = make_batch(0, 40, 1000), make_batch(3, 1, 40000)
    assert long[0].length > 15000
    learner.step(pack(many[:2], 500))
    used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, ((used + 100 * 1024) * 1024,) * 2)
    for batch, budget in ((many, 20000), (long, 20000)):
        try:
            learner.step(pack(batch, budget))
            print("no error")
        except UsageError as error:
            print(error)
        assert all(p.grad is None for p in model.parameters()) and learner.version == 1
    print(learner.step(pack(many[:8], 500))["skipped"])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to set a limit on real memory")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_real_exhaustion_names_the_setting_to_lower_and_can_be_survived(checkpointing):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT).replace("CHECKPOINTING", str(checkpointing))],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    packs, single, after = done.stdout.splitlines()
    assert "lower trainer.token_budget (now 20000" in packs
    assert "one sequence of" in single
    assert "limits.tokens" in single
    assert ("checkpointing = true" in packs) == ("checkpointing = true" in single) == (not checkpointing)
    assert after == "0.0"
