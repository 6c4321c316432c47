"""Plugins that watch, record and report."""
