"""Drivers: one module a block, written against `penstock_hw.RegisterBus` alone."""
