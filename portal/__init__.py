"""The site: settings, servers, accounts, ingest, jobs, API and pages."""
