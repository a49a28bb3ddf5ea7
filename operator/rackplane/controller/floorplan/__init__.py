"""The floor plan, live: `watch.py` takes frames and tells who listens, `server.py` serves the page and them."""
