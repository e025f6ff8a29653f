"""The settings in `headrace.toml` of a project."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from headrace.schemas.errors import SettingsError

FILE = "headrace.toml"


class SettingsFile(PydanticBaseSettingsSource):
    """Reads the file of the project directory that is among the constructor's arguments."""

    def __init__(self, settings_cls: type[BaseSettings], arguments: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._path = Path(arguments().get("project_dir", ".")) / FILE

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        try:
            return tomllib.loads(self._path.read_text())
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{self._path} is not TOML: {error}") from error
