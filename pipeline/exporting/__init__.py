"""A run's tables for other programs: spreadsheets, folders for datasets, licence and sources beside."""
