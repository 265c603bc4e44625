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

from agentgym.errors import MissingExtraError, PolicyError, UsageError
from agentgym.ledger import ChatTokenizer
from agentgym.policy import Request
from agentgym.types import Completion
from agentgym_policies.vllm_adapter import NAME as ADAPTER
from agentgym_policies.vllm_server import memory_hint
from agentgym_policies.vllm_weights import Pack
from agentgym_policies.vllm_wire import BLOCK

SLEEPS = ("cuda",)
"""Devices on which vLLM can give its memory back; on a CPU sleeping does nothing."""


class LocalEngine:
    """`vllm.LLM` with what the policy needs of it. Every method computes; call them from one thread."""

    def __init__(
        self, folder: Path, options: Mapping[str, Any], device: str, kv_gib: int, adapter: Path | None = None
    ) -> None:
        """Args: `folder` with the model in `model/`; `options` of `vllm.LLM`; `device` `cpu` or `cuda`; `kv_gib` GiB
        for keys and values on a CPU; `adapter` folder of an adapter that all answers are given with.

        Raises:
            MissingExtraError: vLLM cannot be imported here.
            UsageError: it can, but does not start; where memory ran out the message says what to lower.
        """
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        if device == "cpu":
            os.environ["VLLM_CPU_KVCACHE_SPACE"] = f"{kv_gib}"
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        try:
            import vllm
            import vllm.lora.request
        except ImportError as error:
            raise MissingExtraError("the policy 'vllm' in process", "vllm") from error
        here = str(Path(__file__).parent.parent)
        if here not in sys.path:
            sys.path.append(here)
        self._vllm: Any = vllm
        self._sleeps, self._asleep = device in SLEEPS, False
        self._device, self._adapter = device, None
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
            if adapter is not None:
                self._adapter = vllm.lora.request.LoRARequest(ADAPTER, 1, str(adapter))
                self._engine.llm_engine.add_lora(self._adapter)
        except Exception as error:
            hint = memory_hint(f"{type(error).__name__}: {error}", device)
            raise UsageError(f"vllm: the engine did not start in this process: {error}{hint}") from error

    def generate(self, requests: Sequence[Request], chat: ChatTokenizer) -> list[Completion]:
        """Answer requests in one batch; version and seconds are to be filled in.

        Raises:
            UsageError: memory ran out; the message says what to lower.
            PolicyError: vLLM failed otherwise.
        """
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
        for output in self._run(prompts, drawing):
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
        """Log-probability of each token of an answer that is given; raises as `generate`."""
        if len(answer) * BLOCK > len(prompt):
            drawing = [self._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)]
            (output,) = self._run([{"prompt_token_ids": [*prompt, *answer]}], drawing)
            steps = output.prompt_logprobs[len(prompt) :]
        else:  # See `vllm_wire.score_bodies`.
            asked = [{"prompt_token_ids": [*prompt, *answer[:place]]} for place in range(len(answer))]
            drawing = [
                self._vllm.SamplingParams(max_tokens=1, temperature=0.0, logprobs=0, allowed_token_ids=[token])
                for token in answer
            ]
            steps = [output.outputs[0].logprobs[0] for output in self._run(asked, drawing)]
        return tuple(step[token].logprob for step, token in zip(steps, answer, strict=True))

    def _run(self, prompts: list[dict[str, Any]], drawing: list[Any]) -> list[Any]:
        self.wake()
        try:
            return self._engine.generate(prompts, drawing, use_tqdm=False, lora_request=self._adapter)
        except Exception as error:
            hint = memory_hint(f"{type(error).__name__}: {error}", self._device)
            if hint:
                raise UsageError(f"vllm: {type(error).__name__} while sampling{hint}") from error
            raise PolicyError(f"vllm: {type(error).__name__}: {error}") from error

    def load(self, pack: Pack) -> list[dict[str, str]]:
        """New weights; what each worker says about them."""
        self.wake()
        found: list[dict[str, str]] = self._engine.collective_rpc(pack.method, kwargs=pack.told())
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
