"""What the stages share: small leaf modules with telling names."""
