"""Reference data: dated rules from files, calendars from libraries, contracts that are to be known."""
