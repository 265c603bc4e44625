"""The command line: `agentgym list | init | check | play | eval | train | resume | report | credit | serve | doctor`.

Commands import what they need when they run, so that `agentgym --help` answers at once. What a person can fix is one
line on the error stream and exit code 2; a broken world or store is 1; Ctrl-C is 130.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType

from cyclopts import App, CycloptsError

from agentgym import __version__
from agentgym.cli import (
    certifying,
    comparing,
    credit,
    deciding,
    doctor_sandbox,
    evaluating,
    exploring,
    lab,
    listing,
    machine,
    playing,
    rescoring,
    serving,
    starting,
    training,
    viewing,
)
from agentgym.errors import AgentgymError, MissingExtraError, UsageError
from agentgym.secrets import RedactingFormatter, know_words, redact

EPILOGUE = "Examples:\n\n    agentgym list\n\n    agentgym train recipes/quickstart.toml\n\n    agentgym COMMAND --help"

app = App(
    name="agentgym",
    help="Environments, turn-level credit and a training loop for LLM agents that act over many turns.",
    help_epilogue=EPILOGUE,
    version=__version__,
    result_action="return_value",
)


def _example(*lines: str) -> str:
    return "Example:\n\n" + "\n\n".join(f"    {line}" for line in lines)


app.command(
    listing.list_,
    name="list",
    help_epilogue=_example("agentgym list", "agentgym list envs --measure", "agentgym list envs --json"),
    sort_key=1,
)
app.command(starting.init, help_epilogue=_example("agentgym init number-hunt"), sort_key=1)
app.command(
    certifying.certify,
    help_epilogue=_example("agentgym certify keydoor-v0 --quick", "agentgym certify ./my_env.py:SPEC --out cert.json"),
    sort_key=2,
)
app.command(exploring.check, help_epilogue=_example("agentgym check keydoor-v0 --quick"), sort_key=2)
app.command(
    playing.play,
    help_epilogue=_example("agentgym play textworld-coin-v0", "agentgym play keydoor-v0 --policy oracle"),
    sort_key=3,
)
app.command(
    evaluating.eval_,
    name="eval",
    help_epilogue=_example(
        "agentgym eval textworld-coin-v0 --policy random --tasks 20",
        "agentgym eval keydoor-v0 --policy transformers --model runs/keydoor/model --attempts 4",
        "agentgym eval keydoor-v0 --policy oracle --policy random --save runs/baselines",
    ),
    sort_key=4,
)
app.command(
    comparing.compare,
    help_epilogue=_example(
        "agentgym compare runs/baselines:oracle runs/baselines:random", "agentgym compare runs/old runs/new --json"
    ),
    sort_key=4,
)
app.command(
    rescoring.rescore,
    help_epilogue=_example("agentgym rescore runs/baselines", "agentgym rescore runs/quickstart --phase train"),
    sort_key=4,
)
app.command(
    deciding.decide,
    help_epilogue=_example(
        "agentgym decide runs/quickstart --k 8",
        "agentgym decide runs/oracles 0 --policy noisy-oracle --budget 200",
    ),
    sort_key=4,
)
app.command(
    training.train,
    help_epilogue=_example(
        "agentgym train recipes/quickstart.toml", "agentgym train recipes/keydoor.toml --trainer.lr 1e-3 --dry-run"
    ),
    sort_key=5,
)
app.command(training.resume, help_epilogue=_example("agentgym resume runs/quickstart"), sort_key=6)
app.command(
    viewing.view,
    help_epilogue=_example(
        "agentgym view runs/quickstart",
        "agentgym view runs/keydoor-seed0 runs/keydoor-seed1 --open",
        "agentgym view runs/quickstart --terminal",
    ),
    sort_key=7,
)
app.command(
    viewing.report,
    help_epilogue=_example("agentgym report runs/quickstart", "agentgym report runs/a runs/b --out both.html"),
    sort_key=7,
)
app.command(
    credit.credit,
    help_epilogue=_example(
        "agentgym credit runs/quickstart --use grpo", "agentgym credit runs/quickstart -p anchor-state.gamma=1.0"
    ),
    sort_key=8,
)
app.command(
    lab.lab,
    help_epilogue=_example("agentgym lab --module grpo --quick", "agentgym lab --out docs/cards"),
    sort_key=9,
)
app.command(serving.app)
doctor = App(
    name="doctor",
    sort_key=10,
    result_action="return_value",
    help_epilogue=_example("agentgym doctor", "agentgym doctor sandbox"),
)
doctor.default(machine.doctor)
doctor.command(
    doctor_sandbox.sandbox,
    help_epilogue=_example("agentgym doctor sandbox", "agentgym doctor sandbox bubblewrap --details"),
)
app.command(doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: its words; those of the process if not given.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # What a model wrote may hold code points that no terminal can show: never a crash, whatever the locale.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    know_words(words)
    if argv is None:
        _keep_secrets()
    try:
        code = app(words, exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _fail(_sentence(str(error), words), 2)
    except UsageError as error:
        return _fail(str(error), 2)
    except AgentgymError as error:
        return _fail(str(error), 1)
    except ModuleNotFoundError as error:
        from agentgym.registry import missing_module

        missing = missing_module(f"agentgym {words[0]}", error)
        if not isinstance(missing, MissingExtraError):
            raise
        return _fail(str(missing), 2)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe (`| head`) went away; the interpreter must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _keep_secrets() -> None:
    """In a process of our own, neither logs nor the traceback of a bug show keys."""
    import logging
    import traceback

    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(RedactingFormatter("%(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        print(redact("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)

    sys.excepthook = hook


def _fail(message: str, code: int) -> int:
    from agentgym.cli.show import safe

    line = " ".join(safe(redact(message)).split("\n"))
    print(f"error: {line}", file=sys.stderr)
    return code


def _sentence(message: str, words: Sequence[str]) -> str:
    text = " ".join(message.split())
    if words[:1] == ["train"] and text.startswith("Unknown option"):
        return "train: the recipe comes before the keys that change it: agentgym train RECIPE --key.subkey value"
    return f"{text[:1].lower()}{text[1:]}"
