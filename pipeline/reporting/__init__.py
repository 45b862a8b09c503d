"""The report's page: what it reads of a run, pictures, rows, comparison."""
