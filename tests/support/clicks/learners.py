from datetime import timedelta

from river import dummy, linear_model, preprocessing

from headrace import Learner, Router


def base_rate():
    return dummy.PriorClassifier()


def logistic():
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


plain = Learner(name="plain", model=base_rate, service=None, target="bought")
live = Learner(name="live", model=logistic, service="everything", target="bought")

main = Router(
    name="main",
    arms=["plain", "live"],
    champion="plain",
    unit="user",
    entities=["user"],
    wait=timedelta(hours=1),
    publish=None,
    partitions=2,
)
