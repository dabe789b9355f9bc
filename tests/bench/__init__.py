"""Benchmarks: what things cost, measured on real parts."""
