"""Your own rows: a recipe from a file, and what a look at it shows."""
