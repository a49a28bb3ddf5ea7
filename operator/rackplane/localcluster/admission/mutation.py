"""One new state of an object on its way through the mutating policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rackplane.localcluster import errors
from rackplane.localcluster.fields.types import Type
from rackplane.localcluster.objects import Obj
from rackplane.localcluster.resources import Resource

from .attributes import Attributes, presented
from .compiled import Denial, Policy, conditions_hold
from .expressions import EvaluationError, Scope
from .merge import merged

#: A policy and one of its bindings, by their names.
Key = tuple[str, str]


class Mutation:
    """Applies policies to `about.obj`; `default` fills in the object's defaults, as after every change of a client.

    `again` are the policies that allow to be run once more, if any has mutated the object.
    """

    def __init__(self, about: Attributes, type_: Type, default: Callable[[Obj], None]) -> None:
        self._about = about
        self._type = type_
        self._default = default
        self._ran: set[Key] = set()
        self._mutated = False
        self._denials: list[Denial] = []

    @property
    def again(self) -> frozenset[Key]:
        return frozenset(self._ran if self._mutated else ())

    def run(self, policy: Policy, binding: str, matched: Resource, scope: Scope) -> None:
        """Let a policy change the object, which it sees as one of `matched`."""
        key = (policy.name, binding)
        try:
            if not conditions_hold(policy, scope):
                return
        except EvaluationError as problem:
            self._denials.append(Denial(*key, str(problem), "Invalid"))
            return
        for mutation in policy.mutations:
            try:
                changed = merged(self._type, self._about.obj or {}, scope.evaluate(mutation))
            except EvaluationError as problem:
                if policy.fails:
                    self._denials.append(Denial(*key, str(problem), "Invalid"))
                continue
            self._default(changed)
            self._about.obj = changed
            self._mutated = True
            scope.replace_object(presented(matched, changed))
        if policy.reinvoked:
            self._ran.add(key)

    def check(self) -> None:
        """Refuse the request if a policy that fails closed could not be evaluated.

        Raises:
            ApiError: 403 with reason Invalid, as Kubernetes has it.
        """
        if not self._denials:
            return
        about = self._about
        problem = errors.forbidden(about.resource.group, about.resource.plural, about.shown_name, "")
        texts = list(_texts(self._denials))
        problem.message, problem.reason = texts[0], self._denials[0].reason
        problem.details["causes"] = [{"message": text} for text in texts]
        raise problem


def _texts(denials: Iterable[Denial]) -> Iterable[str]:
    return (f"policy '{d.policy}' with binding '{d.binding}' denied request: {d.message}" for d in denials)
