"""One call, several observers: which spans tell of one model call, and what it then counts as."""
