"""What is made of examples: splits, file formats, leaks, statistics, the dataset card; and datasets of one's own."""
