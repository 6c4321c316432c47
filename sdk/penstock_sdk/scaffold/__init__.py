"""What `penstock plugin new` writes: a plugin of each kind in Python, and what stands beside it."""
