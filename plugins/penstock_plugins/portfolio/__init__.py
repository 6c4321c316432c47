"""Plugins that keep positions, profit and loss."""
