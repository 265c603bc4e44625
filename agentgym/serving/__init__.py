"""What every server of this package demands of a request, whatever it serves.

They listen on this machine alone unless told otherwise, ask for a token, answer to the names they have, and bound what
they take: the bytes of a head and of a body, the seconds for each, and the number of connections. `Door` decides who
comes in; `threads` and `asgi` put it in front of the standard library's servers and of ASGI applications.
"""

from __future__ import annotations

from agentgym.serving.door import Door, is_loopback, open_door

__all__ = ["Door", "is_loopback", "open_door"]
