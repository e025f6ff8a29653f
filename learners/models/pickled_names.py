"""Names that a pickled model may hold: those of river's model packages, and the plain types of its state.

River also has packages that download, read files and evaluate text (`datasets`, `stream`, `evaluate`); a name
of theirs is no part of a model.
"""

from __future__ import annotations

from headrace.learners.models.definition_hash import PROJECT_MODULE

MODEL_PACKAGES = frozenset(
    {
        "active", "anomaly", "bandit", "base", "cluster", "compose", "conf", "covariance", "drift", "dummy",
        "ensemble", "facto", "feature_extraction", "feature_selection", "forest", "imblearn", "linear_model",
        "metrics", "misc", "model_selection", "multiclass", "multioutput", "naive_bayes", "neighbors",
        "optim", "preprocessing", "proba", "reco", "rules", "sketch", "stats", "time_series", "tree",
        "_river_rust",
    }
)  # fmt: skip
OTHER_PACKAGES = frozenset({"annotations", "compat", "datasets", "evaluate", "stream", "utils"})
_NO_MODELS = frozenset({"checks", "datasets", "envs", "evaluate", "viz"})  # modules inside of model packages

# Whole names only: an attribute path such as ``river.utils.os.system`` is not a name of its module.
PLAIN = {
    "builtins": {
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "iter", "list",
        "object", "range", "set", "slice", "str", "tuple",
    },
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copy": {"deepcopy"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "functools": {"partial"},
    "headrace.learners.models.onnx_file": {"OnnxFile"},
    "headrace.learners.models.onnx_model": {"OnnxClassifier", "OnnxRegressor"},
    "math": {"exp", "log", "log1p", "sqrt"},
    "numpy": {"array", "dtype", "float64", "int64", "ndarray", "ones"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.random._generator": {"Generator"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64"},
    "numpy.random._pickle": {"__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"},
    "numpy.random.bit_generator": {"SeedSequence", "__pyx_unpickle_SeedSequence"},
    "random": {"Random"},
    "statistics": {"NormalDist"},
    "river.feature_extraction.vectorize": {"strip_accents_unicode", "tokenize_using_regex_pattern"},
    "river.metrics.mutual_info": {"_average_arithmetic", "_average_geometric"},
    "river.utils.math": {"_manhattan_distance", "minkowski_distance"},
    "river.utils.rolling": {"Rolling", "TimeRolling"},
    "river.utils.sorted_window": {"SortedWindow"},
    "river.utils.vectordict": {"VectorDict"},
}  # fmt: skip


def is_model_module(module: str) -> bool:
    """Whether a module defines models: one of river's model packages, or the project's ``learners.py``.

    >>> is_model_module("river.linear_model.log_reg"), is_model_module("river.datasets.synth.agrawal")
    (True, False)
    """
    root, *parts = module.split(".")
    if root == PROJECT_MODULE:
        return True
    return root == "river" and bool(parts) and parts[0] in MODEL_PACKAGES and _NO_MODELS.isdisjoint(parts)


def is_project_module(module: str) -> bool:
    return module.split(".")[0] == PROJECT_MODULE
