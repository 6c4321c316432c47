"""Feeds: what brings market data in."""
