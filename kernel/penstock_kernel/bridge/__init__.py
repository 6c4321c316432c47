"""The bridge: a process between the kernel's framed socket and a plugin that speaks gRPC, here or elsewhere.

The kernel itself never imports gRPC. It starts `python -m penstock_kernel.bridge` with a `plan.BridgePlan` in the
environment; the bridge starts the plugin, or connects to it, says HELLO to the kernel as a plugin would, and passes
bytes on both ways until one of the two ends.
"""
