"""Where pages come from, and how their sections are counted, kept or dropped."""
