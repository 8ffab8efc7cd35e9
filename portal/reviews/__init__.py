"""What teams say of their months: seen, accepted or questioned."""
