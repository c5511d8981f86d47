"""The recall benchmark's parts: what was seen, kept on disk; how each policy remembers it; and what is drawn of it."""
