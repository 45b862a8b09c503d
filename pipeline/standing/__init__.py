"""How a run folder stands, read without touching it: files, stages and what made them stale, replies, unfinished work, what comes next."""
