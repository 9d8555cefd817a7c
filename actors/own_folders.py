"""The folders of a home that are the runtime's own: what others write there would be taken for the truth."""

OWN_FOLDERS = ("config", "history", "logs", "persona", "state")
"""Neither a task works there, nor a sink writes there."""
