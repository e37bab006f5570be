"""Says who typed."""
