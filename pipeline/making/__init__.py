"""What create_qa and train make: rows by a model or from a notebook's file, the dataset with its files, the models and their figures."""
