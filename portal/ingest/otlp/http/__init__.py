"""The address that exporters send to: bodies, senders, answers."""
