"""Venues."""
