"""Measurements, each beside its limit in the same run. How to read them: bench/README.md."""
