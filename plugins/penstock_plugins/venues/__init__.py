"""Venues: where orders are matched."""
