"""One module a block, with its constants; made by `python -m penstock_hw.registers`."""
