"""Will this order be sent back? Two answers, and a router that finds out which is the better one."""

from datetime import timedelta
from typing import Any

from river import dummy, linear_model, preprocessing

from headrace import Learner, Router, ThompsonSampling


def base_rate() -> Any:
    """Answer with the share of orders that were sent back so far."""
    return dummy.PriorClassifier()


def regression() -> Any:
    """Weigh the customer's features and the amount of the order."""
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


learners = [
    Learner("base_rate", base_rate, service=None, target="sent_back"),
    Learner(
        "regression",
        regression,
        service="customer_features",  # what features.py serves
        target="sent_back",
        request=["amount"],  # what the request brings
    ),
]
router = Router(
    "sent_back",
    arms=["base_rate", "regression"],
    champion="base_rate",  # answers when the chosen arm cannot
    unit="order",  # an order gets the same arm however often it is asked about
    entities=["customer"],
    request=["order", "amount"],
    wait=timedelta(hours=1),  # how long after a prediction its reward is counted
    policy=ThompsonSampling(floor=0.05),  # the better arm gets more of the traffic, each at least 5 %
    publish=None,  # model versions by the wall clock, every second
    partitions=2,
)
