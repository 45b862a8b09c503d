"""What ask and evaluate share: is a context sufficient, which sentence or model answers."""
