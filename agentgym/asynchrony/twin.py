"""The sampler's own copy of the model: what is learnt must not change under an answer that is being sampled."""

# torch is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from agentgym.ledger import ChatTokenizer
from agentgym.models import Loaded


def twin(loaded: Loaded) -> Loaded:
    """A copy that shares nothing with the original: weights, configuration, tokenizer. Costs the weights' memory."""
    model = copy.deepcopy(loaded.model).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return replace(loaded, model=model, chat=ChatTokenizer(copy.deepcopy(loaded.chat.tokenizer)))


@torch.no_grad()
def follow(copied: Loaded, original: Loaded) -> None:
    """Give the copy the original's weights as they are now, where they are (a copy on another device stays there)."""
    newest = dict(original.model.named_parameters())
    for name, parameter in copied.model.named_parameters():
        parameter.copy_(newest[name])
