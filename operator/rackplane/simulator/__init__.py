"""Virtual time: traces of real clusters through the operator's own machine, on a facility in YAML.

`simulation.py` holds the loop, `cluster.py` the API server and the maker of gangs (`gangs.py`), `jobs.py` and
`traces/` what comes, `facilities/` writes new facilities.
"""
