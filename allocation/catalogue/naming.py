"""What one text of a bill names: the model, the token class, the tier. Pure.

A model is named where its name stands by itself: beside it are only words of classes, units, tiers,
places and trade, or a date. With any other word joined to it, it is another model, which nobody
knows: `gpt-6-sol` is not `gpt-6`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

from allocation.catalogue.canonical import (
    CACHE_READ,
    CACHE_WRITE,
    INPUT,
    INPUT_AUDIO,
    INPUT_IMAGE,
    OUTPUT,
    OUTPUT_AUDIO,
    OUTPUT_IMAGE,
)
from allocation.catalogue.vocabulary import (
    DATA,
    MAKERS,
    PACKAGE_PROVIDERS,
    SELLERS,
    UNNAMED_DOORS,
    WORDS,
    Atom,
    atoms,
    canonical_model,
    fold,
    folded,
    known_models,
)

AZURE: Final = "azure.ai.openai"  # it leaves "gpt" out: "5 mini Inp Gl"
CLASSES: Final = tuple(
    (re.compile(each["pattern"]), each["class"]) for each in DATA["token_classes"]
)
TIERS: Final = tuple((re.compile(each["pattern"]), each["tier"]) for each in DATA["tiers"])
# What parts a text: a name does not go beyond it.
PARTING: Final = re.compile(r"[,;|()\[\]/]|(?<!\bft):|\s[-\u2013]\s")
# USE1-, EUC1_
REGION_CODE: Final = re.compile(r"^\s*(?:US|UG|EU|AP|CA|SA|ME|AF|IL|MX)[A-Z]{1,2}\d(?:[-_]|$)")
PIECE: Final = re.compile(r"[^\s_-]+")
ROUND: Final = re.compile(r"10*[kmb]?")  # 1M tokens
BEHIND: Final = re.compile(f"(?:{DATA['dates']}|-latest)", re.IGNORECASE)
VERSION: Final = re.compile(r"[- ]v\d\b", re.IGNORECASE)
INSTRUCT: Final = re.compile(r"[-_ ]instruct\b", re.IGNORECASE)
FINE_TUNED: Final = re.compile(f"\\.ft-|{DATA['fine_tuned']}", re.IGNORECASE)
MODALITIES: Final = {
    ("audio", INPUT): INPUT_AUDIO,
    ("audio", OUTPUT): OUTPUT_AUDIO,
    ("image", INPUT): INPUT_IMAGE,
    ("image", OUTPUT): OUTPUT_IMAGE,
}


class Said(NamedTuple):
    """What texts say so far; None where they don't. An unknown model is worded as the bill has
    it.
    """

    model: str | None = None
    is_known: bool = False
    token_class: str | None = None
    tier: str | None = None

    def completed(self, other: Said) -> Said:
        """With what the other one says beyond it."""
        takes_name = not self.is_known and (other.is_known or self.model is None)
        return Said(
            other.model if takes_name else self.model,
            self.is_known or other.is_known,
            self.token_class or other.token_class,
            self.tier or other.tier,
        )

    def overruled(self, model: str | None, token_class: str | None, tier: str | None) -> Said:
        """As the organisation's own catalogue has it where it says something."""
        return Said(
            model or self.model,
            self.is_known or model is not None,
            token_class or self.token_class,
            (tier if tier != "standard" else None) if tier else self.tier,
        )


class CalledNames:
    """The models that the calls of a month name, by provider; those of calls that name no seller
    are known to all. Equal only to itself, so that it can
    be a key of what is remembered.
    """

    def __init__(self, called: Iterable[tuple[str | None, str]] = ()) -> None:
        self.called = frozenset(called)
        self._by_provider: dict[str | None, dict[str, str]] = {}
        for provider, model in sorted(self.called, key=lambda each: (each[0] or "", each[1])):
            is_named = provider in SELLERS and provider not in UNNAMED_DOORS
            own = self._by_provider.setdefault(provider if is_named else None, {})
            own.setdefault(fold(model), model)

    @cached_property
    def sha256(self) -> str:
        names = sorted(f"{provider or ''} {model}" for provider, model in self.called)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def find(self, provider: str | None, text: str) -> str | None:
        """The called model that this text, or its canonical form, names."""
        known = self._by_provider.get(provider, {}) | self._by_provider.get(None, {})
        if not known:
            return None
        bare = (f"gpt-{text}",) if provider == AZURE else ()
        for name in (text, canonical_model(text), *bare):
            if found := known.get(fold(name)):
                return found
        return None


NOTHING_CALLED: Final = CalledNames()


@lru_cache(maxsize=65536)
def read_wording(text: str, provider: str | None, called: CalledNames = NOTHING_CALLED) -> Said:
    """What a meter, SKU or description names."""
    found = _named(text, provider, called)
    rest = text if found is None else f"{text[: found.start]} {text[found.end :]}"
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", rest).replace("_", " ").lower()
    tier = next((tier for pattern, tier in TIERS if pattern.search(words)), None)
    token_class = next((name for pattern, name in CLASSES if pattern.search(words)), None)
    if token_class is None and found and found.is_known and "embed" in found.model:
        token_class = INPUT
    if found is None:
        return Said(token_class=token_class, tier=tier)
    return Said(found.model, found.is_known, token_class, tier)


class Name(NamedTuple):
    """A model's name in a text, and where it stands."""

    model: str
    is_known: bool
    start: int
    end: int


def _named(text: str, provider: str | None, called: CalledNames) -> Name | None:
    """A model of the vocabulary, else one that calls name, else what nobody knows."""
    parts = list(_parts(text))
    known = [name for part in parts if (name := _known(text, part, provider))]
    sure = [name for name in known if name.is_known]
    if sure:
        return max(sure, key=lambda name: name.end - name.start)
    for part in parts:
        if name := _called(text, part, provider, called):
            return name
    if known:
        return known[0]
    return next((name for part in parts if (name := _unknown(text, *part))), None)


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Where the parts of a text lie, without a region's code."""
    start = 0
    for found in (*PARTING.finditer(text), None):
        end = found.start() if found else len(text)
        code = REGION_CODE.match(text[start:end])
        if text[start:end].strip():
            yield start + (code.end() if code else 0), end
        start = found.end() if found else end


def _known(text: str, part: tuple[int, int], provider: str | None) -> Name | None:
    """The longest name of the vocabulary in a part; unknown where other words are joined to it."""
    found = atoms(text[part[0] : part[1]])
    for length in range(len(found), 0, -1):
        for first in range(len(found) - length + 1):
            some = found[first : first + length]
            if model := _model_of(some, provider, is_first=first == 0):
                start, end = part[0] + some[0].start, part[0] + some[-1].end
                return _alone(text, part, Name(model, True, start, end))
    return None


def _model_of(some: list[Atom], provider: str | None, *, is_first: bool) -> str | None:
    name = folded(atom.text for atom in some)
    known = known_models()
    if model := known.names.get(name):
        return model
    if len(some) == 1 and not name.isdigit():
        own = known.words.get(PACKAGE_PROVIDERS.get(provider or "", provider or ""), {})
        return own.get(name)
    if some[0].text == "ft" and (base := known.names.get(name.removeprefix("ft"))):
        return f"ft:{base}"
    return known.names.get(f"gpt{name}") if provider == AZURE and is_first else None


def _alone(text: str, part: tuple[int, int], name: Name) -> Name:
    """The name as it is where it stands by itself, else what the part names, which nobody knows."""
    end, model = name.end, name.model
    while tail := _decoration(text[end : part[1]], model):
        end += tail.end()
        if FINE_TUNED.fullmatch(tail.group()) and not model.startswith("ft:"):
            model = f"ft:{model}"
    after = PIECE.search(text[end : part[1]].lstrip("."))
    rest = text[end : part[1]].lstrip(".").split()
    before = text[part[0] : name.start]
    if (after is None or is_word(after.group(), _next_piece(rest))) and _is_apart(before):
        return Name(model, True, name.start, end)
    return _unknown(text, *part) or name


def _decoration(tail: str, model: str) -> re.Match[str] | None:
    """A date, a version or a word that the name has behind it and that is none of it."""
    patterns = [BEHIND, FINE_TUNED, INSTRUCT, *([VERSION] if model.startswith("claude") else [])]
    return next((found for each in patterns if (found := each.match(tail))), None)


def _next_piece(rest: list[str]) -> str:
    pieces = PIECE.findall(" ".join(rest))
    return pieces[1] if len(pieces) > 1 else ""


def _is_apart(before: str) -> bool:
    """Whether what stands before a name is no part of it."""
    if not before or before[-1].isspace():
        return True
    pieces = re.findall(r"[^\s_.@-]+", before)
    return not pieces or all(atom.text in WORDS | MAKERS for atom in atoms(pieces[-1])[-1:])


def is_word(piece: str, following: str = "") -> bool:
    """Whether a piece of wording is a word that no model's name is made of."""
    low = piece.lower().strip(".")
    if low in WORDS:
        return True
    if ROUND.fullmatch(low):
        return following.lower() in WORDS
    found = atoms(piece)
    return bool(found) and all(atom.text in WORDS for atom in found)


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
    """(start, end, is a word) of what stands between spaces and hyphens."""
    spans = [(start + m.start(), start + m.end()) for m in PIECE.finditer(text[start:end])]
    following = [text[a:b] for a, b in spans[1:]] + [""]
    return [
        (a, b, is_word(text[a:b], after)) for (a, b), after in zip(spans, following, strict=True)
    ]


def _called(
    text: str, part: tuple[int, int], provider: str | None, called: CalledNames
) -> Name | None:
    """A part that is the name of calls, beside words alone; the longest such name."""
    pieces = _pieces(text, *part)
    first = next((n for n, piece in enumerate(pieces) if not piece[2]), len(pieces))
    last = next((n for n in reversed(range(len(pieces))) if not pieces[n][2]), -1)
    for start in range(min(first, len(pieces) - 1) + 1):
        for end in range(len(pieces) - 1, max(last, start) - 1, -1):
            span = pieces[start][0], pieces[end][1]
            if model := called.find(provider, text[slice(*span)]):
                return Name(model, True, *span)
    return None


def _unknown(text: str, start: int, end: int) -> Name | None:
    """What a part names without the words around it; None where it has nothing but words."""
    pieces = _pieces(text, start, end)
    while pieces and (pieces[0][2] or _is_maker_alone(text, pieces)):
        pieces.pop(0)
    while pieces and pieces[-1][2]:
        pieces.pop()
    if not pieces:
        return None
    name = text[pieces[0][0] : pieces[-1][1]]
    letters = [atom.text for atom in atoms(name) if not atom.text.isdigit()]
    if all(word in WORDS | MAKERS for word in letters):
        return None
    return Name(name.lower(), False, pieces[0][0], pieces[-1][1])


def _is_maker_alone(text: str, pieces: list[tuple[int, int, bool]]) -> bool:
    return all(text[a:b].lower() in MAKERS or is_it for a, b, is_it in pieces)


# ---------------------------------------------------------------- properties that say it outright


@lru_cache(maxsize=4096)
def read_details(text: str) -> Said:
    """What SkuPriceDetails says, as the JSON object that FOCUS asks for."""
    try:
        told = json.loads(text) if text.startswith("{") else {}
    except ValueError:
        told = {}
    values = {_plain(name): str(value).strip().lower() for name, value in told.items() if value}
    spec: dict[str, Any] = DATA["details"]
    model = next((values[name] for name in spec["model"] if name in values), None)
    direction = _value(values, spec["direction"])
    cache = _value(values, spec["cache"])
    modality = _value(values, spec["modality"])
    token_class = MODALITIES.get((modality or "", direction or ""), direction)
    if direction != OUTPUT and cache in ("read", "write"):
        token_class = CACHE_READ if cache == "read" else CACHE_WRITE
    tier = _value(values, spec["tier"]) or ("batch" if '"batch"' in text.lower() else None)
    known = canonical_model(model) if model else None
    return Said(known, known is not None, token_class, tier)


def _value(values: Mapping[str, str], spec: Mapping[str, list[str]]) -> str | None:
    """Which of the meanings of a property is told; the first property that has any."""
    for name in spec["properties"]:
        words = set(re.findall(r"[a-z]+", values.get(name, "")))
        for meaning, texts in spec.items():
            if meaning != "properties" and words.intersection(texts):
                return meaning
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
