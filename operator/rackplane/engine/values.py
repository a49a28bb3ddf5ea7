"""Values that are made by the hundred thousand: frozen to the type checker, and made as quickly as any other object.

``from rackplane.engine.values import dataclass`` instead of the standard library's, with the same arguments. A frozen
dataclass of that sets each field by a call of ``object.__setattr__``, which takes four times as long for a `Request`.
Here the fields are set as usual: mypy alone keeps values from being changed, and equality and hash are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, eq: bool = True, **options: Any) -> Callable[[type], type]:
        """As `dataclasses.dataclass`."""

        def decorated(cls: type) -> type:
            hashed = frozen and eq and "__hash__" not in vars(cls)
            return dataclasses.dataclass(eq=eq, unsafe_hash=hashed, **options)(cls)

        return decorated
