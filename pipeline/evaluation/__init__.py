"""Metrics, and systems that are measured alike. Pure."""
