"""Turn-level credit in other people's trainers: TRL, verl, SkyRL and prime-rl.

One module each, and `common`, which they share. None of those packages is imported before it is needed, so that each
module can be imported, and its functions called, without them. `docs/integrations.md` says how each is used and which
version's signatures were read.
"""
