"""Which tests need vLLM, and how long they may take. Apart from the cases: where vLLM is there may be no pytest."""

from __future__ import annotations

import importlib.util
import os

import pytest
from vllm_cases import interpreter

needs_vllm = pytest.mark.skipif(
    interpreter() is None and importlib.util.find_spec("vllm") is None,
    reason="no environment with vLLM: sh scripts/setup_vllm.sh, or set AGENTGYM_VLLM_PYTHON",
)
slow = pytest.mark.timeout(1200)
"""Importing vLLM takes half a minute of a busy core."""
long = pytest.mark.skipif(
    "AGENTGYM_LONG" not in os.environ, reason="takes minutes of both cores: AGENTGYM_LONG=1 runs it"
)
