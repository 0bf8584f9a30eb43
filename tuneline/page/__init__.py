"""The report to look at: one HTML file of all adapters, that opens without a network."""
