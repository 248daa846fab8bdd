"""Faults that a store or a network could have, made on purpose: which request has which, and what that does to it."""
