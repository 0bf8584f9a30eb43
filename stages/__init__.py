"""One standalone click script a stage; each runs as `python -m stages.<name>`."""
