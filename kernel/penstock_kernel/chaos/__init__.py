"""Seeded fault plans: a simulated deployment runs while things break, and what must hold is checked all the while.

`plan` reads a plan, `world` decides when what breaks, `instance` is the run that it happens to, `invariants` says what
must hold, `campaign` runs seeds. A seed decides everything: the same plan and seed come to the same journal digest.
"""
