"""Alerts on their way out: from the kernel's book to a file of lines, and from there to the sinks.

`AlertLog` writes the file in the kernel's process. `Courier` reads it in another and hands each line to every sink.
The package imports nothing here: the kernel's process needs no mail and no web client.
"""
