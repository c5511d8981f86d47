"""What all settings share: strict models, and the names that a file may give."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CAMERA_NAME = r"[a-z0-9_-]{1,64}"
CameraName = Annotated[str, Field(pattern=f"^{CAMERA_NAME}$")]


class Strict(BaseModel):
    """Frozen, no unknown keys, and no values in errors: they could be secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)
