"""What draws the bytes that become episodes.

With `atheris` installed the fuzzer is guided by coverage of the environment's own code; without it, `hypothesis` draws
the bytes, and without that, a seeded generator does. The certificate says which.
"""

from __future__ import annotations

import atexit
import mmap
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentgym.certify.fuzzing import LENGTH, Target
from agentgym.certify.worker import Job
from agentgym.seeding import generator

EPISODE_SECONDS = 10
"""Most time for an episode that the guided fuzzer makes."""


def fuzz(job: Job) -> None:
    """Fuzz until the budget is used up or something breaks; a crash is left as a file of bytes, and reported."""
    engine = fuzzer(job.settings.fuzzer)
    folder = Path(job.args["folder"])
    target = _instrumented(job) if engine == "atheris" else Target(job)
    job.say(fuzzer=engine)
    with (folder / "last").open("wb+") as file:
        file.write(bytes(2 + LENGTH))
        file.flush()
        last = mmap.mmap(file.fileno(), 2 + LENGTH)  # What is written here outlives the process, at no cost.
    begin = time.monotonic()
    settings = job.settings

    def report() -> None:
        job.say(runs=target.runs, steps=target.steps, kinds=len(target.kinds), seconds=time.monotonic() - begin)

    def one(data: bytes) -> None:
        # Before each episode: what kills the process leaves behind what it was killed by.
        if target.runs % 500 == 0:
            job.at("fuzzing", settings.reset_deadline + settings.fuzz_seconds)
            job.progress(int(time.monotonic() - begin), int(settings.fuzz_seconds))
        last[: 2 + len(data)] = len(data).to_bytes(2, "little") + data
        try:
            target.play(bytes(data))
        except Exception:
            (folder / "crash").write_bytes(data)
            report()
            job.say(end=True)
            raise

    job.at("fuzzing", settings.reset_deadline + settings.fuzz_seconds)
    try:
        {"atheris": _atheris, "hypothesis": _hypothesis, "random": _random}[engine](job, target, one, report)
    except Exception:
        if not (folder / "crash").is_file():  # The fuzzer itself broke, not what it plays.
            raise
    report()


def fuzzer(asked: str) -> str:
    """The engine that is installed."""
    if asked != "auto":
        return asked
    return next((name for name in ("atheris", "hypothesis") if find_spec(name) is not None), "random")


def _instrumented(job: Job) -> Target:
    import atheris  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    guided: Any = atheris
    package = str(job.args["module"]).rpartition(".")[0] or str(job.args["module"])
    with guided.instrument_imports(include=[package]):
        target = Target(job)
        # What is imported when it is first played counts too.
        target.env.reset(seed=0, options={"task": target.subject.tasks[0]})
    target.alarm = False
    module = sys.modules.get(type(target.env).__module__)
    if module is not None and module.__name__.startswith("agentgym_file_"):  # read from a file, not imported
        for value in list(vars(module).values()):
            for function in [value, *vars(value).values()] if isinstance(value, type) else [value]:
                if getattr(function, "__module__", None) == module.__name__ and hasattr(function, "__code__"):
                    guided.instrument_func(function)
    return target


def _atheris(job: Job, target: Target, one: Callable[[bytes], None], report: Callable[[], None]) -> None:
    import atheris  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    guided: Any = atheris
    settings, folder = job.settings, job.args["folder"]

    def last() -> None:
        report()
        job.say(end=True)

    told = time.monotonic()

    def counted(data: bytes) -> None:
        nonlocal told
        one(data)
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            report()

    corpus = Path(folder) / "corpus"
    corpus.mkdir()
    rng = generator(settings.seed, "certify", "corpus")
    for number in range(32):  # Something to begin with: episodes of every length.
        (corpus / str(number)).write_bytes(rng.bytes(LENGTH >> (number % 6)))
    atexit.register(last)
    flags = {
        "seed": settings.seed + 1,
        "runs": settings.fuzz_runs,
        "max_len": LENGTH,
        "max_total_time": max(1, round(settings.fuzz_seconds)),
        "timeout": EPISODE_SECONDS,
        "rss_limit_mb": 0,
        "len_control": 20,
        "verbosity": 0,
        "artifact_prefix": f"{folder}/found-",
    }
    guided.Setup(["fuzz", *(f"-{name}={value}" for name, value in flags.items()), str(corpus)], counted)
    guided.Fuzz()


def _hypothesis(job: Job, target: Target, one: Callable[[bytes], None], report: Callable[[], None]) -> None:
    from hypothesis import HealthCheck, Phase, given, settings, strategies
    from hypothesis import seed as seeded
    from hypothesis import target as aim

    until = time.monotonic() + job.settings.fuzz_seconds
    number = 0
    while time.monotonic() < until and target.runs < job.settings.fuzz_runs:

        @seeded(job.settings.seed + number)
        @settings(
            max_examples=200, database=None, deadline=None, phases=[Phase.generate, Phase.target],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        )  # fmt: skip
        @given(
            strategies.binary(min_size=1, max_size=LENGTH) | strategies.binary(min_size=LENGTH // 4, max_size=LENGTH)
        )
        def some(data: bytes) -> None:
            if time.monotonic() < until:
                steps = target.steps
                one(data)
                aim(float(target.steps - steps), label="turns")

        some()
        number += 1


def _random(job: Job, target: Target, one: Callable[[bytes], None], report: Callable[[], None]) -> None:
    rng, until = generator(job.settings.seed, "certify", "fuzz"), time.monotonic() + job.settings.fuzz_seconds
    while time.monotonic() < until and target.runs < job.settings.fuzz_runs:
        one(rng.bytes(int(rng.integers(1, LENGTH))))


def last_played(path: Path) -> bytes | None:
    """The bytes of the last episode that a fuzzer began."""
    held = path.read_bytes() if path.is_file() else b""
    size = int.from_bytes(held[:2], "little")
    return held[2 : 2 + size] if size else None
