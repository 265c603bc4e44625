"""`scratch:tiny`: a small Llama with random weights and a tokenizer of bytes, made in code from a seed.

It learns small games in a minute on one core, so the whole loop can be tested, and credit modules compared, without a
pretrained model.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import torch

from agentgym.errors import UnknownNameError, UsageError

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OPTIONS = {"hidden": 128, "layers": 3, "heads": 4, "context": 2048}


def make(reference: str, seed: int) -> tuple[Any, Any]:
    """Model (float32) and tokenizer of `scratch:tiny`, `scratch:tiny?hidden=64&layers=2`, ...

    Raises:
        UsageError: the reference is not understood.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    name, _, query = reference.partition("?")
    if name != "scratch:tiny":
        raise UnknownNameError("model from random weights", name, ["scratch:tiny"])
    options = dict(OPTIONS)
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise UnknownNameError(f"option of {name}", key, OPTIONS)
        if not value.isdigit() or int(value) < 1:
            raise UsageError(f"{reference}: {key} must be a positive whole number, not {value!r}")
        options[key] = int(value)
    if options["hidden"] % (2 * options["heads"]):
        raise UsageError(f"{reference}: hidden must be a multiple of {2 * options['heads']} (twice the heads)")
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options["hidden"],
        intermediate_size=3 * options["hidden"],
        num_hidden_layers=options["layers"],
        num_attention_heads=options["heads"],
        num_key_value_heads=options["heads"],
        max_position_embeddings=options["context"],
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )
    # Initialisation draws from torch's global generator: borrow it and put it back.
    random: Any = torch.random
    with random.fork_rng(devices=[]):
        random.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return model.eval(), tokenizer


def byte_tokenizer() -> Any:
    """256 bytes and the two markers of ChatML."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend: Any = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    markers = [AddedToken(t, special=True, normalized=False) for t in ("<|im_start|>", "<|im_end|>")]
    backend.add_special_tokens(markers)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", chat_template=TEMPLATE)
