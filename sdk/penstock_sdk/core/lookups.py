"""What every host of contexts answers from what it knows: names, definitions, rules, history. It changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_sdk.core.catalog import Catalog
from penstock_sdk.core.history import History
from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import IdKind
from penstock_sdk.schema import Record

__all__ = ["Lookups"]


class Lookups:
    """The part of `penstock_sdk.context.Host` that is alike in the kernel and in a plugin's own process."""

    catalog: Catalog
    history_kept: History

    def name_of(self, kind: IdKind, id: int) -> str:
        """Return what an id names."""
        return self.catalog.name_of(kind, id)

    def definition(self, kind: IdKind, id: int) -> Any:
        """Return the definition announced under an id, or None."""
        return self.catalog.definition(kind, id)

    def definitions(self, kind: IdKind) -> list[Any]:
        """Return every definition of a kind, by id."""
        return self.catalog.definitions(kind)

    @property
    def reference(self) -> Reference:
        """Rules and calendars as they hold now."""
        return self.catalog.reference

    def history(self, listing_id: int, window_ns: int, of: type[Record]) -> npt.NDArray[np.void]:
        """Return what was known of a listing in the window that ends now."""
        return self.history_kept.query(listing_id, window_ns, of)
