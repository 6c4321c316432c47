"""Plugins that refuse orders beyond limits."""
