"""Bilateral deals with two pairs of eyes and limits, and trades that others tell of."""
