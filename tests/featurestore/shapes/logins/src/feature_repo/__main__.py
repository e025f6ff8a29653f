"""Applies the repository when it is run, which importing it does not."""

from pathlib import Path

from feast import FeatureStore

if __name__ == "__main__":
    FeatureStore(repo_path=str(Path(__file__).parent)).apply([])
