"""Benchmarks: each returns a JSON-able report with a digest of what it computed."""
