"""OpenTelemetry over HTTP and from files."""
