"""Keyprint tells people apart by how they type."""
