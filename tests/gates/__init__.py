"""The gates before a release (NF-2): what must hold, each with the command that shows it."""
