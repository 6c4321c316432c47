"""Plugins that refuse orders that rules of the market forbid."""
