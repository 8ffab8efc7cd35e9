"""Bills: how a delivered file becomes published charges."""
