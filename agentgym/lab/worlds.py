"""The five worlds of the lab, each about one thing that makes credit hard."""

from __future__ import annotations

import math

from agentgym.lab.world import Move, World


def stop_or_continue(p: float = 0.1, lengths: tuple[int, ...] = (3, 30)) -> World:
    """One decision: stop (one turn, nothing) or continue (success, after a number of turns that chance sets).

    With one of the `lengths` at equal odds a group's episodes differ in length because of what the policy chose, which
    is where statistics over turns go wrong. At N = 8 the baseline over step rows gives 0.64, 0.94 and 0.99 of the true
    gradient at p = 0.1, 0.5 and 0.9. These are the numbers that were given to us as exact; the lengths behind them
    were not, and 3 or 30 is one choice that reproduces all three (a single length of 10 gives 0.64, 0.94, 0.98).

    Args:
        p: probability of going on.
        lengths: turns of an episode that goes on.
    """
    left = max(lengths) - 1

    def state(turns: int) -> str:
        return f"{turns} turns of work left"

    go_on = tuple(Move(state(length - 1), 1.0 / len(lengths)) for length in lengths)
    moves: dict[str, dict[str, tuple[Move, ...]]] = {"a choice": {"stop": (Move(None),), "continue": go_on}}
    for turns in range(left, 0, -1):
        follows = Move(state(turns - 1)) if turns > 1 else Move(None, reward=1.0, success=True)
        moves[state(turns)] = {"work": (follows,)}
    logit = math.log(p / (1.0 - p))
    summary = (
        f"one decision: stop, or continue (probability {p:g}) for {' or '.join(map(str, lengths))} turns to success"
    )
    return World("stop-or-continue", summary, {"a choice": 1.0}, moves, left + 1, {("a choice", "continue"): logit})


def key_door() -> World:
    """Find the key, carry it back, open the door: paid at the end only, with things to do that lead nowhere."""
    stay = (Move("hall", fault=True),)
    moves = {
        "hall": {"go to cellar": (Move("cellar"),), "go to garden": (Move("garden"),), "open door": stay},
        "cellar": {"take key": (Move("cellar, key in hand"),), "go to hall": (Move("hall"),)},
        "garden": {"pick a leaf": (Move("garden"),), "go to hall": (Move("hall"),)},
        "cellar, key in hand": {
            "go to hall": (Move("hall, key in hand"),),
            "read the wall": (Move("cellar, key in hand"),),
        },
        "hall, key in hand": {
            "open door": (Move(None, reward=1.0, success=True),),
            "go to cellar": (Move("cellar, key in hand"),),
        },
    }
    summary = "find the key, carry it to the door, open it, in 6 turns; a garden and a wall to lose time with"
    return World("key-door", summary, {"hall": 1.0}, moves, 6, {("hall", "go to cellar"): 0.5})


def corridor() -> World:
    """Three places in a row, to walk back and forth in: the same state is met again within one attempt."""
    moves = {
        "west end": {"west": (Move("west end", fault=True),), "east": (Move("middle"),)},
        "middle": {"west": (Move("west end"),), "east": (Move("east end"),)},
        "east end": {"west": (Move("middle"),), "east": (Move(None, reward=1.0, success=True),)},
    }
    return World(
        "corridor", "walk back and forth; success at the east end's exit, in 6 turns", {"middle": 1.0}, moves, 6
    )


def drafts() -> World:
    """Hand in now or improve once more: every attempt ends at a time of its own, and later is better."""
    chance = (0.1, 0.2, 0.35, 0.5, 0.7, 0.9)

    def hand_in(p: float) -> tuple[Move, ...]:
        return Move(None, p, reward=1.0, success=True), Move(None, 1.0 - p)

    moves: dict[str, dict[str, tuple[Move, ...]]] = {}
    for i, p in enumerate(chance):
        actions = {"hand in": hand_in(p)}
        if i + 1 < len(chance):
            actions["improve"] = (Move(f"draft {i + 1}", 0.9), Move(None, 0.1))
        moves[f"draft {i}"] = actions
    summary = "hand in a draft, or improve it (a tenth of the improvements spoils all); better drafts pass more often"
    return World("drafts", summary, {"draft 0": 1.0}, moves, len(chance))


def riddles() -> World:
    """An easy and a hard task of two turns, and noise in every reward: what is paid says little of what was done."""
    moves: dict[str, dict[str, tuple[Move, ...]]] = {}

    def noisy(to: str | None, reward: float = 0.0) -> tuple[Move, ...]:
        return tuple(Move(to, 0.5, reward=reward + noise, success=reward > 0.0) for noise in (-0.5, 0.5))

    for name, answers in (("easy", ("yes", "no")), ("hard", ("red", "green", "blue"))):
        right, wrong = f"{name} riddle, well begun", f"{name} riddle, badly begun"
        moves[f"{name} riddle"] = {a: noisy(right if a == answers[0] else wrong) for a in answers}
        moves[right] = {a: noisy(None, float(a == answers[0])) for a in answers}
        moves[wrong] = {a: noisy(None) for a in answers}
    logits = {("easy riddle", "yes"): 0.5, ("easy riddle, well begun", "yes"): 0.5}
    summary = "two right answers in a row pay 1; an easy and a hard task; each reward is half a point off, up or down"
    return World("riddles", summary, {"easy riddle": 0.5, "hard riddle": 0.5}, moves, 2, logits)


WORLDS: dict[str, World] = {w.name: w for w in (stop_or_continue(), key_door(), corridor(), drafts(), riddles())}
"""The worlds that cards are about, by name."""
