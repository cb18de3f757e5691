"""The sentences that the generator learns from: an invented ship's log, written for this example."""

from __future__ import annotations

import itertools
import random

ALPHABET = "\n .,'abcdefghijklmnopqrstuvwxyz"
"""Token to character. Token 0, the newline, starts a line and ends it. ``stream.c`` has the same table."""

WHEN = ["at dawn", "at noon", "after dark", "on the third day", "before the tide turned", "in a thick fog"]
LOADED = ["we took on", "we landed", "we traded", "we counted"]
MANY = ["forty", "ninety", "a dozen", "two hundred"]
CARGO = [
    "sacks of coffee",
    "barrels of salt",
    "crates of lemons",
    "bales of wool",
    "chests of tea",
    "casks of tar",
]
PLACE = ["for lisbon", "at the old quay", "off the cape", "for the islands", "under the lighthouse"]
WIND = ["the wind fell", "the wind went round to the north", "a gale came up", "the sea lay flat", "it rained"]
CREW = ["the mate", "the cook", "the pilot", "our carpenter", "the captain's cat"]
DID = [
    "slept on deck",
    "mended the mainsail",
    "signed the bill of lading",
    "sang all night",
    "lost a boot",
    "found a leak",
]


def sentences(count: int, seed: int) -> list[str]:
    """Lines of the log, without newline, drawn by the seed."""
    rng = random.Random(seed)  # noqa: S311 - text, not secrets
    cargo = [
        f"{when} {loaded} {many} {goods} {place}."
        for when, loaded, many, goods, place in itertools.product(WHEN, LOADED, MANY, CARGO, PLACE)
    ]
    weather = [
        f"{when} {wind}, and {crew} {did}." for when, wind, crew, did in itertools.product(WHEN, WIND, CREW, DID)
    ]
    return [rng.choice(rng.choice((cargo, weather))) for _ in range(count)]
