"""Questions with their answers and evidence: how they are asked for, checked, and settled with those of before. Pure but for the client handed in."""
