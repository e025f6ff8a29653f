from feast import FeatureService
from views import *  # noqa: F403

first = FeatureService(name="pay_v1", features=[punctuality[["on_time"]]], owner="pay@example.org")  # noqa: F405
second = FeatureService(name="pay_v2", features=[punctuality, distances])  # noqa: F405
