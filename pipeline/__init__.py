"""Data, and models made from it, that know when to say nothing.

    python -m pipeline.collect → python -m pipeline.create_qa → python -m pipeline.train → python -m pipeline.ask

Each command's module begins with its command line; CONTRIBUTING.md tells which room is where.
"""

__version__ = "0.1.0"
