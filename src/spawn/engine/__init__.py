"""Use cases over the domain: everything that decides and records, behind seams for the store, the providers and the clock."""
