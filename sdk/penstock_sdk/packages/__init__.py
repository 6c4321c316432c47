"""Plugins as one file: pack, install, list and verify archives, and the environments that installed ones run in."""

from penstock_sdk.packages.archive import *
from penstock_sdk.packages.environments import *
from penstock_sdk.packages.install import *
from penstock_sdk.packages.installed import *
from penstock_sdk.packages.pack import *
from penstock_sdk.packages.reader import *
