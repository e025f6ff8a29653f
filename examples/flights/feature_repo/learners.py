"""Will this flight arrive 15 or more minutes late? Five answers, asked an hour before scheduled departure.

The functions turn served features into inputs of a model. Each is handed to its model with all it depends on,
so that a change of a bin is a change of the model. Missing features are left out.
"""

import math
from datetime import timedelta
from functools import partial

from river import compose, dummy, linear_model, optim, tree

from headrace import Learner, Outcome, Router, ThompsonSampling

MINUTE_MS = 60_000
ENTITIES = ("carrier", "dest", "origin", "tailnum")
TIMETABLE = (
    "block_minutes",
    "departs_ms",
    "distance",
    "due_around",
    "due_last_hour",
    "flight",
    "minute_of_day",
    "weekday",
)


def signed_log(minutes):
    """Return the logarithm of a delay, with its sign: delays spread over orders of magnitude, both ways."""
    return math.copysign(math.log1p(abs(minutes)), minutes)


def log_bin(value, per_e):
    """Return a bin ever wider away from 0: `per_e` bins each time the value grows by a factor e."""
    return round(per_e * signed_log(value))


def bin_of(value, width, least=-math.inf, most=math.inf):
    """Return a bin of equal width between limits; values beyond fall into the outer bins."""
    return round(min(max(value / width, least), most))


def same(value):
    return value


def enrich(x):
    """Add features that follow from several others, all known at the time of the prediction."""
    derived = dict(x)
    derived["hour"] = x["minute_of_day"] // 60
    derived["third"] = x["minute_of_day"] // 180
    # Minutes the timetable adds to what the distance asks for.
    derived["padding"] = x["block_minutes"] - x["distance"] / 8
    if (departures := x.get("origin_departures__dep_delay_count_1h")) is not None:
        derived["departed"] = departures / max(x["due_last_hour"], 1)
    if (left := x.get("aircraft_departures__event_ms_last_3d")) is not None:
        derived["hours_away"] = (x["departs_ms"] - left) / (60 * MINUTE_MS)
    if (landed := x.get("aircraft_arrivals__event_ms_last_3d")) is not None:
        # Minutes to spare if the aircraft came straight back from where it landed last.
        back = x["aircraft_arrivals__block_minutes_last_3d"]
        derived["slack"] = (x["departs_ms"] - landed) / MINUTE_MS - back
    return derived


def tokens(x, bins, crosses):
    """Return one indicator for each bin, and for each crossed pair of bins.

    Parameters
    ----------
    bins
        Name of the bin, the feature, the function of the feature.
    crosses
        Pairs of names of bins.
    """
    x = enrich(x)
    binned = {name: f"{name}={function(x[feature])}" for name, feature, function in bins if feature in x}
    indicators = dict.fromkeys(binned.values(), 1)
    for first, second in crosses:
        if first in binned and second in binned:
            indicators[f"{binned[first]} {binned[second]}"] = 1
    return indicators


def numbers(x, logs, rest):
    """Return indicators, and numbers of like size: delays in logarithms, the `rest` divided."""
    x = enrich(x)
    inputs = {f"{name}={x[name]}": 1 for name in ("carrier", "dest", "hour", "origin")}
    inputs |= {name: signed_log(x[name]) / 2 for name in logs if name in x}
    inputs |= {name: x[name] / size for name, size in rest if name in x}
    return inputs


def coarse(x, bins):
    """Return whole numbers, few of them, so that a tree needs little memory to find where to split."""
    x = enrich(x)
    return {name: function(x[feature]) for name, feature, function in bins if feature in x}


TIMETABLE_BINS = (
    ("carrier", "carrier", same),
    ("dest", "dest", same),
    ("origin", "origin", same),
    ("hour", "hour", same),
    ("third", "third", same),
    ("weekday", "weekday", same),
    ("padding", "padding", partial(log_bin, per_e=4)),
    ("distance", "distance", partial(log_bin, per_e=4)),
    ("busy", "due_around", partial(bin_of, width=4)),
    ("age", "planes__age", partial(bin_of, width=3)),
    ("seats", "planes__seats", partial(bin_of, width=20)),
)
TIMETABLE_CROSSES = (
    ("origin", "hour"),
    ("carrier", "origin"),
    ("carrier", "hour"),
    ("carrier", "dest"),
    ("dest", "third"),
    ("hour", "weekday"),
)
DELAYS = (
    "origin_departures__dep_delay_mean_1h",
    "origin_departures__dep_delay_mean_24h",
    "origin_departures__dep_delay_mean_7d",
    "origin_arrivals__arr_delay_mean_1h",
    "carrier_departures__dep_delay_mean_1h",
    "carrier_departures__dep_delay_mean_3h",
    "carrier_arrivals__arr_delay_mean_1h",
    "route_arrivals__arr_delay_mean_24h",
    "destination_arrivals__arr_delay_mean_1h",
    "destination_arrivals__arr_delay_mean_3h",
    "aircraft_arrivals__arr_delay_last_3d",
)
SHARES = (
    "origin_departures__late_mean_1h",
    "origin_departures__late_mean_3h",
    "destination_arrivals__delayed_mean_7d",
)
STREAM_BINS = (
    *TIMETABLE_BINS,
    *((name, name, partial(log_bin, per_e=2)) for name in DELAYS),
    *((name, name, partial(bin_of, width=0.1)) for name in SHARES),
    ("late", "origin_departures__late_mean_1h", partial(bin_of, width=0.125)),
    ("departed", "departed", partial(bin_of, width=0.1, most=20)),
    ("departed_coarse", "departed", partial(bin_of, width=0.2, most=10)),
    ("hours_away", "hours_away", partial(bin_of, width=1, least=0, most=48)),
    ("slack", "slack", partial(bin_of, width=30, least=-10, most=40)),
    ("slack_coarse", "slack", partial(bin_of, width=60, least=-5, most=12)),
    ("aircraft_late", "aircraft_arrivals__arr_delay_last_3d", partial(log_bin, per_e=1)),
    ("visib", "latest_weather__visib_last_3h", partial(bin_of, width=1)),
    ("precip", "latest_weather__precip_last_3h", partial(bin_of, width=0.02, most=20)),
    ("wind", "latest_weather__wind_speed_last_3h", partial(bin_of, width=3)),
    ("wind_dir", "latest_weather__wind_dir_last_3h", partial(bin_of, width=30)),
    ("humid", "latest_weather__humid_last_3h", partial(bin_of, width=5)),
    ("pressure", "latest_weather__pressure_last_3h", partial(bin_of, width=3)),
)
STREAM_CROSSES = (
    *TIMETABLE_CROSSES,
    ("aircraft_late", "slack_coarse"),
    ("hour", "slack_coarse"),
    ("departed_coarse", "origin"),
    ("hour", "origin_departures__late_mean_1h"),
    ("hour", "origin_departures__dep_delay_mean_1h"),
    ("carrier_departures__dep_delay_mean_1h", "late"),
)
SIZES = (
    *((name, 1) for name in SHARES),
    ("departed", 1),
    ("due_around", 20),
    ("hours_away", 24),
    ("slack", 300),
    ("latest_weather__visib_last_3h", 5),
    ("latest_weather__precip_last_3h", 0.1),
    ("latest_weather__wind_speed_last_3h", 20),
    ("latest_weather__humid_last_3h", 50),
    ("planes__age", 20),
    ("planes__seats", 200),
)
TREE_BINS = (
    ("late_1h", "origin_departures__late_mean_1h", partial(bin_of, width=0.125)),
    ("late_3h", "origin_departures__late_mean_3h", partial(bin_of, width=0.125)),
    ("delay_1h", "origin_departures__dep_delay_mean_1h", partial(log_bin, per_e=2)),
    ("carrier_3h", "carrier_departures__dep_delay_mean_3h", partial(log_bin, per_e=2)),
    ("destination_3h", "destination_arrivals__arr_delay_mean_3h", partial(log_bin, per_e=2)),
    ("aircraft", "aircraft_arrivals__arr_delay_last_3d", partial(log_bin, per_e=2)),
    ("slack", "slack", partial(bin_of, width=30, least=-6, most=20)),
    ("hours_away", "hours_away", partial(bin_of, width=2, least=0, most=24)),
    ("departed", "departed", partial(bin_of, width=0.2, most=10)),
    ("hour", "hour", partial(bin_of, width=2)),
    ("visib", "latest_weather__visib_last_3h", partial(bin_of, width=2)),
)


def logistic_regression(rate, intercept_rate):
    return linear_model.LogisticRegression(
        optimizer=optim.AdaGrad(rate, eps=1.0), intercept_lr=intercept_rate
    )


def base_rate():
    return dummy.PriorClassifier()


def static_regression():
    indicators = partial(tokens, bins=TIMETABLE_BINS, crosses=TIMETABLE_CROSSES)
    return compose.Pipeline(compose.FuncTransformer(indicators), logistic_regression(0.05, 0.01))


def streaming_regression():
    scale = partial(numbers, logs=DELAYS, rest=SIZES)
    return compose.Pipeline(compose.FuncTransformer(scale), logistic_regression(0.05, 0.001))


def binned_regression():
    indicators = partial(tokens, bins=STREAM_BINS, crosses=STREAM_CROSSES)
    return compose.Pipeline(compose.FuncTransformer(indicators), logistic_regression(0.04, 0.0))


def hoeffding_tree():
    binned = partial(coarse, bins=TREE_BINS)
    classifier = tree.HoeffdingTreeClassifier(
        grace_period=200,
        delta=0.01,
        tau=0.1,
        max_depth=4,  # a version is published every hour: the tree must stay small
        leaf_prediction="mc",
        splitter=tree.splitter.HistogramSplitter(n_bins=8),
    )
    return compose.Pipeline(compose.FuncTransformer(binned), classifier)


ARMS = {
    "base_rate": (base_rate, None, ()),
    "static_regression": (static_regression, "static", (*TIMETABLE, *ENTITIES)),
    "streaming_regression": (streaming_regression, "streaming", (*TIMETABLE, *ENTITIES)),
    "hoeffding_tree": (hoeffding_tree, "tree", (*TIMETABLE, *ENTITIES)),
    "binned_regression": (binned_regression, "streaming", (*TIMETABLE, *ENTITIES)),
}
learners = [
    Learner(name=name, model=model, service=service, target="delayed", request=request)
    for name, (model, service, request) in ARMS.items()
]
router = Router(
    name="delays",
    arms=tuple(ARMS),
    champion="streaming_regression",
    unit="flight_id",
    entities=ENTITIES,
    request=("flight_id", *TIMETABLE),
    outcome=Outcome(source="arrivals", key="flight_id", label="delayed"),
    wait=timedelta(hours=36),
    missing="censor",  # cancelled and diverted flights
    policy=ThompsonSampling(posterior="normal", discount=0.999, floor=0.02),
    refresh=timedelta(hours=1),
    publish=timedelta(hours=1),
    partitions=1,
    salt="flights",
    default=0.2,
)
