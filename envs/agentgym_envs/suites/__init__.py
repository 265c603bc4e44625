"""Environments of other suites under our ids, where their packages are installed: `textarena-guessthenumber-v0`.

The guests are strangers' code. Each adapter is short, and what they all need is in `guest`: their use of the global
random generators is fenced in, what they raise becomes an infra error, and what no game needs never reaches them.
`catalogue` is how the registry finds them; `docs/suites.md` says what each suite gives and what it does not.
"""
