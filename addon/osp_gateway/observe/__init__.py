"""Seeing a gateway run."""
