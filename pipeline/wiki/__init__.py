"""A page's HTML → sections. Pure."""
