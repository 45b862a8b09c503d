"""Tokens, sentences, comparison, near-duplicates, word counts, Markdown. Pure."""
