"""Models: one client for every endpoint, the embedded model, the prompts."""
