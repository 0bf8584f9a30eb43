"""A corpus of French succession cases, written to order, and its records."""
