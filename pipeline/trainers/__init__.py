"""Models made from examples, here or at a service: the light ones, fine-tuned ones, what is written down of them, and how any is opened."""
