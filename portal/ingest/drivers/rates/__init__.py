"""Monthly exchange rates."""
