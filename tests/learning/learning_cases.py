"""A tiny model and random sequences, for the tests of the learner."""

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agentgym.batch import TrainSequence

VOCAB = 61


def tiny_model(seed: int = 0, **changes: object) -> LlamaForCausalLM:
    shape = {"hidden_size": 48, "intermediate_size": 80, "num_attention_heads": 6, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=VOCAB, num_hidden_layers=3, tie_word_embeddings=False, **{**shape, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def make_sequence(rng: np.random.Generator, length: int, prefix: np.ndarray | None = None) -> TrainSequence:
    """Random tokens after a prefix; turns of one to three action tokens."""
    tokens = rng.integers(0, VOCAB, length)
    if prefix is not None:
        tokens[: len(prefix)] = prefix[:length]
    action = rng.random(length) < 0.3
    action[0] = False
    turn = np.where(action, np.cumsum(~action) // 3, -1)
    advantage = np.where(action, rng.normal(size=length), 0).astype(np.float32)
    return TrainSequence(
        tokens, action, advantage, np.where(action, -4 * rng.random(length), 0).astype(np.float32), turn
    )


def make_batch(seed: int, count: int, longest: int, shared: int = 0) -> list[TrainSequence]:
    rng = np.random.default_rng(seed)
    prefix = rng.integers(0, VOCAB, shared)
    return [make_sequence(rng, int(n), prefix) for n in rng.integers(1, longest, count)]
