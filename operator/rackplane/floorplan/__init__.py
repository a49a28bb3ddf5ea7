"""The floor plan: figures of a machine as plain JSON, their history, and the page that draws them.

`model.py` says what the figures are, `taking.py` reads them off a machine, `history.py` keeps those of the last hour,
`page.py` makes one HTML file of a recorded series; `assets/` is the page itself. Who serves it live is
`rackplane.controller.floorplan`.
"""
