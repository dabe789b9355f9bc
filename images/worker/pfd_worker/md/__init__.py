"""Molecular dynamics: where new configurations come from."""
