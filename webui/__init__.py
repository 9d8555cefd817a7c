"""The front: the HTTP API, the event stream and the page."""
