"""What the tests of every format need: texts in, objects and losses out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rackplane.api.fabric import Fabric
from rackplane.core.discovery.template import Template, read_template
from rackplane.exchange.building import Builder, Imported
from rackplane.exchange.foreign import Source
from rackplane.exchange.losses import Losses

__all__ = ["DATA", "PROFILE", "Outcome", "parts", "run"]

DATA = Path(__file__).resolve().parents[2] / "data" / "exchange"
PROFILE = read_template("profile: gb300-nvl72", partial=True)


class Outcome:
    """One import."""

    def __init__(self, imported: Imported, losses: Losses) -> None:
        self.imported, self.losses = imported, losses

    @property
    def specs(self) -> dict[str, dict[str, Any]]:
        return {f"{b['kind']} {b['metadata']['name']}": b["spec"] for b in self.imported.objects}

    @property
    def warnings(self) -> list[str]:
        return [str(loss) for loss in self.losses.told() if not loss.is_error]

    @property
    def errors(self) -> list[str]:
        return [str(loss) for loss in self.losses.told() if loss.is_error]


def run(
    read: Callable[..., Imported],
    *bodies: Any,
    template: Template | None = PROFILE,
    fabric: Fabric | None = None,
    **options: Any,
) -> Outcome:
    """An import of bodies, each a file `f1`, `f2` ...: text, or what is written as YAML."""
    losses = Losses()
    texts = [body if isinstance(body, str) else yaml.safe_dump(body) for body in bodies]
    sources = [Source(f"f{i + 1}", text) for i, text in enumerate(texts)]
    return Outcome(read(sources, Builder(losses, template, fabric), losses, **options), losses)


def parts(name: str) -> list[str]:
    """The texts of a folder of examples."""
    return [path.read_text() for path in sorted((DATA / name).iterdir())]
