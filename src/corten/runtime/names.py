"""Names for containers that were given none: two words, the first a look, the second a rock."""

from __future__ import annotations

import os
import re

from corten.errors import Invalid

NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}"

_LOOKS = """
amber azure banded bright brisk calm cloudy coastal copper crimson curved dappled dusky early
faint fine flat folded frosty gentle glassy golden grainy green grey hidden hollow humble ivory
jagged keen layered leaning light little lively lofty lunar mellow misty mossy narrow northern
oaken ochre old pale patient plain polished quiet rippled rough round rusty sandy silent silver
slanted slow smooth soft solid speckled steady still stormy striped sturdy sunny swift tidal
tilted violet warm weathered western wide windy winter woven
""".split()  # noqa: SIM905 - a list of words is read more easily so
_ROCKS = """
agate alum amethyst andesite basalt beryl calcite chalk chert citrine clay coal coral diorite
dolomite feldspar flint fluorite gabbro galena garnet gneiss granite gravel gypsum halite hematite
ironstone jade jasper jet kaolin lapis lava limestone loam magnetite malachite marble marl mica
moonstone mudstone obsidian olivine onyx opal ore pearl pebble peridot porphyry pumice pyrite
quartz rhyolite ruby sandstone sapphire schist shale shingle siltstone slate spinel talc topaz
travertine tuff turquoise zircon
""".split()  # noqa: SIM905 - a list of words is read more easily so


def check_name(name: str) -> str:
    """`name` if a container or volume may have it.  Raises: Invalid."""
    if not re.fullmatch(NAME, name):
        raise Invalid(
            f"{name!r} cannot be a name",
            hint="use letters, digits, '_', '.' and '-', beginning with a letter or digit",
        )
    return name


def friendly_name(attempt: int = 0) -> str:
    """A random name; from the third `attempt` on with a number, so that one is found."""
    draw = int.from_bytes(os.urandom(8), "big")
    draw, look = divmod(draw, len(_LOOKS))
    draw, rock = divmod(draw, len(_ROCKS))
    suffix = f"_{draw % 1000}" if attempt > 2 else ""
    return f"{_LOOKS[look]}_{_ROCKS[rock]}{suffix}"
