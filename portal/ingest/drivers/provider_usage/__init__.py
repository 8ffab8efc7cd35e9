"""Usage reports of providers: a CSV of our own, or JSON pages of OpenAI and Anthropic."""
