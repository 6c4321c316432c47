"""Plugins that decide what to trade."""
