"""Pure integer state machines that software, GPU and RTL share."""
