"""The start of a recipe that trains in seconds: a from-scratch model in a world of four rooms."""

from __future__ import annotations


def start(layers: int = 2, slots: int = 8) -> str:
    """To be followed by what a test is about; first by what else it wants in `[rollout]`."""
    return f"""
name = "tiny"
seed = 3
[env]
id = "keydoor-v0"
options = {{ rooms = 4 }}
[model]
ref = "scratch:tiny?hidden=32&layers={layers}"
[rollout]
host = "inline"
slots = {slots}
"""
