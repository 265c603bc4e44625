"""vLLM inside this process, for one GPU that sampler and learner share: it sleeps while the learner works.

The same prompts, checks and weights file as with the server; only the way there is shorter.
"""

# vLLM need not be installed where this is checked, and has no complete types where it is.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentgym.errors import MissingExtraError, PolicyError
from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.types import Completion
from agentgym_policies.vllm_weights import MANIFEST, Pack

SLEEPS = ("cuda",)
"""Devices on which vLLM can give its memory back; on a CPU sleeping does nothing."""


class LocalEngine:
    """`vllm.LLM` with what the policy needs of it. Every method computes; call them from one thread."""

    def __init__(self, folder: Path, options: Mapping[str, Any], device: str, kv_gib: int) -> None:
        """Args: `folder` with the model in `model/`; `options` of `vllm.LLM`; `device` `cpu` or `cuda`; `kv_gib` GiB
        for keys and values on a CPU.

        Raises:
            MissingExtraError: vLLM cannot be imported here.
            PolicyError: it can, but does not start.
        """
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        if device == "cpu":
            os.environ["VLLM_CPU_KVCACHE_SPACE"] = f"{kv_gib}"
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        try:
            import vllm
        except ImportError as error:
            raise MissingExtraError("the policy 'vllm' in process", "vllm") from error
        here = str(Path(__file__).parent.parent)
        if here not in sys.path:
            sys.path.append(here)
        self._vllm: Any = vllm
        self._folder, self._sleeps, self._asleep = folder, device in SLEEPS, False
        names = {name.replace("-", "_"): value for name, value in options.items()}
        try:
            self._engine: Any = vllm.LLM(
                model=str(folder / "model"),
                generation_config="vllm",
                logprobs_mode="raw_logprobs",
                enable_prefix_caching=True,
                enable_sleep_mode=self._sleeps,
                worker_extension_cls="agentgym_policies.vllm_worker.WeightsFromFile",
                **names,
            )
        except Exception as error:
            raise PolicyError(f"vLLM did not start in process: {error} (memory? lower kv_gib or max_batch)") from error

    def generate(self, requests: Sequence[Request], chat: ChatTokenizer) -> list[Completion]:
        """Answer requests in one batch; version and seconds are to be filled in."""
        self.wake()
        prompts = [{"prompt_token_ids": list(r.tokens or ())} for r in requests]
        drawing = [
            self._vllm.SamplingParams(
                max_tokens=r.sampling.max_tokens,
                temperature=r.sampling.temperature,
                top_p=r.sampling.top_p,
                seed=r.seed % 2**63,
                stop=list(r.sampling.stop) or None,
                stop_token_ids=sorted(chat.end_ids),
                logprobs=0,
                skip_special_tokens=False,
            )
            for r in requests
        ]
        found: list[Completion] = []
        for output in self._engine.generate(prompts, drawing, use_tqdm=False):
            made = output.outputs[0]
            tokens = tuple(int(i) for i in made.token_ids)
            logprobs = tuple(step[token].logprob for step, token in zip(made.logprobs, tokens, strict=True))
            found.append(
                Completion(
                    text=chat.decode(tokens),
                    tokens=tokens,
                    logprobs=logprobs,
                    finish="length" if made.finish_reason == "length" else "stop",
                    prompt_tokens=len(output.prompt_token_ids),
                    cached_tokens=int(output.num_cached_tokens or 0),
                )
            )
        return found

    def score(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> tuple[float, ...]:
        """Log-probability of each token of an answer that is given."""
        self.wake()
        drawing = self._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        (output,) = self._engine.generate({"prompt_token_ids": [*prompt, *answer]}, drawing, use_tqdm=False)
        steps = output.prompt_logprobs
        return tuple(steps[place][token].logprob for place, token in enumerate(answer, start=len(prompt)))

    def load(self, pack: Pack) -> list[dict[str, str]]:
        """New weights; what each worker says about them."""
        self.wake()
        told = {
            "path": str(pack.path),
            "checksum": pack.checksum,
            "version": str(pack.version),
            "manifest": str(self._folder / "model" / MANIFEST),
        }
        found: list[dict[str, str]] = self._engine.collective_rpc("agentgym_load", kwargs=told)
        self._engine.reset_prefix_cache()
        return found

    def sleep(self) -> None:
        """Give the GPU's memory back until the next call."""
        if self._sleeps and not self._asleep:
            self._engine.sleep(level=1)
            self._asleep = True

    def wake(self) -> None:
        """Take the memory again."""
        if self._asleep:
            self._engine.wake_up()
            self._asleep = False
