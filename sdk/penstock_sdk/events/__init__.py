"""The records: market, data, order, position, control, and the enumerations they carry."""

from __future__ import annotations

from penstock_sdk.events.control import *
from penstock_sdk.events.data import *
from penstock_sdk.events.enums import *
from penstock_sdk.events.market import *
from penstock_sdk.events.order import *
from penstock_sdk.events.position import *
