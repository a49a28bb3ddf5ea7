"""Where a gang goes: candidates, the search over sets of domains, and the bounds that prove there is none."""
