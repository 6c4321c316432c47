"""Changing a deployment under a running kernel: the plan for people, and what is done."""
