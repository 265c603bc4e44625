"""The environments that ship with agentgym; each folder is a plug-in like anyone else's."""
