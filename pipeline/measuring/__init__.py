"""What evaluate measures: the questions, the systems side by side, a classifier; and an evaluation as a stage with its files."""
