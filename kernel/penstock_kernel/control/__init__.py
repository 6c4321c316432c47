"""The control socket of a running kernel: what operators ask of it, what they tell it to do, and its answers."""
