"""The words of bills and traces: reviewed data, and the models that price lists name. Pure.

Names are compared by their fold: letters and digits alone, with a point between two numbers, so
that `gpt-5.1`, `GPT 5-1` and `Gpt5.1` meet, and `gpt-51` does not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import yaml

TEXT: Final = files("allocation.catalogue").joinpath("vocabulary.yaml").read_text(encoding="utf-8")
DATA: Final[dict[str, Any]] = yaml.safe_load(TEXT)


def spellings(names: Mapping[str, list[str]]) -> dict[str, str]:
    """What each spelling means: the name itself and its others."""
    return {text: name for name, others in names.items() for text in (name, *others)}


PROVIDER_NAMES: Final = spellings(DATA["providers"])
CLOUD_NAMES: Final = spellings(DATA["clouds"])
PACKAGE_PROVIDERS: Final[dict[str, str]] = DATA["price_lists"]
SELLERS: Final = frozenset(PROVIDER_NAMES.values()) | frozenset(DATA["sellers"])  # of model calls
UNNAMED_DOORS: Final[dict[str, list[str]]] = DATA["unnamed_doors"]
ALIASES: Final[dict[str, str]] = DATA["aliases"]
PREFIXES: Final = [re.compile(f"^{pattern}") for pattern in DATA["prefixes"]]
SUFFIXES: Final = [re.compile(f"{pattern}$") for pattern in DATA["suffixes"]]
WORDS: Final = frozenset(word for line in DATA["words"] for word in line.split())
MAKERS: Final = frozenset(DATA["makers"])

# A capital begins a word of its own: NovaPro, InputTokenCount.
ATOM: Final = re.compile(r"\d+|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]+")


class Atom(NamedTuple):
    """A word or a number of a text."""

    start: int
    end: int
    text: str


def atoms(text: str) -> list[Atom]:
    return [
        Atom(found.start(), found.end(), found.group().lower()) for found in ATOM.finditer(text)
    ]


def folded(parts: Iterable[str]) -> str:
    """Words and numbers as names are compared."""
    found: list[str] = []
    for part in parts:
        if found and found[-1].isdigit() and part.isdigit():
            found.append(".")
        found.append(part)
    return "".join(found)


@cache
def fold(name: str) -> str:
    return folded(atom.text for atom in atoms(name))


def undecorated(name: str) -> str:
    """A model's name without path, region, vendor, date and version, lower case."""
    text = re.sub(r"[\s_]+", "-", name.strip().lower())
    while True:
        before = text = ALIASES.get(text, text)
        for pattern in PREFIXES:
            text = pattern.sub("", text)
        text = ALIASES.get(text, text)
        for pattern in SUFFIXES:
            # Once: what two patterns could take off is read again, aliases first.
            shorter = pattern.sub("", text)
            if shorter and shorter != text:
                text = shorter
                break
        if text == before:
            return text


CLAUDE: Final = re.compile(
    r"^claude[- ]?(?:(?P<size_first>[a-z]{3,})[- ]?(?P<version_last>\d+(?:[.-]\d{1,2})?)"
    r"|(?P<version_first>\d+(?:[.-]\d{1,2})?)[- ]?(?P<size_last>[a-z]{3,}))"
    r"(?P<rest>(?:-.*)?)$"
)
LLAMA: Final = re.compile(
    r"^(?:meta-?)?llama-?(?P<version>\d+(?:[.-]\d(?=[.-]))?)-?(?P<size>\d+b|scout.*|maverick.*)"
    r"(?P<rest>.*)$"
)


def spelled(name: str) -> str:
    """A name as its maker spells it, by rule alone."""
    if name.strip().lower().startswith("ft:"):  # ft:gpt-4o-mini-2024-07-18:org::id
        return "ft:" + spelled(name.strip()[3:].split(":")[0].rstrip("-"))
    text, _, job = name.partition(".ft-")
    if job or text != name:
        return "ft:" + spelled(text)
    text = undecorated(name)
    if text.startswith("gemini") and "embedding" not in text:
        text = re.sub(r"-00\d$", "", text)
    text = re.sub(r"^gpt(?=\d)", "gpt-", text)
    text = re.sub(r"^(gemini|gpt)-?(\d)-(\d)(?=-|$)", r"\1-\2.\3", text)
    return ALIASES.get(text) or _claude(text) or _llama(text) or text


def _claude(text: str) -> str | None:
    """claude-sonnet-4-5 from 4 on, claude-3-5-sonnet before, from either order of size and
    version.
    """
    found = CLAUDE.match(text)
    if not found:
        return None
    size = found["size_first"] or found["size_last"]
    version = (found["version_last"] or found["version_first"]).replace(".", "-")
    version = version.removesuffix("-0") if version != "0" else version
    rest = re.sub(r"-(?:v\d+|20\d{6})$", "", found["rest"])
    return (
        f"claude-{size}-{version}{rest}"
        if int(version.split("-")[0]) >= 4
        else f"claude-{version}-{size}{rest}"
    )


def _llama(text: str) -> str | None:
    found = LLAMA.match(text)
    if not found:
        return None
    version = found["version"].replace("-", ".")
    return f"llama-{version}-{found['size']}{found['rest'].removesuffix('-instruct')}"


# ---------------------------------------------------------------- the models that are known

# Whose spelling counts, where several lists have a model.
FIRST_LISTS: Final = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "cohere",
    "deepseek",
    "x-ai",
    "aws",
)


class KnownModels(NamedTuple):
    """Models by their fold. `words` are single words ("command", "sonar"), which are names only
    where the seller lists them: by price list.
    """

    names: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]]


@cache
def known_models() -> KnownModels:
    """Every model of the vocabulary. Ids of the price list are identities of their own."""
    names: dict[str, str] = {}
    words: dict[str, dict[str, str]] = {}
    for model in DATA["models"]:
        names.setdefault(fold(model), model)
    for provider, model in _listed():
        text = spelled(model)
        if len(atoms(text)) == 1:
            words.setdefault(provider, {}).setdefault(fold(text), text)
            continue
        own = names.setdefault(fold(text), text)
        names.setdefault(fold(re.sub(r"^.*/|(?<!^ft):.*$", "", model)), own)
    for alias, model in ALIASES.items():
        if len(alias) > 3:
            names.setdefault(fold(alias), names.get(fold(model), model))
    for text in list(names.values()):
        for other in _also(text):
            names.setdefault(fold(other), text)
    return KnownModels(names, words)


def _listed() -> list[tuple[str, str]]:
    """(price list, id) of every model, lists of makers first."""
    # Not at the top: it takes longer to load than all else here.
    from genai_prices import data

    def rank(provider: str) -> int:
        return FIRST_LISTS.index(provider) if provider in FIRST_LISTS else len(FIRST_LISTS)

    providers = sorted(data.providers, key=lambda each: rank(each.id))
    return [(each.id, model.id) for each in providers for model in each.models]


def _also(name: str) -> Iterator[str]:
    """Other spellings of a known name on bills: the order of words, no "instruct", no version."""
    if found := CLAUDE.match(name):
        size = found["size_first"] or found["size_last"]
        version = found["version_last"] or found["version_first"]
        yield f"claude-{version}-{size}{found['rest']}"
        yield f"claude-{size}-{version}{found['rest']}"
        if "-" not in version:
            yield f"claude-{version}-0-{size}{found['rest']}"
    if shorter := re.sub(r"-(?:instruct|it|v\d)$", "", name):
        yield shorter


@cache
def vocabulary_sha256() -> str:
    """Of the words and of the models: what makes the reading of a bill reproducible."""
    models = "\n".join(f"{provider} {model}" for provider, model in _listed())
    return hashlib.sha256(f"{TEXT}\n{models}".encode()).hexdigest()


# ---------------------------------------------------------------- one name for each


def canonical_provider(name: str) -> str:
    """The provider's well-known OpenTelemetry name (openai, aws.bedrock, gcp.vertex_ai ...); else
    the name, lower case.

    A whole cloud named on a bill becomes aws, azure or gcp only where the name cannot mean its
    model service.
    """
    text = " ".join(name.strip().lower().split())
    return PROVIDER_NAMES.get(text) or CLOUD_NAMES.get(text) or text


@lru_cache(maxsize=65536)
def canonical_model(name: str) -> str:
    """The model without date, region, vendor prefix or deployment decoration; equal for bills and
    traces.

    >>> canonical_model("us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    'claude-sonnet-4-5'
    """
    text = spelled(name)
    return known_models().names.get(fold(text), text)


def canonical_names(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """Which model stands for a canonical name: the one that bears it, else the only one."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for provider, model in keys:
        found.setdefault((provider, canonical_model(model)), []).append((provider, model))
    return {
        canonical: canonical if canonical in named else named[0]
        for canonical, named in found.items()
        if canonical in named or len(named) == 1
    }


def sold_by(provider: str) -> list[str]:
    """Our names of who sells by the same list of the package, this one first."""
    of_list = PACKAGE_PROVIDERS.get(provider, provider)
    others = [name for name, of in PACKAGE_PROVIDERS.items() if of == of_list]
    return list(dict.fromkeys([provider, *others, of_list]))
