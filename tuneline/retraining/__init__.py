"""From enough accepted samples to a version in service: one run at a time, whoever starts it and whoever is killed.

watch.py decides, runner.py starts execute.py (here or in a container), which works in a checkout of its own
(checkout.py); promotion.py compares, registry.py tags and serves.
"""
