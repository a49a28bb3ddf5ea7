"""The same examples in each run of ``make test``: a change is to blame for what fails. ``make fuzz`` draws new ones."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("steady")
