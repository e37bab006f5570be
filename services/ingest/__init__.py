"""Turns URLs of typing data into datasets."""
