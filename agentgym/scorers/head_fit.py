"""A linear head on hidden states, fitted in closed form: no learning rate, no random start, the same bits each time.

Ridge regression over a bounded memory of past attempts. With a few hundred targets and as many inputs, gradient steps
on a head cost more than the exact solution, and their result depends on how many one takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentgym.errors import StoreError

Float = NDArray[np.float64]

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Penalties that are tried, times the mean squared length of an input."""
FREE = 30.0
"""How many times longer than the mean input the constant's is: its penalty is smaller by the square of this."""
NAMES = ("inputs", "counts", "targets", "attempts", "weight", "bias")


class LinearHead:
    """y of an input x that sums up `count` turns is approximately w . x + b count; one turn is worth w . h + b.

    Inputs are centred by the mean turn, and b is hardly penalised: a head that finds nothing in the states says the
    same of every turn. The penalty is given, or is the one of `GRID` under which attempts are predicted best by the
    others (leaving all rows of one attempt out, by the exact formula for it, not by fitting again).
    """

    def __init__(self, capacity: int, ridge: float | None = None) -> None:
        """After a fit the newest `capacity` rows are remembered; `ridge` is in units of the mean squared input."""
        self.capacity, self.ridge = capacity, ridge
        self.penalty = 0.0
        """The one that the last fit took, in the same units."""
        self.memory: dict[str, NDArray[Any]] = {}
        """Rows and head by name; empty before the first fit."""

    def __call__(self, states: NDArray[np.float32]) -> Float:
        """What each turn is worth `[n]`, given its state `[n, d]`; 0 before the first fit."""
        if not self.memory:
            return np.zeros(len(states))
        return states.astype(np.float64) @ self.memory["weight"] + self.memory["bias"][0]

    def fit(self, inputs: Float, counts: Float, targets: Float, attempts: NDArray[np.int64]) -> None:
        """Fit to m rows and to all that are remembered; then forget the oldest beyond the capacity.

        Args:
            inputs: `[m, d]`, each the sum of the states of `counts` turns.
            counts: `[m]`, at least 1.
            targets: `[m]`.
            attempts: `[m]` rows of one attempt have the same number, which means nothing outside of this call.
        """
        if not len(targets):
            return
        new = {"inputs": inputs.astype(np.float32), "counts": counts, "targets": targets, "attempts": attempts}
        if self.memory:
            new["attempts"] = attempts + (1 + self.memory["attempts"].max(initial=0) - attempts.min())
            new = {name: np.concatenate([self.memory[name], values]) for name, values in new.items()}
        weight, bias = self._solve(new)
        kept = {name: values[max(0, len(values) - self.capacity) :] for name, values in new.items()}
        self.memory = {**kept, "weight": weight, "bias": np.asarray([bias])}

    def _solve(self, rows: Mapping[str, NDArray[Any]]) -> tuple[Float, float]:
        inputs, counts, targets = rows["inputs"].astype(np.float64), rows["counts"], rows["targets"]
        mean = inputs.sum(0) / counts.sum()
        centred = inputs - counts[:, None] * mean
        unit = float((centred**2).sum() / len(targets)) or 1.0
        scale = FREE * float(np.sqrt(unit * len(targets) / (counts**2).sum()))
        left, sizes, right = np.linalg.svd(np.column_stack([centred, scale * counts]), full_matrices=False)
        squares, seen = sizes**2, left.T @ targets
        if self.ridge is not None:
            self.penalty = self.ridge
        else:
            order = np.argsort(rows["attempts"], kind="stable")
            cuts = np.flatnonzero(np.diff(rows["attempts"][order])) + 1
            blocks = np.split(order, cuts)
            errors = [_left_out(left, squares / (squares + g * unit), seen, targets, blocks) for g in GRID]
            self.penalty = GRID[int(np.argmin(errors))]
        found = right.T @ (sizes / (squares + self.penalty * unit) * seen)
        return found[:-1], float(scale * found[-1] - mean @ found[:-1])

    def state(self) -> dict[str, NDArray[Any]]:
        """Memory and head by name; nothing before the first fit."""
        return {**self.memory, "penalty": np.asarray([self.penalty])} if self.memory else {}

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `state()`.

        Raises:
            StoreError: it is not the state of such a head.
        """
        if not arrays:
            self.memory = {}
            return
        if set(arrays) != {*NAMES, "penalty"} or len({len(arrays[name]) for name in NAMES[:4]}) != 1:
            raise StoreError(f"a linear head's state has {', '.join(NAMES)}, not {', '.join(sorted(arrays))}")
        if arrays["inputs"].ndim != 2 or arrays["inputs"].shape[1:] != arrays["weight"].shape:
            raise StoreError("a linear head's memory and weight are of different widths")
        self.memory = {name: arrays[name].copy() for name in NAMES}
        self.penalty = float(arrays["penalty"][0])


def _left_out(left: Float, factors: Float, seen: Float, targets: Float, blocks: list[NDArray[np.int64]]) -> float:
    """Sum of squared errors on each block of rows, of the fit to all other rows.

    With the hat matrix H of a ridge fit and residuals r, the errors on a left-out block B are (I - H_BB)^-1 r_B.
    """
    residual = targets - left @ (factors * seen)
    total = 0.0
    for rows in blocks:
        part = left[rows]
        error = np.linalg.solve(np.eye(len(rows)) - (part * factors) @ part.T, residual[rows])
        total += float(error @ error)
    return total
