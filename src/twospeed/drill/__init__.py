"""Drills: traffic made on purpose, against a server that runs."""
