"""Lines of keys in TOML, as the SDK finds them."""

from penstock_sdk.toml_lines import line_of, toml_lines

__all__ = ["line_of", "toml_lines"]
