"""What a model reads, found in the plan of the process that is to serve it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from headrace.learners.models.inputs import Inputs
from headrace.learners.models.project_code import check_code
from headrace.learners.models.store import Artifact
from headrace.schemas.errors import HeadraceError, ModelError
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, OnDemandViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec

Features = Sequence[str | FeatureRef]
_LATER = "processes of its plan serve it until `train` has one of this plan that knows as much"


class Misfit(ModelError):
    """A model that this plan cannot serve, and processes of another can."""


class ModelInputs:
    """Finds the inputs of models of a router, of the plan's definitions and of others.

    Parameters
    ----------
    plan
        The plan of this process.
    router
        Whose arms.
    prepare
        Prepares features to be read; raises a `HeadraceError` for those that cannot be.
    """

    def __init__(self, plan: Plan, router: RouterSpec, prepare: Callable[[Features], None]) -> None:
        self._plan, self._router, self._prepare = plan, router, prepare
        self._own = plan.logged_features(router)

    def of(self, artifact: Artifact) -> tuple[Inputs, tuple[FeatureRef, ...]]:
        """Return the inputs of a model, and the features among them that the router does not read.

        Raises
        ------
        Misfit
            When the model is of another definition, and reads what this plan does not have, or calls what
            ``learners.py`` does not define any more.
        """
        header = artifact.header
        spec = self._plan.learner(header.name)
        if header.definition == spec.definition:
            return Inputs(self._plan, spec).bound(artifact.kinds), ()
        model = f"{header.name}@{header.version}"
        if artifact.inputs is None:
            raise Misfit(
                f"model {model} is of another definition, from before models told what they read; {_LATER}"
            )
        try:
            check_code(model, artifact.code, artifact.model)
        except ModelError as error:
            raise Misfit(str(error)) from error
        inputs = Inputs.of(artifact.inputs).bound(artifact.kinds)
        return inputs, self._others(model, inputs)

    def _others(self, model: str, inputs: Inputs) -> tuple[FeatureRef, ...]:
        own = {each.name for ref in self._own for each in self._plan.logged_names(ref)}
        sent = {*self._router.entities, *self._router.request}
        refs: list[FeatureRef] = []
        for name, is_served, _ in inputs.declared:
            ref = self._by_name.get(name)
            if name not in (own if is_served else sent) and (not is_served or ref is None):
                raise Misfit(
                    f"model {model} reads '{name}', which plan {self._plan.hash[:12]} does not have; "
                    + _LATER
                )
            if is_served and name not in own and ref is not None:
                refs.append(ref)
        others = tuple(dict.fromkeys(refs))
        if others:
            self._require_readable(model, others)
        return others

    def _require_readable(self, model: str, others: tuple[FeatureRef, ...]) -> None:
        try:
            self._prepare(features_read(self._own, others))
        except HeadraceError as error:
            raise Misfit(f"model {model} cannot be served by plan {self._plan.hash[:12]}: {error}") from error

    @cached_property
    def _by_name(self) -> dict[str, FeatureRef]:
        """Features that requests of this router can be answered with, by their names in predictions."""
        plan = self._plan
        views: tuple[StreamViewSpec | BatchViewSpec | OnDemandViewSpec, ...]
        views = (*plan.stream_views, *plan.batch_views, *plan.on_demand_views)
        defined = [FeatureRef(view=view.name, feature=one.name) for view in views for one in view.features]
        refs = [ref for service in plan.services for ref in service.features] + defined
        found: dict[str, FeatureRef] = {}
        for ref in refs:
            if self._is_answered(ref):
                for each in plan.logged_names(ref):
                    found.setdefault(each.name, ref)
        return found

    def _is_answered(self, ref: FeatureRef) -> bool:
        """Whether requests of this router bring what reading a feature takes."""
        sent = {*self._router.entities, *self._router.request}
        keys = {key.name for key in self._plan.request_keys([ref])}
        fields = {field.name for view in self._plan.on_demand_of([ref]) for field in view.request}
        return keys <= {*self._router.entities} and fields <= sent


def features_read(own: Sequence[FeatureRef], others: Sequence[FeatureRef]) -> tuple[str | FeatureRef, ...]:
    """Return features as the client takes them.

    They are texts where those say all: their hashes are kept, and features are looked up at every request.
    """
    refs = dict.fromkeys((*own, *others))
    return tuple(ref.text if ref == ref.definition else ref for ref in refs)
