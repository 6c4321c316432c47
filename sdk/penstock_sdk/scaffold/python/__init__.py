"""A small plugin of each kind, named `Template`; tests of each stand beside it as text."""
