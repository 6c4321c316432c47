"""A plugin in a process of its own: its side of the wire, and what a host needs to talk to one in any language."""
