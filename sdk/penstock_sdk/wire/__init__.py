"""Bytes that leave the process: frames, journal segments, capture files, the SystemVerilog package."""
