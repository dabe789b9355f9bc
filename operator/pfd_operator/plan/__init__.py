"""Decide what to do next: pure functions from what is known to the next status, actions and Events."""
