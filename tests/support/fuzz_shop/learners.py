from datetime import timedelta

from river import dummy, linear_model, preprocessing

from headrace import Learner, Outcome, Router


def base_rate():
    return dummy.PriorClassifier()


def logistic():
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def arms(of):
    return (
        Learner(name=f"plain_{of}", model=base_rate, service=None, target="bought"),
        Learner(name=f"live_{of}", model=logistic, service="everything", target="bought", request=["amount"]),
    )


plain_own, live_own = arms("own")
plain_event, live_event = arms("event")


def router(name, outcome):
    return Router(
        name=name,
        arms=[f"plain_{name}", f"live_{name}"],
        champion=f"plain_{name}",
        unit="user",
        entities=["user"],
        request=["amount", "number"],
        outcome=outcome,
        wait=timedelta(seconds=90),
        refresh=timedelta(seconds=1),
        publish=None,
        partitions=2,
    )


own = router("own", None)
event = router("event", Outcome("orders", key="number", label="paid", id="number"))
