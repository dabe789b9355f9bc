"""Which pre-trained model a job starts from, and whose program runs it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .base import ExactlyOne, Uri


class ModelFamily(StrEnum):
    """Whose checkpoint it is: that program runs and fine-tunes it."""

    DEEPMD = "deepmd"
    SEVENNET = "sevennet"

    @property
    def suffix(self) -> str:
        """The ending by which the family's checkpoints are known, wherever they lie."""
        return {ModelFamily.DEEPMD: ".pt", ModelFamily.SEVENNET: ".pth"}[self]


def family_of_file(name: str) -> ModelFamily:
    """Return the family of a checkpoint by the ending of its name."""
    sevennet = name.endswith(ModelFamily.SEVENNET.suffix)
    return ModelFamily.SEVENNET if sevennet else ModelFamily.DEEPMD


class ModelSource(ExactlyOne):
    """The pre-trained model: an object in the store, or a name that deepmd-kit or SevenNet knows."""

    uri: Uri | None = Field(None, description="Checkpoint in the object store, of deepmd-kit (.pt) or SevenNet (.pth).")
    pretrained: str | None = Field(
        None,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Name known to `dp pretrained download` or SevenNet, e.g. DPA-3.1-3M, 7net-0.",
    )
    branch: str | None = Field(
        None,
        max_length=64,
        description="Model branch (head) to start from; required if the checkpoint has several. Default: its only one.",
    )

    @classmethod
    def union_members(cls) -> tuple[str, ...]:
        """The two sources."""
        return ("uri", "pretrained")

    @classmethod
    def companions(cls) -> dict[str, tuple[str, ...]]:
        """Checkpoints have branches."""
        return {"branch": ("uri", "pretrained")}

    @property
    def family(self) -> ModelFamily:
        """Whose model it is: told by the ending of the file, or by the name."""
        if self.uri is not None:
            return family_of_file(self.uri)
        sevennet = (self.pretrained or "").lower().startswith("7net")
        return ModelFamily.SEVENNET if sevennet else ModelFamily.DEEPMD
