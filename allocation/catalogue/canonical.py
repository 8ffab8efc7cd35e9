"""One name for each provider and model, whichever side it comes from: bill or trace. Pure."""

from __future__ import annotations

import re
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


@lru_cache(maxsize=4096)
def columns_of(token_class: str, billed_classes: frozenset[str]) -> tuple[int, ...]:
    """Indexes into TOKEN_COLUMNS that a line of this class pays for, given the classes that the
    model's bill has.
    """
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


ALL_COLUMNS = tuple(range(len(TOKEN_COLUMNS)))


# The two sides of a call that sampling's variance is kept for: input and output.
OUTPUT_SIDE = tuple(
    n for n, name in enumerate(TOKEN_COLUMNS) if "output" in name or name == "reasoning"
)


SIDES = (tuple(n for n in ALL_COLUMNS if n not in OUTPUT_SIDE), OUTPUT_SIDE)


# Old, short and vendor names of providers; keys are lower case.
PROVIDER_NAMES = {
    "openai": "openai",
    "open ai": "openai",
    "openai, l.l.c.": "openai",
    "openai, llc": "openai",
    "openai opco, llc": "openai",
    "anthropic": "anthropic",
    "anthropic, pbc": "anthropic",
    "bedrock": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "aws bedrock": "aws.bedrock",
    "amazon bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "aws.bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure openai": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "az.ai.openai": "azure.ai.openai",
    "azure.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "azure.ai.inference": "azure.ai.inference",
    "vertex": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex ai": "gcp.vertex_ai",
    "google_vertexai": "gcp.vertex_ai",
    "google-vertex": "gcp.vertex_ai",
    "gcp.vertex_ai": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "gemini api": "gcp.gemini",
    "google_genai": "gcp.gen_ai",
    "google": "gcp.gen_ai",
    "gcp.gen_ai": "gcp.gen_ai",
    "xai": "x_ai",
    "x.ai": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "mistral ai": "mistral_ai",
    "together": "together_ai",
    "watsonx": "ibm.watsonx.ai",
    "moonshot": "moonshot_ai",
}

# Whole clouds on bills; `bill_line` narrows them to the service that answers model calls.
CLOUD_NAMES = {
    "aws": "aws",
    "amazon": "aws",
    "amazon web services": "aws",
    "amazon web services, inc.": "aws",
    "aws marketplace": "aws",
    "microsoft": "azure",
    "microsoft azure": "azure",
    "microsoft corporation": "azure",
    "azure marketplace": "azure",
    "google cloud": "gcp",
    "google cloud platform": "gcp",
    "google llc": "gcp",
    "gcp": "gcp",
    "google cloud marketplace": "gcp",
    "oracle": "oracle",
}

# Models whose names on bills or in older traces cannot be derived from the usual name by rule.
MODEL_ALIASES = {
    "gpt-35-turbo": "gpt-3.5-turbo",
    "gpt-4-1106-preview": "gpt-4-turbo",
    "gpt-4-0125-preview": "gpt-4-turbo",
    "gpt-4-turbo-preview": "gpt-4-turbo",
    "chatgpt-4o-latest": "chatgpt-4o",
    "text-embedding-ada-002-v2": "text-embedding-ada-002",
    "novapro": "nova-pro",
    "novalite": "nova-lite",
    "novamicro": "nova-micro",
    "novapremier": "nova-premier",
    "titanembeddingsv2-text": "titan-embed-text-v2",
    "titanembeddingv2-text": "titan-embed-text-v2",
    "titan-embed-text-v2": "titan-embed-text-v2",
    "titanembeddings": "titan-embed-text-v1",
    "deepseek-r1": "deepseek-r1",
    "r1": "deepseek-r1",
}

_CLAUDE_SIZES = "opus|sonnet|haiku|instant"
_CLAUDE = re.compile(
    rf"^claude[- ]?(?:(?P<size_first>{_CLAUDE_SIZES})[- ]?(?P<version_last>\d+(?:[.-]\d{{1,2}})?)"
    rf"|(?P<version_first>\d+(?:[.-]\d{{1,2}})?)[- ]?(?P<size_last>{_CLAUDE_SIZES}))"
    r"(?P<rest>(?:-.*)?)$"
)
_LLAMA = re.compile(
    r"^(?:meta-?)?llama-?(?P<version>\d+(?:[.-]\d(?=[.-]))?)-?(?P<size>\d+b|scout.*|maverick.*)"
    r"(?P<rest>.*)$"
)
_REGION_PREFIX = re.compile(r"^(?:us|eu|apac|au|ca|jp|sa|global|us-gov)\.(?=[a-z0-9]+\.)")
_VENDOR_PREFIX = re.compile(
    r"^(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|stability|qwen|openai|google|writer)\.(?=[a-z])"
)
_BEDROCK_SUFFIX = re.compile(r"-v\d+(?::\d+)?(?::[\w-]+)?$")
_DATE_SUFFIXES = (
    re.compile(r"[-@]20\d{2}-?[01]\d-?[0-3]\d$"),  # -2024-08-06, -20250929, @20250929
    re.compile(r"-preview-(?:[01]\d-20\d{2}|[01]\d-[0-3]\d)$"),  # -preview-09-2025, -preview-04-17
    re.compile(r"(?<=[a-z])-(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])$"),  # gpt-4o-mini-0718
    re.compile(r"(?<=\d[a-z])-(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])$"),  # gpt-4o-0806
    re.compile(r"(?<=^gpt-4)-(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])$"),  # gpt-4-0613
    re.compile(r"(?<=large|small|edium)-2[45]\d{2}$"),  # mistral-large-2407
    re.compile(r"-latest$"),
)


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
    text = name.strip().lower()
    # ft:gpt-4o-mini-2024-07-18:org::id: priced apart from its base model.
    if text.startswith("ft:"):
        return "ft:" + canonical_model(text.split(":")[1])
    # models/..., publishers/google/models/..., arn:...:inference-profile/..., openai/...
    text = text.rsplit("/", 1)[-1]
    text = re.sub(r":(?:free|nitro|beta|thinking|extended|batch)$", "", text)
    text = re.sub(r"[\s_]+", "-", text)
    text = _REGION_PREFIX.sub("", text)
    vendor = _VENDOR_PREFIX.match(text)
    if vendor:
        text = text[vendor.end() :]
        if not text.startswith("titan-embed"):  # there the version is the model
            text = _BEDROCK_SUFFIX.sub("", text)
        text = re.sub(r":\d+$", "", text)
    elif text.startswith("claude"):
        text = _BEDROCK_SUFFIX.sub("", text)
    text = MODEL_ALIASES.get(text, text)
    for pattern in _DATE_SUFFIXES:
        text = pattern.sub("", text)
    if text.startswith("gemini") and "embedding" not in text:
        text = re.sub(r"-00\d$", "", text)
    text = re.sub(r"^gpt(?=\d)", "gpt-", text)
    text = re.sub(r"^gemini-?(\d)-(\d)(?=-)", r"gemini-\1.\2", text)
    text = re.sub(r"^gpt-(\d)-(\d)(?=-|$)", r"gpt-\1.\2", text)
    return MODEL_ALIASES.get(text) or _claude(text) or _llama(text) or text


def _claude(text: str) -> str | None:
    """claude-sonnet-4-5 from 4 on, claude-3-5-sonnet before, from either order of size and
    version.
    """
    found = _CLAUDE.match(text)
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
    found = _LLAMA.match(text)
    if not found:
        return None
    version = found["version"].replace("-", ".")
    return f"llama-{version}-{found['size']}{found['rest'].removesuffix('-instruct')}"
