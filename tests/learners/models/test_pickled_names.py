"""Models of river's model packages are dumped and loaded; what evaluates, reads or downloads is refused."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from river import linear_model

from headrace.learners.models.pickled_names import MODEL_PACKAGES, OTHER_PACKAGES
from headrace.learners.models.safe_pickle import dump_model, load_model
from headrace.schemas.errors import ModelError
from tests.support.pickled_calls import Calls
from tests.support.river_estimators import river_estimators, river_packages, trained

EXPORTED = sorted({*river_packages()} & MODEL_PACKAGES)


def test_every_package_that_river_exports_is_known_to_have_models_or_none() -> None:
    assert set(river_packages()) == (MODEL_PACKAGES | OTHER_PACKAGES) - {"_river_rust"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", EXPORTED)
def test_every_estimator_that_river_exports_is_dumped_and_loaded(package: str) -> None:
    refused = [refusal for name, model in river_estimators(package) if (refusal := _refusal(name, model))]
    assert refused == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", EXPORTED)
def test_so_is_every_one_that_has_learned(package: str) -> None:
    models = ((name, trained(model)) for name, model in river_estimators(package))
    refused = [refusal for name, model in models if (refusal := _refusal(name, model))]
    assert refused == []


def _refusal(name: str, model: Any) -> str | None:
    try:
        assert type(load_model(dump_model(model))) is type(model)
    except ModelError as error:
        return f"{name}: {error}"
    return None


@pytest.mark.parametrize(
    "name",
    [
        "river.datasets.synth.agrawal\nAgrawal",
        "river.datasets.synth\nAgrawal",
        "river.drift.datasets.base\nConceptDriftDataset",
        "river.bandit.evaluate\nevaluate",
        "river.evaluate.progressive_validation\nprogressive_val_score",
        "river.stream.cache\nCache",
        "river.stream.iter_csv\niter_csv",
        "river.stream.utils\nopen_filepath",
        "river.utils.param_grid\nexpand_param_grid",
        "river.utils.pretty\nprint_table",
        "river.compat.sklearn_to_river\nSKL2RiverClassifier",
        "river.base.viz\nto_html",
        "river.api\ndatasets",
        "river.time_series\nevaluate",
        "river.linear_model\nlog_reg",
    ],
)
def test_names_that_are_no_part_of_a_model_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="may not be loaded"):
        load_model(f"c{name}\n.".encode())


def test_a_generator_that_evaluates_the_text_of_an_attribute_is_refused() -> None:
    from river.datasets import synth

    with pytest.raises(
        ModelError, match=r"'river\.datasets\.synth\.agrawal\.Agrawal', which may not be loaded"
    ):
        load_model(pickle.dumps(synth.Agrawal(seed=1)))


def test_methods_of_texts_and_generators_are_those_that_models_hold() -> None:
    assert load_model(pickle.dumps(Calls(getattr, str, "lower"))) is str.lower
    model = linear_model.LogisticRegression()
    for owner, name in ((str, "format"), ("text", "format"), (model, "__reduce__")):
        with pytest.raises(ModelError, match="may not be loaded"):
            load_model(pickle.dumps(Calls(getattr, owner, name)))
