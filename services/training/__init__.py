"""Trains models, keeps them, and compares them."""
