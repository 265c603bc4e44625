"""prime-rl's orchestrator with agentgym's credit: run this in place of its `orchestrator` command, with its arguments.

In the configuration, `algo.type = "grpo"` then means anchor-state credit, in this process only.

Not run by this project's tests: prime-rl is on no package registry. The functions it calls are tested.
"""

from __future__ import annotations

from prime_rl.entrypoints.orchestrator import main

from agentgym.integrations import prime_rl

if __name__ == "__main__":
    prime_rl.register([{"use": "anchor-state", "gamma": 0.95}], over="grpo")
    main()
