"""The `penstock` command: its own part is in the SDK; the kernel, and whoever else is installed, add theirs."""
