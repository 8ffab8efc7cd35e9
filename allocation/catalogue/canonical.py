"""Token classes: what a bill line may be about, and which columns of usage it pays for. Pure."""

from __future__ import annotations

from functools import lru_cache

# What a bill line may be about; each names columns of UsageMeasures (see TOKEN_COLUMNS).
INPUT, CACHE_READ, CACHE_WRITE = "input", "cache_read", "cache_write"


CACHE_WRITE_5M, CACHE_WRITE_1H, OUTPUT, REASONING = (
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
)


INPUT_AUDIO, OUTPUT_AUDIO, INPUT_IMAGE, OUTPUT_IMAGE = (
    "input_audio",
    "output_audio",
    "input_image",
    "output_image",
)


TOKEN_COLUMNS = (
    "input_uncached",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output_text",
    "reasoning",
    "input_audio",
    "input_image",
    "output_audio",
    "output_image",
)


# The columns a class is made of by itself; the driver adds columns that the bill has no line for
# (allocation.usage.index).
CLASS_COLUMNS: dict[str, tuple[str, ...]] = {
    INPUT: ("input_uncached",),
    CACHE_READ: ("cache_read",),
    CACHE_WRITE: ("cache_write_5m", "cache_write_1h"),
    CACHE_WRITE_5M: ("cache_write_5m",),
    CACHE_WRITE_1H: ("cache_write_1h",),
    OUTPUT: ("output_text",),
    REASONING: ("reasoning",),
    INPUT_AUDIO: ("input_audio",),
    OUTPUT_AUDIO: ("output_audio",),
    INPUT_IMAGE: ("input_image",),
    OUTPUT_IMAGE: ("output_image",),
}

# Columns that fall to a class unless the bill has a line of its own for them.
FALLS_TO: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    INPUT: (
        ("cache_read", (CACHE_READ,)),
        ("cache_write_5m", (CACHE_WRITE, CACHE_WRITE_5M)),
        ("cache_write_1h", (CACHE_WRITE, CACHE_WRITE_1H)),
        ("input_audio", (INPUT_AUDIO,)),
        ("input_image", (INPUT_IMAGE,)),
    ),
    OUTPUT: (
        ("reasoning", (REASONING,)),
        ("output_audio", (OUTPUT_AUDIO,)),
        ("output_image", (OUTPUT_IMAGE,)),
    ),
}


ALL_COLUMNS = tuple(range(len(TOKEN_COLUMNS)))


@lru_cache(maxsize=4096)
def columns_of(token_class: str | None, billed_classes: frozenset[str]) -> tuple[int, ...]:
    """Indexes into TOKEN_COLUMNS that a line of this class pays for, given the classes that the
    model's bill has; all of them for a line of no class.
    """
    if not token_class:
        return ALL_COLUMNS
    names = list(CLASS_COLUMNS[token_class])
    if token_class == CACHE_WRITE:
        own = {CACHE_WRITE_5M: "cache_write_5m", CACHE_WRITE_1H: "cache_write_1h"}
        names = [
            name for name in names if not any(own[c] == name for c in own if c in billed_classes)
        ]
    for name, lines in FALLS_TO.get(token_class, ()):
        if not billed_classes.intersection(lines):
            names.append(name)
    return tuple(sorted(TOKEN_COLUMNS.index(name) for name in names))


# The two sides of a call that sampling's variance is kept for: input and output.
OUTPUT_SIDE = tuple(
    n for n, name in enumerate(TOKEN_COLUMNS) if "output" in name or name == "reasoning"
)


SIDES = (tuple(n for n in ALL_COLUMNS if n not in OUTPUT_SIDE), OUTPUT_SIDE)
