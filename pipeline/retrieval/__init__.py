"""Search: BM25, MiniLM, both fused, and their vectors on disk."""
