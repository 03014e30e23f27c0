"""Hostile requests, made from a seed, sent to a real server and judged. `make fuzz` sends 200,000; docs/fuzzing.md."""
