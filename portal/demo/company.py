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

_CUSTOMERS = (
    "abbey-road-bikes acre-and-vine alpenglow baltic-timber birchbox-home blue-heron "
    "bruecke-moebel cedar-and-co coral-swim dune-outdoor eastgate elbe-optik fern-and-moss "
    "field-notes-cafe garnet-jewels greenline harbor-freight-co hazel-books iris-beauty "
    "juniper-kids kestrel-audio lindenhof maple-and-main nordlicht oakwell otter-surf pine-street "
    "quarry-stone redwood-gear rhein-kaffee saltmarsh silverbirch sonnenhut tidepool umber-paint "
    "vesper-wine willow-pets yarrow-health zephyr-sails zugspitze-sport"
)
CUSTOMERS = tuple(_CUSTOMERS.split())

# ---------------------------------------------------------------- projects


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
