"""Guess a word of five letters from what each guess tells: information in every turn, reward in the last alone."""

from agentgym.env import Ability, EnvSpec

SPEC = EnvSpec(
    id="wordguess-v0",
    entry="agentgym_envs.wordguess.env:WordGuess",
    tasks="agentgym_envs.wordguess.tasks:tasks",
    summary="Guess a word of five letters; each guess tells which letters are right",
    abilities=frozenset(Ability) - {Ability.ACTIONS},
    max_turns=8,
)
