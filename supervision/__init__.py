"""The runtime: actors on trio, supervisors, journals, recovery."""
