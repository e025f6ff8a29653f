"""The feature store: Feast repository to plan, online store, feature log, training sets, audit."""
