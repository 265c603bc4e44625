"""Everything that a GPU makes fast, measured in one call of under eight minutes with what the machine has.

    python benchmarks/gpu.py                        # one GPU
    python benchmarks/gpu.py --device cpu --small   # the same code on a processor, tiny models, a minute

Tables, in this order:

- `chip`: the maker's figure for dense bfloat16, and what torch's own product of two large matrices reaches.
- `learner`: whole steps of full training on groups of eight attempts with shared beginnings (`benchmarks/prefix.py`),
  for random weights of 135 M and 1.5 B parameters. `reached` counts only the operations that the algorithm needs; its
  shares of the two figures above follow.
- `prefix`: the gain of computing common beginnings once, in the same step.
- `sampler`: prompts that have nothing in common, answers of a fixed length; the embedded policy, vLLM as the policy,
  and vLLM's own benchmark of the same shape and weights. Without vLLM its rows are left out, and it says so.
- `weights`: seconds until a sampler has new weights. The embedded one shares the learner's module and needs none.
- `training`: a recipe from start to end as a user runs it. Without TextWorld or the embedded model it is the key-door
  recipe.

Each part that cannot be done says why and the others go on; the exit status is 0. What is past `--seconds` is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gpu_sampler as sampler
import prefix
import torch
from gpu_chip import data_sheet, matrix_rate, operations, random_model, wait

from agentgym.batch import pack
from agentgym.errors import AgentgymError
from agentgym.learner import Learner
from agentgym.models import embedded
from agentgym.models.load import pick_dtype
from agentgym.optim import LearnerConfig

ROOT = Path(__file__).parents[1]


class Bench:
    """What all parts need: the device, the sizes, and how much time is left."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.small, self.vllm = args.small, not args.no_vllm
        self.device = torch.device(args.device)
        self.dtype = torch.float32 if args.small else pick_dtype("auto", self.device)
        self.name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "processor"
        self.until = time.monotonic() + args.seconds
        self.sheet = self.rate = 0.0
        self.done: dict[str, str] = {}

    def left(self) -> float:
        return self.until - time.monotonic()

    @contextmanager
    def part(self, name: str, needs: float) -> Iterator[bool]:
        """Whether there is time for a part; what goes wrong in it is said, and the next part has its turn."""
        began = time.monotonic()
        print(f"\n## {name}", flush=True)
        enough = self.left() >= needs
        try:
            yield enough
            self.done[name] = f"{time.monotonic() - began:.0f} s" if enough else "left out: no time"
        except (AgentgymError, RuntimeError, ValueError, OSError) as error:
            self.done[name] = "failed"
            print(f"not done: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def chip(bench: Bench) -> None:
    size = 512 if bench.small else 8192 if bench.device.type == "cuda" else 2048
    bench.sheet, bench.rate = data_sheet(bench.name), matrix_rate(bench.device, bench.dtype, size)
    kind = f"{bench.dtype}".removeprefix("torch.")
    sheet = f"{bench.sheet / 1e12:8.1f} TFLOP/s" if bench.sheet else " not known here"
    print(f"data sheet, dense bfloat16   {sheet}")
    print(f"matrix product, {kind:12} {bench.rate / 1e12:8.1f} TFLOP/s  ({size} x {size})")


def learner(bench: Bench, shape: str, groups: int, budget: int) -> None:
    loaded = random_model(shape, bench.device, bench.dtype)
    batch = prefix.loads(0, groups, 2 if bench.small else 6, loaded.model.config.vocab_size)["groups"]
    own = Learner(loaded.model, LearnerConfig(ratio="self", token_budget=budget))
    for _ in range(2):
        prefix.step(own, batch[: prefix.GROUP], budget, share=True)
    metrics = min((prefix.step(own, batch, budget, share=True) for _ in range(2)), key=lambda m: m["wall"])
    rate = operations(loaded.model, pack(batch, budget)) / metrics["wall"]
    memory = torch.cuda.max_memory_allocated(bench.device) / 2**30 if bench.device.type == "cuda" else 0.0
    row = f"{shape:8}{metrics['tokens'] / metrics['wall']:12.0f}{metrics['tokens_computed'] / metrics['wall']:12.0f}"
    sheet = f"{rate / bench.sheet:10.0%}" if bench.sheet else f"{'-':>10}"
    product = f"{rate / bench.rate:12.0%}" if bench.rate else f"{'-':>12}"
    print(f"{row}{rate / 1e12:12.2f}{sheet}{product}{memory:10.1f}", flush=True)


def gain(bench: Bench, shape: str, groups: int, budget: int) -> None:
    model = random_model(shape, bench.device, bench.dtype).model
    work = prefix.loads(0, groups, 2 if bench.small else 4, model.config.vocab_size)
    own = Learner(model, LearnerConfig(ratio="self", token_budget=budget))
    print(f"{'':8}{'unshared/s':>12}{'shared/s':>10}{'ratio':>8}{'bound':>8}{'ideal':>8}{'saved':>8}")
    for name, batch in work.items():
        m = prefix.compare(own, batch, budget, repeats=1 if bench.small else 2)
        row = f"{name:8}{m['unshared']:12.0f}{m['shared']:10.0f}{m['ratio']:8.2f}{m['bound']:8.2f}"
        print(f"{row}{m['ideal']:8.2f}{m['saved']:8.0%}", flush=True)


def sampling(bench: Bench, name: str, shape: sampler.Shape) -> dict[str, float]:
    """Prints tokens per second; gives the seconds of a weight update by way of sampling."""
    loaded = random_model(name, bench.device, bench.dtype)
    print(f"{name}, {shape.count} prompts of {shape.prompt} tokens, answers of {shape.answer}")
    updates = {"embedded": 0.0}
    print(f"{'embedded policy':28}{sampler.embedded(loaded, shape, bench.device):10.0f} tokens/s", flush=True)
    if not bench.vllm:
        print("vLLM: left out, as asked")
        return updates
    try:
        # A process of its own, so before the engine that may take this process's share of the GPU.
        own = sampler.own_benchmark(loaded, shape, bench.device, max(1.0, min(150.0, bench.left())))
        print(f"{'vLLM, its own benchmark':28}{own:10.0f} tokens/s", flush=True)
    except AgentgymError as error:
        print(f"vLLM, its own benchmark: not done: {error}")
    try:
        mode, rate, seconds = sampler.with_vllm(loaded, shape, bench.device)
        print(f"{f'vLLM as the policy, {mode}':28}{rate:10.0f} tokens/s", flush=True)
        updates[f"vLLM, {mode}"] = seconds
    except AgentgymError as error:
        print(f"vLLM as the policy: not done: {error}")
    return updates


def quickstart_is_possible() -> bool:
    """Whether its games and its model are here; says which is not."""
    if importlib.util.find_spec("textworld") is None:
        print("TextWorld is not installed: the key-door recipe instead of the quickstart")
        return False
    try:
        embedded.folder()
    except AgentgymError as error:
        print(f"{error}: the key-door recipe instead of the quickstart")
        return False
    return True


def training(bench: Bench) -> None:
    recipe = "quickstart" if not bench.small and quickstart_is_possible() else "keydoor"
    command = [sys.executable, "-m", "agentgym.cli", "train", str(ROOT / f"recipes/{recipe}.toml"), "--json"]
    command += ["--model.device", str(bench.device)]
    if recipe == "quickstart":
        command += ["--rollout.processes", f"{max(2, min(16, torch.get_num_threads()))}"]
    elif bench.small:
        command += ["--trainer.iterations", "1", "--warmstart.epochs", "1", "--warmstart.tasks", "8"]
        command += ["--eval.tasks", "2", "--model.ref", "scratch:tiny?hidden=32&layers=1"]
    with tempfile.TemporaryDirectory(prefix="agentgym-gpu-") as folder:
        seconds, said, why = sampler.train([*command, "--root", folder], max(1.0, bench.left()))
    print(f"recipes/{recipe}.toml: {seconds:.0f} s" + (f"; {why}" if why else ""))
    for stage, values in (said or {}).get("evals", {}).items():
        print(f"  {stage:24}{values.get('eval/success', float('nan')):8.1%} success")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="", help="cuda, cuda:1, cpu; a GPU if there is one")
    parser.add_argument("--small", action="store_true", help="tiny models and loads, to see that everything runs")
    parser.add_argument("--seconds", type=float, default=450, help="parts that would begin later are left out")
    parser.add_argument("--no-vllm", action="store_true")
    args = parser.parse_args()
    gpu = torch.cuda.is_available()
    args.device = args.device or ("cuda" if gpu else "cpu")
    if torch.device(args.device).type == "cuda" and not gpu:
        print(f"device {args.device}: there is no GPU that torch can use; nothing was measured")
        return
    if torch.device(args.device).type == "cpu":
        args.small = True
        print("no GPU is used: the small load on the processor, which shows that the code runs and nothing else")
    bench = Bench(args)
    print(f"{bench.name}, torch {torch.__version__}, {torch.get_num_threads()} thread(s)")

    sizes = [("tiny", 1, 1024)] if bench.small else [("135 M", 32, 16384), ("1.5 B", 16, 16384)]
    with bench.part("chip", 5) as enough:
        if enough:
            chip(bench)
    with bench.part("learner", 10) as enough:
        header = f"{'model':8}{'tokens/s':>12}{'computed/s':>12}{'TFLOP/s':>12}{'of sheet':>10}{'of product':>12}"
        print(f"{header}{'GiB':>10}")
        for size in sizes if enough else ():
            measured(bench, lambda size=size: learner(bench, *size))
    with bench.part("prefix", 10) as enough:
        if enough:
            gain(bench, *sizes[0])
    updates: dict[str, float] = {}
    with bench.part("sampler", 20) as enough:
        if enough:
            shape = sampler.Shape(4, 24, 8) if bench.small else sampler.Shape(256, 512, 128)
            updates = sampling(bench, sizes[0][0], shape)
    with bench.part("weights", 0):
        for way, seconds in updates.items():
            print(f"{way:28}{seconds:10.2f} s")
    with bench.part("training", 20) as enough:
        if enough:
            training(bench)
    wait(bench.device)
    print("\n" + ", ".join(f"{part}: {how}" for part, how in bench.done.items()))


def measured(bench: Bench, work: Callable[[], None]) -> None:
    """One row of a table; one that does not fit into memory does not take the others with it."""
    try:
        work()
    except (AgentgymError, torch.OutOfMemoryError) as error:
        print(f"not done: {str(error).splitlines()[0]}")
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(bench.device)


if __name__ == "__main__":
    main()
