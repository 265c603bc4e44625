"""Colours by their first known word: `dark navy blue` and `blue` are the same colour to WebShop's reward.

The words and their order decide rewards; they are those of WebShop (MIT, see the README).
"""

from __future__ import annotations

import functools

_WORDS = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor mushroom
mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand sapphire
seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut wheat white
wine yellow
"""
COLOURS = tuple(_WORDS.split())


@functools.lru_cache(maxsize=1 << 14)
def plain(value: str) -> str:
    """The first known colour whose word is anywhere in the value, else the value.

    >>> plain("rose gold"), plain("instant"), plain("large")
    ('gold', 'tan', 'large')
    """
    return next((colour for colour in COLOURS if colour in value), value)
