"""The kernel's core as a pure state machine: events in, events out, bytes recorded.

It holds no file, socket, thread or clock. The real kernel drives it with a journal and a clock, the simulated kernel of
`penstock_sdk.testing` drives it in a test, and so both give the same results.
"""
