"""What the demo company's features ask of models: their requests, and what of them is traced."""

from __future__ import annotations

from dataclasses import dataclass


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
    # Which emitter's attribute names it speaks: otel, otel_old, openinference, traceloop, litellm.
    dialect: str = "otel"
    is_seen_twice: bool = False  # a second instrumentation tells of every call, too
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
    tools: tuple[str, ...] = ()  # what its agent can do beside asking the model

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
        Traffic("gpt-5.4", "support-prod", 2600, 5200, 420, keep_one_in=64, cached=0.2, spread=0.6,
            dialect="traceloop"),
        criticality="medium", customers=40,
    ),
    _feature(
        "agent-triage", "Ticket triage agent", "support", "desk",
        Traffic("claude-sonnet-4-5", "ai-prod", 9, 52000, 820, shape="agent", calls=4, cached=0.7,
            spread=0.5),
        criticality="high", customers=25,
        tools=("lookup_customer", "search_tickets", "lookup_order", "set_priority"),
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
            rhythm="flat", spread=0.6, missing_usage=0.02,
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
        tools=("fetch_page", "query_catalog", "create_product", "set_shipping_zone"),
    ),
    _feature(
        "pricing-advice", "Pricing advice", "merchant-tools", "merchant",
        Traffic("gpt-5.4", "merchant-prod", 8, 38000, 1400, shape="rag", dialect="litellm"),
        customers=20,
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
        tools=("read_file", "search_code", "edit_file", "run_tests"),
    ),
    _feature(
        "code-review", "Code review", "developer-tools", "internal",
        Traffic("gpt-5.4", "devtools", 18, 64000, 2900, cached=0.3, is_seen_twice=True),
    ),
    _feature(
        "test-writer", "Test writer", "developer-tools", "internal",
        Traffic("claude-sonnet-4-5", "ai-dev", 4, 76000, 2400, shape="agent", calls=5, cached=0.8,
            spread=0.4),
        tools=("read_file", "search_code", "write_test", "run_tests"),
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
        tools=("search_web", "fetch_page", "lookup_company", "search_crm"),
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
        tools=("read_clause", "search_precedents", "compare_to_template", "list_obligations"),
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
        Traffic("gemini-2.5-flash", "compliance-prod", 9, 16000, 600, shape="rag", rhythm="eu",
            is_seen_twice=True),
    ),
)  # fmt: skip
