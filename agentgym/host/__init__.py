"""Where environments run: in this process when cheap and safe, in killable worker processes when they can hang."""

from agentgym.host.inline import Host, InlineHost
from agentgym.host.pool import HostPool, Hosts
from agentgym.host.process import HostLostError, HostSpentError, ProcessHost

__all__ = ["Host", "HostLostError", "HostPool", "HostSpentError", "Hosts", "InlineHost", "ProcessHost"]
