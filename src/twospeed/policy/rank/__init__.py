"""Ranks: orderings of the backends of one tier, one file each, found by listing this folder."""
