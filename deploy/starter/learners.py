"""Will this order be sent back? Two answers, and a router that finds out which is the better one."""

from datetime import timedelta
from typing import Any

from river import dummy, linear_model, preprocessing

from headrace.learners.definitions import Learner, Router, ThompsonSampling


def base_rate() -> Any:
    return dummy.PriorClassifier()


def regression() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


learners = [
    Learner(name="base_rate", model=base_rate, service=None, target="sent_back"),
    Learner(
        name="regression",
        model=regression,
        service="customer_features",
        target="sent_back",
        request=["amount"],
    ),
]
router = Router(
    name="sent_back",
    arms=["base_rate", "regression"],
    champion="base_rate",
    unit="order",
    entities=["customer"],
    request=["order", "amount"],
    wait=timedelta(hours=1),  # a prediction's reward is counted so long after it
    policy=ThompsonSampling(floor=0.05),
    publish=None,  # model versions by the wall clock, every second
    partitions=2,
)
