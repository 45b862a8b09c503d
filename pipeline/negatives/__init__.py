"""A module a kind of negative, what they draw from, and what verifies that a context does not answer. Pure."""
