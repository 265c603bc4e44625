"""WebShop: buy what an instruction asks for from a shop of many products; our engine, upstream's pages."""

from agentgym.env import Ability, EnvSpec

_ABILITIES = frozenset(Ability) - {Ability.ANSWER}
_ENTRY = "agentgym_envs.webshop.env:WebShop"
_COMPONENTS = ("type", "attributes", "options", "price")
GENERATED = EnvSpec(
    id="webshop-v0",
    entry=_ENTRY,
    tasks="agentgym_envs.webshop.tasks:generated",
    summary="Find and buy the product that an instruction asks for, in a generated catalogue; no data needed",
    abilities=_ABILITIES,
    max_turns=20,
    extra="webshop",
    components=_COMPONENTS,
)
REAL = EnvSpec(
    id="webshop-real-v0",
    entry=_ENTRY,
    tasks="agentgym_envs.webshop.tasks:real",
    summary="WebShop's own products and goals, from the folder that WEBSHOP_DATA (or the option path) names",
    abilities=_ABILITIES,
    max_turns=20,
    extra="webshop",
    components=_COMPONENTS,
)
