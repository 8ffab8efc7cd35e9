"""The demo company: Larkspur, which sells customer-service and commerce software, and what it
builds with AI.

Amounts are chosen so that the whole is believable for a company of a few hundred people: some
20,000 to 30,000 a month for model usage, about twice that for GPU instances, and an ordinary cloud
bill beside them. Services with tens of thousands of calls a day sample their traces at the head
(`keep_one_in`, told in tracestate), as such services do; the others send every span. So the call
population behind the bills is simulated whole, while a laptop has to store only some hundred
thousand spans.
"""

from __future__ import annotations

from dataclasses import dataclass

# ---------------------------------------------------------------- organisation

LEGAL_ENTITIES = {"larkspur-inc": "Larkspur Inc.", "larkspur-europe": "Larkspur Europe GmbH"}

# slug: (name, legal entity)
BUSINESS_UNITS = {
    "service-cloud": ("Service Cloud", "larkspur-inc"),
    "commerce-cloud": ("Commerce Cloud", "larkspur-inc"),
    "engineering": ("Engineering", "larkspur-inc"),
    "go-to-market": ("Go to market", "larkspur-inc"),
    "europe": ("Europe", "larkspur-europe"),
}

# code: (name, legal entity, mode)
COST_CENTERS = {
    "US-4100": ("Service Cloud products", "larkspur-inc", "chargeback"),
    "US-4200": ("Commerce products", "larkspur-inc", "chargeback"),
    "US-4300": ("Vision research", "larkspur-inc", "chargeback"),
    "US-5100": ("Engineering platform", "larkspur-inc", "showback"),
    "US-6100": ("Marketing and sales", "larkspur-inc", "chargeback"),
    "DE-7100": ("Documents and language", "larkspur-europe", "chargeback"),
    "DE-7200": ("Risk and compliance", "larkspur-europe", "showback"),
}


@dataclass(frozen=True)
class DemoTeam:
    slug: str
    name: str
    business_unit: str
    cost_center: str


TEAMS = (
    DemoTeam("support", "Support", "service-cloud", "US-4100"),
    DemoTeam("conversations", "Conversations", "service-cloud", "US-4100"),
    DemoTeam("search", "Search", "commerce-cloud", "US-4200"),
    DemoTeam("recommendations", "Recommendations", "commerce-cloud", "US-4200"),
    DemoTeam("merchant-tools", "Merchant tools", "commerce-cloud", "US-4200"),
    DemoTeam("vision", "Vision", "commerce-cloud", "US-4300"),
    DemoTeam("developer-tools", "Developer tools", "engineering", "US-5100"),
    DemoTeam("ml-platform", "ML platform", "engineering", "US-5100"),
    DemoTeam("growth", "Growth", "go-to-market", "US-6100"),
    DemoTeam("documents", "Documents", "europe", "DE-7100"),
    DemoTeam("localization", "Localization", "europe", "DE-7100"),
    DemoTeam("compliance", "Compliance", "europe", "DE-7200"),
)

PRODUCTS = {
    "desk": "Larkspur Desk",
    "storefront": "Larkspur Storefront",
    "merchant": "Larkspur Merchant",
    "docs": "Larkspur Docs",
    "internal": "Internal tools",
}

CUSTOMERS = (
    "abbey-road-bikes", "acre-and-vine", "alpenglow", "baltic-timber", "birchbox-home",
        "blue-heron", "bruecke-moebel",
    "cedar-and-co", "coral-swim", "dune-outdoor", "eastgate", "elbe-optik", "fern-and-moss",
        "field-notes-cafe",
    "garnet-jewels", "greenline", "harbor-freight-co", "hazel-books", "iris-beauty", "juniper-kids",
        "kestrel-audio",
    "lindenhof", "maple-and-main", "nordlicht", "oakwell", "otter-surf", "pine-street",
        "quarry-stone", "redwood-gear",
    "rhein-kaffee", "saltmarsh", "silverbirch", "sonnenhut", "tidepool", "umber-paint",
        "vesper-wine", "willow-pets",
    "yarrow-health", "zephyr-sails", "zugspitze-sport",
)  # fmt: skip

# ---------------------------------------------------------------- providers, projects, models


@dataclass(frozen=True)
class Project:
    """Where a provider bills: an OpenAI project, an AWS account, a Google Cloud project."""

    key: str
    source: str
    identifier: str
    name: str


PROJECTS = {
    project.key: project
    for project in (
        Project("support-prod", "openai", "proj_Sx41kTq0aUPp7Rb2", "support-prod"),
        Project("search-prod", "openai", "proj_Qe82mNw5cHVd9Jt4", "search-prod"),
        Project("merchant-prod", "openai", "proj_Mr17pLz3fGKs6Yn8", "merchant-prod"),
        Project("growth-prod", "openai", "proj_Gw55rBd9hXCv1Ke3", "growth-prod"),
        Project("devtools", "openai", "proj_Dt30vFj8nSMq4Wa6", "devtools"),
        Project("gateway", "openai", "proj_Lg66mQy4kRWs0Zf3", "llm-gateway"),
        Project("playground", "openai", "proj_Pg09xCh2yTBn5Lu7", "staff-playground"),
        Project("ai-prod", "aws", "410022118834", "ai-prod"),
        Project("ai-conversations", "aws", "410022118911", "ai-conversations"),
        Project("ai-dev", "aws", "410022119002", "ai-dev"),
        Project("ml-training", "aws", "410022120450", "ml-training"),
        Project("ml-serving", "aws", "410022120777", "ml-serving"),
        Project("shared-services", "aws", "410022100001", "shared-services"),
        Project("docs-prod", "google-cloud", "larkspur-docs-prod", "Larkspur Docs production"),
        Project("l10n-prod", "google-cloud", "larkspur-l10n-prod", "Localization production"),
        Project("compliance-prod", "google-cloud", "larkspur-compliance", "Compliance"),
        Project("catalog-prod", "google-cloud", "larkspur-catalog", "Catalog and media"),
    )
}


@dataclass(frozen=True)
class Model:
    """One model: how traces name it, how the bill names it, how fast it answers."""

    key: str  # canonical name, the one in the truth
    provider: str  # as spans name it
    requested: str
    answered: str
    listed: tuple[str, str] | None  # provider and model id in genai-prices; None: nobody lists it
    billed_as: str  # wording on the bill
    first_token_ms: float
    ms_per_token: float
    thinks: float = 0.0  # share of the output that is reasoning
    writes_cache: bool = False


MODELS = {
    model.key: model
    for model in (
        Model(
            "gpt-5.4",
            "openai",
            "gpt-5.4",
            "gpt-5.4",
            ("openai", "gpt-5.4"),
            "gpt-5.4",
            620,
            11.0,
            thinks=0.25,
        ),
        Model(
            "gpt-5.4-mini",
            "openai",
            "gpt-5.4-mini",
            "gpt-5.4-mini",
            ("openai", "gpt-5.4-mini"),
            "gpt-5.4-mini",
            310,
            5.0,
        ),
        Model(
            "gpt-4o",
            "openai",
            "gpt-4o",
            "gpt-4o-2024-08-06",
            ("openai", "gpt-4o"),
            "gpt-4o-2024-08-06",
            480,
            9.0,
        ),
        Model(
            "text-embedding-3-large",
            "openai",
            "text-embedding-3-large",
            "text-embedding-3-large",
            ("openai", "text-embedding-3-large"),
            "text-embedding-3-large",
            70,
            0.0,
        ),
        Model(
            "claude-sonnet-4-5",
            "aws.bedrock",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ("aws", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            "Claude4.5Sonnet",
            900,
            13.0,
            writes_cache=True,
        ),
        Model(
            "claude-haiku-4-5",
            "aws.bedrock",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            ("aws", "global.anthropic.claude-haiku-4-5-20251001-v1:0"),
            "Claude4.5Haiku",
            420,
            6.0,
            writes_cache=True,
        ),
        Model(
            "nova-pro",
            "aws.bedrock",
            "amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
            ("aws", "amazon.nova-pro-v1:0"),
            "NovaPro",
            380,
            7.0,
        ),
        Model(
            "gemini-2.5-pro",
            "gcp.vertex_ai",
            "gemini-2.5-pro",
            "gemini-2.5-pro",
            ("google", "gemini-2.5-pro"),
            "Gemini 2.5 Pro",
            1100,
            9.0,
            thinks=0.35,
        ),
        Model(
            "gemini-2.5-flash",
            "gcp.vertex_ai",
            "gemini-2.5-flash",
            "gemini-2.5-flash",
            ("google", "gemini-2.5-flash"),
            "Gemini 2.5 Flash",
            350,
            4.0,
        ),
        # Larkspur's own model on its own GPUs: the bill knows the instances, no price list knows
        # the model.
        Model(
            "larkspur-ranker-3",
            "larkspur",
            "larkspur-ranker-3",
            "larkspur-ranker-3",
            None,
            "",
            18,
            0.2,
        ),
    )
}

# ---------------------------------------------------------------- features


@dataclass(frozen=True)
class Traffic:
    """One feature's use of one model: the population of requests, and how much of it the traces
    keep.
    """

    model: str
    project: str
    requests: float  # on an ordinary weekday, at scale 1
    input_median: float  # tokens per call
    output_median: float
    shape: str = "chat"  # chat, rag, agent, embed
    keep_one_in: int = 1
    cached: float = 0.0  # share of the input read from the cache on a hit; four calls in five hit
    calls: float = 1.0  # mean model calls per request (agents)
    rhythm: str = "us"  # us, eu, flat, night
    # sigma of log tokens: public request traces have 0.9 to 1.2 over all users, less per feature
    spread: float = 0.8
    first_day: int | None = None  # relative to the first day of the demo's running month
    last_day: int | None = None
    dialect: str = "otel"  # otel, otel_old, openinference: three generations of attribute names
    names_team: bool = True
    missing_usage: float = 0.0  # share of spans whose usage the client library lost
    traced: bool = True
    batch: bool = False  # on the bill as batch lines, at half the price
    reads_shared_cache: bool = False  # another feature writes the cache, this one only reads it
    environment: str = "production"


@dataclass(frozen=True)
class DemoFeature:
    slug: str
    name: str
    team: str
    product: str
    criticality: str = "medium"
    has_sla: bool = False
    traffic: tuple[Traffic, ...] = ()
    customers: int = 0  # how many customers use it; 0: internal

    @property
    def service(self) -> str:
        return f"{self.team}-{self.slug}"


def _feature(
    slug: str, name: str, team: str, product: str, *traffic: Traffic, **more: object
) -> DemoFeature:
    return DemoFeature(slug, name, team, product, traffic=traffic, **more)  # type: ignore[arg-type]


FEATURES: tuple[DemoFeature, ...] = (
    # Support
    _feature(
        "chat-assistant", "Chat assistant", "support", "desk",
        Traffic("gpt-5.4-mini", "support-prod", 52000, 3400, 260, keep_one_in=512, cached=0.55,
            spread=0.6),
        criticality="high", has_sla=True, customers=40,
    ),
    _feature(
        "ticket-summary", "Ticket summary", "support", "desk",
        Traffic("gpt-5.4", "support-prod", 2600, 5200, 420, keep_one_in=64, cached=0.2, spread=0.6),
        criticality="medium", customers=40,
    ),
    _feature(
        "agent-triage", "Ticket triage agent", "support", "desk",
        Traffic("claude-sonnet-4-5", "ai-prod", 9, 52000, 820, shape="agent", calls=4, cached=0.7,
            spread=0.5),
        criticality="high", customers=25,
    ),
    _feature(
        "knowledge-index", "Knowledge base index", "support", "desk",
        Traffic("text-embedding-3-large", "support-prod", 6, 880000, 0, shape="embed",
            rhythm="night", spread=0.3),
    ),
    _feature(
        "refund-check", "Refund check", "support", "desk",
        Traffic("claude-haiku-4-5", "ai-prod", 12, 6800, 180, dialect="otel_old"), customers=12,
    ),
    # Conversations
    _feature(
        "reply-suggest", "Reply suggestions", "conversations", "desk",
        Traffic(
            "claude-haiku-4-5", "ai-conversations", 22000, 3000, 170, keep_one_in=256, cached=0.5,
                rhythm="flat", spread=0.6,
            missing_usage=0.02,
        ),
        criticality="high", has_sla=True, customers=40,
    ),
    _feature(
        "call-summary", "Call summary", "conversations", "desk",
        Traffic("claude-sonnet-4-5", "ai-conversations", 1700, 9500, 700, keep_one_in=32,
            spread=0.5),
        criticality="medium", customers=30,
    ),
    _feature(
        "sentiment-tags", "Sentiment tags", "conversations", "desk",
        Traffic("nova-pro", "ai-conversations", 16000, 820, 24, keep_one_in=512, rhythm="flat",
            spread=0.5), customers=40,
    ),
    _feature(
        "voice-cleanup", "Transcript clean-up", "conversations", "desk",
        Traffic("gemini-2.5-flash", "catalog-prod", 7, 24000, 6200, dialect="openinference"),
            customers=20,
    ),
    # Search
    _feature(
        "query-understanding", "Query understanding", "search", "storefront",
        Traffic("gpt-5.4-mini", "search-prod", 62000, 640, 42, keep_one_in=2048, cached=0.3,
            spread=0.5),
        criticality="high", has_sla=True, customers=40,
    ),
    _feature(
        "answer-cards", "Answer cards", "search", "storefront",
        Traffic("gpt-5.4", "search-prod", 3600, 4300, 190, shape="rag", keep_one_in=128,
            cached=0.15, spread=0.5),
        criticality="medium", customers=40,
    ),
    _feature(
        "semantic-search", "Semantic search", "search", "storefront",
        Traffic("text-embedding-3-large", "search-prod", 8, 680000, 0, shape="embed", rhythm="flat",
            spread=0.3),
        criticality="high", has_sla=True,
    ),
    _feature(
        "catalog-enrichment", "Catalog enrichment", "search", "merchant",
        Traffic("gemini-2.5-flash", "catalog-prod", 1400, 9000, 1500, keep_one_in=64,
            rhythm="night", spread=0.5),
    ),
    # Recommendations
    _feature(
        "ranker", "Ranker", "recommendations", "storefront",
        Traffic("larkspur-ranker-3", "ml-serving", 20, 900, 40, dialect="otel_old"),
        criticality="high", has_sla=True, customers=40,
    ),
    _feature("ranker-retrain", "Ranker retraining", "recommendations", "storefront"),
    _feature(
        "why-recommended", "Why recommended", "recommendations", "storefront",
        Traffic("claude-haiku-4-5", "ai-prod", 4200, 1900, 90, keep_one_in=128, cached=0.4,
            spread=0.5), customers=40,
    ),
    _feature(
        "bundle-ideas", "Bundle ideas", "recommendations", "merchant",
        Traffic("nova-pro", "ai-prod", 14, 7200, 900), customers=15,
    ),
    # Merchant tools
    _feature(
        "product-descriptions", "Product descriptions", "merchant-tools", "merchant",
        Traffic("gpt-4o", "merchant-prod", 3200, 1900, 620, keep_one_in=128, spread=0.5,
            last_day=-45),
        Traffic("gpt-5.4-mini", "merchant-prod", 3200, 1900, 640, keep_one_in=128, cached=0.3,
            spread=0.5, first_day=-44),
        criticality="medium", customers=40,
    ),
    _feature(
        "store-setup", "Store set-up agent", "merchant-tools", "merchant",
        Traffic("claude-sonnet-4-5", "ai-prod", 7, 62000, 1500, shape="agent", calls=5, cached=0.75,
            spread=0.5, dialect="openinference"),
        criticality="medium", customers=30,
    ),
    _feature(
        "pricing-advice", "Pricing advice", "merchant-tools", "merchant",
        Traffic("gpt-5.4", "merchant-prod", 8, 38000, 1400, shape="rag"), customers=20,
    ),
    _feature(
        "review-digest", "Review digest", "merchant-tools", "merchant",
        Traffic("gpt-5.4-mini", "merchant-prod", 8, 46000, 700, rhythm="night", dialect="otel_old"),
            customers=20,
    ),
    # Vision
    _feature("visual-search-training", "Visual search training", "vision", "storefront"),
    _feature("visual-search", "Visual search", "vision", "storefront", criticality="high",
        has_sla=True),
    _feature(
        "photo-quality", "Photo quality check", "vision", "merchant",
        Traffic("gemini-2.5-flash", "catalog-prod", 3600, 2600, 120, keep_one_in=128, spread=0.5),
            customers=40,
    ),
    # Developer tools
    _feature(
        "code-agent", "Code agent", "developer-tools", "internal",
        Traffic("claude-sonnet-4-5", "ai-dev", 11, 112000, 1900, shape="agent", calls=9,
            cached=0.85, spread=0.4),
    ),
    _feature(
        "code-review", "Code review", "developer-tools", "internal",
        Traffic("gpt-5.4", "devtools", 18, 64000, 2900, cached=0.3),
    ),
    _feature(
        "test-writer", "Test writer", "developer-tools", "internal",
        Traffic("claude-sonnet-4-5", "ai-dev", 4, 76000, 2400, shape="agent", calls=5, cached=0.8,
            spread=0.4),
    ),
    _feature(
        "docs-bot", "Documentation bot", "developer-tools", "internal",
        Traffic("gpt-5.4-mini", "devtools", 7, 9800, 350, shape="rag"),
    ),
    _feature(
        "incident-notes", "Incident notes", "developer-tools", "internal",
        Traffic("claude-haiku-4-5", "ai-dev", 5, 15000, 700, rhythm="flat", names_team=False),
    ),
    # ML platform
    _feature(
        "eval-harness", "Evaluation harness", "ml-platform", "internal",
        Traffic("claude-sonnet-4-5", "ai-dev", 12, 88000, 900, rhythm="night", spread=0.5),
        Traffic("nova-pro", "ai-dev", 8, 88000, 900, rhythm="night", spread=0.5),
    ),
    _feature("embedding-service", "Embedding service", "ml-platform", "internal",
        criticality="high"),
    _feature(
        "staging-inference", "Staging inference", "ml-platform", "internal",
        Traffic("larkspur-ranker-3", "ml-serving", 8, 900, 40, last_day=-62, environment="staging"),
    ),
    # Growth
    _feature(
        "campaign-copy", "Campaign copy", "growth", "internal",
        Traffic("gpt-4o", "growth-prod", 540, 2400, 900, keep_one_in=32, spread=0.5),
    ),
    _feature(
        "lead-research", "Lead research agent", "growth", "internal",
        Traffic("gpt-5.4", "growth-prod", 5, 44000, 900, shape="agent", calls=4, cached=0.5,
            spread=0.5),
    ),
    _feature(
        "hackweek-copilot", "Hack week copilot", "growth", "internal",
        Traffic(
            "gpt-5.4", "growth-prod", 288, 30000, 1100, keep_one_in=16, rhythm="flat",
                first_day=-84, spread=0.2, environment="experiment"
        ),
        criticality="low",
    ),
    # Documents
    _feature(
        "contract-review", "Contract review", "documents", "docs",
        Traffic("gemini-2.5-pro", "docs-prod", 14, 118000, 5200, shape="agent", calls=3,
            rhythm="eu", spread=0.4),
        criticality="high", customers=18,
    ),
    _feature(
        "invoice-extraction", "Invoice extraction", "documents", "docs",
        Traffic("gemini-2.5-flash", "docs-prod", 6400, 5200, 700, keep_one_in=256, rhythm="eu",
            spread=0.5, first_day=-53),
        criticality="medium", customers=30,
    ),
    # Localization
    _feature(
        "translate", "Translation", "localization", "docs",
        Traffic("gemini-2.5-flash", "l10n-prod", 24000, 1700, 1500, keep_one_in=512, rhythm="eu",
            spread=0.5),
        criticality="high", has_sla=True, customers=40,
    ),
    _feature(
        "glossary-check", "Glossary check", "localization", "docs",
        Traffic("gemini-2.5-pro", "l10n-prod", 12, 18000, 1200, rhythm="eu", dialect="otel_old"),
    ),
    # Compliance
    _feature(
        "kyc-screening", "KYC screening", "compliance", "docs",
        Traffic("gemini-2.5-pro", "compliance-prod", 1500, 7400, 800, keep_one_in=64, rhythm="eu",
            spread=0.5),
        criticality="high", has_sla=True, customers=25,
    ),
    _feature(
        "policy-qa", "Policy questions", "compliance", "docs",
        Traffic("gemini-2.5-flash", "compliance-prod", 9, 16000, 600, shape="rag", rhythm="eu"),
    ),
)  # fmt: skip
